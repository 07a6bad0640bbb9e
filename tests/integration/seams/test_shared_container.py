"""Apps share a container, each below a prefix and under keys of its own: none touches another's objects."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from durablegraph.api.instances import Instances
from durablegraph.api.supervising import supervise
from durablegraph.storage.encryption import EncryptedStore, LocalKeys
from durablegraph.storage.encryption.rotation import rotate
from durablegraph.storage.indexes import Filter
from durablegraph.storage.objects import ObjectEntry, ObjectStore, StoredObject
from durablegraph.storage.prefixed import PrefixedStore
from durablegraph.storage.rebuilding import rebuild_lists
from durablegraph.storage.retention import Policy, Retention, erase_thread, retain
from durablegraph.storage.runs import RunStore
from tests.conformance.storage.conftest import backend, store

from .everything import begun, carried, keys, services_on
from .test_crashes import Hub

__all__ = ["backend", "store"]

ONE, OTHER = LocalKeys({"v1": b"1" * 32}), LocalKeys({"v1": b"2" * 32})
BOTH = LocalKeys({"v2": b"3" * 32, "v1": b"1" * 32})


class Watched:
    """Passes everything on, and notes the keys that were asked for or told."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner
        self.touched: set[str] = set()

    async def get(self, key: str) -> StoredObject | None:
        self.touched.add(key)
        return await self.inner.get(key)

    async def put(self, key: str, data: bytes, **options: Any) -> str:
        self.touched.add(key)
        return await self.inner.put(key, data, **options)

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        self.touched.add(key)
        return await self.inner.delete(key, if_match=if_match)

    async def delete_many(self, keys: Sequence[str]) -> None:
        self.touched.update(keys)
        await self.inner.delete_many(keys)

    async def list(self, prefix: str, **options: Any) -> AsyncIterator[ObjectEntry]:
        async for entry in self.inner.list(prefix, **options):
            self.touched.add(entry.key)
            yield entry

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_nothing_that_one_app_does_touches_a_key_of_another(store: ObjectStore) -> None:
    watched = Watched(store)
    theirs = {"": None, "b": OTHER, "a/b": OTHER, "ab": None}
    for prefix, ring in theirs.items():
        below = PrefixedStore(store, prefix) if prefix else store
        await _used(EncryptedStore(below, ring) if ring else below)
    before = await keys(store)
    mine = EncryptedStore(PrefixedStore(watched, "a"), ONE)
    await _used(mine)
    services = services_on(mine)
    later = datetime.now(UTC) + timedelta(days=40)
    days = timedelta(days=1)
    for _ in range(3):
        await supervise(services, cast("Instances", Hub()), later)
    everything = Policy(runs=days, threads=days, claims=days, keep_last=1)
    retention = Retention(mine, services.runs, [services.saver], everything, _nothing)
    await erase_thread(retention, "t", later)
    assert await retain(retention, later) is not None
    await rebuild_lists(mine, later)
    rotation = await rotate(PrefixedStore(watched, "a"), BOTH, reads_plaintext=True)
    assert rotation.left == 0
    runs = RunStore(EncryptedStore(PrefixedStore(watched, "a"), BOTH))
    assert [run.run_id for run in (await runs.search(Filter(), limit=100)).records] == ["waits"]
    assert not [key for key in watched.touched if not key.startswith("a/")]
    after = await keys(store)
    assert {key: etag for key, etag in after.items() if key in before} == before


async def test_an_app_without_a_prefix_leaves_those_below_one_alone(store: ObjectStore) -> None:
    await _used(PrefixedStore(store, "team/app"))
    before = await keys(store)
    await _used(store)
    services = services_on(store)
    days = timedelta(days=1)
    retention = Retention(store, services.runs, [services.saver], Policy(runs=days, threads=days), _nothing)
    later = datetime.now(UTC) + timedelta(days=40)
    await supervise(services, cast("Instances", Hub()), later)
    assert await retain(retention, later) is not None
    await rebuild_lists(store, later)
    assert (await rotate(store, ONE, reads_plaintext=True)).left == 0
    assert {key: etag for key, etag in (await keys(store)).items() if key in before} == before


async def _used(objects: ObjectStore) -> None:
    services = services_on(objects)
    await carried(services, "t", "done")
    run = await begun(services, "u", "waits")
    await run.carry()


async def _nothing(run_id: str) -> None:
    """No Durable instance carries these runs."""
