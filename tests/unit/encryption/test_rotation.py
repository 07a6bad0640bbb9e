import asyncio
import random
from collections.abc import Callable

import pytest

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.encryption import EncryptedStore, EncryptionKeyMissingError, KeyRing
from durablegraph.storage.encryption.rotation import PLAINTEXT, rotate
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.objects import ObjectStore, StoredObject
from durablegraph.storage.prefixed import ROOTS
from tests.conformance.storage.checkpoints.savers import at, id_of, put
from tests.support.stores import CountingStore, FaultStore, Kind, SimulatedCrash, When, crash
from tests.unit.encryption.rings import CountingRing, ring

OLD, NEW, BOTH = ring("v1"), ring("v2"), ring("v2", "v1")


async def filled(
    count: int = 600, *, under: KeyRing = OLD
) -> tuple[MemoryObjectStore, dict[str, tuple[bytes, str | None]]]:
    """Objects of many sizes, every third with a note; more than one page of a listing."""
    below, throw = MemoryObjectStore(), random.Random(11)  # noqa: S311 -- the same values in every run
    store = EncryptedStore(below, under)
    values = {}
    for number in range(count):
        value = throw.randbytes(throw.randrange(300)) + b"words " * throw.randrange(100)
        values[f"d/{number:04d}"] = (value, f"note {number}" if number % 3 == 0 else None)
        await store.put(f"d/{number:04d}", value, note=values[f"d/{number:04d}"][1])
    return below, values


async def everything(store: ObjectStore) -> dict[str, tuple[bytes, str | None]]:
    found = {}
    async for entry in store.list("", notes=True):
        stored = await store.get(entry.key)
        assert stored is not None
        found[entry.key] = (stored.data, entry.note)
    return found


async def test_after_a_rotation_the_old_key_is_not_needed_for_anything() -> None:
    below, values = await filled()
    done = await rotate(below, BOTH)
    assert (done.active, dict(done.found), done.rewritten, done.left) == ("v2", {"v1": 600}, 600, 0)
    assert await everything(EncryptedStore(below, NEW)) == values
    with pytest.raises(EncryptionKeyMissingError):
        await EncryptedStore(below, OLD).get("d/0000")


async def test_a_dry_run_counts_and_writes_nothing() -> None:
    below, _ = await filled(20)
    await EncryptedStore(below, BOTH).put("runs/p", b"new")
    before = [entry async for entry in below.list("")]
    done = await rotate(below, BOTH, dry_run=True)
    assert (dict(done.found), done.rewritten, done.left) == ({"v1": 20, "v2": 1}, 0, 20)
    assert [entry async for entry in below.list("")] == before


async def test_a_second_rotation_writes_nothing() -> None:
    below, _ = await filled(20)
    await rotate(below, BOTH)
    counting = CountingStore(below)
    done = await rotate(counting, BOTH)
    assert (dict(done.found), done.rewritten, done.overtaken, done.left) == ({"v2": 20}, 0, 0, 0)
    assert counting.tally.requests == {Kind.LIST: len(ROOTS), Kind.READ: 20}


async def test_the_ring_is_asked_once_for_each_old_data_key_and_once_for_the_new() -> None:
    below, _ = await filled(100)
    slow = CountingRing("v2", "v1")
    await rotate(below, slow)
    assert slow.asked == {"unwrap": 1, "wrap": 1}


@pytest.mark.parametrize("when", list(When))
async def test_a_rotation_that_dies_anywhere_is_completed_by_the_next(when: When) -> None:
    for number in range(1, 42, 5):  # a listing, 20 reads, 20 writes
        below, values = await filled(20)
        with pytest.raises(SimulatedCrash):
            await rotate(FaultStore(below, at=number, when=when, fault=crash), BOTH)
        assert await everything(EncryptedStore(below, BOTH)) == values
        assert (await rotate(below, BOTH)).left == 0
        assert await everything(EncryptedStore(below, NEW)) == values


async def test_objects_that_the_store_could_not_answer_for_are_left_and_told() -> None:
    below, _ = await filled(20)
    done = await rotate(FaultStore(below, at=5, kinds=frozenset({Kind.READ})), BOTH)
    assert (done.rewritten, done.left) == (19, 1)
    assert "the connection broke" in done.problems[0]


class Meddling:
    """Lets somebody else act between the rotation's read of an object and its write."""

    def __init__(self, inner: MemoryObjectStore, act: Callable[[str], object]) -> None:
        self._inner, self._act = inner, act
        self.list = inner.list
        self.delete = inner.delete
        self.delete_many = inner.delete_many
        self.aclose = inner.aclose
        self.put = inner.put

    async def get(self, key: str) -> StoredObject | None:
        found = await self._inner.get(key)
        await self._act(key)  # type: ignore[misc]  # an awaitable
        return found


async def test_whoever_writes_meanwhile_wins() -> None:
    below, values = await filled(9)
    by_old, by_new = EncryptedStore(below, ring("v1")), EncryptedStore(below, BOTH)
    met: list[str] = []

    async def act(key: str) -> None:
        if met.count(key):
            return
        met.append(key)
        if key in {"d/0001", "d/0004"}:
            await by_old.put(key, b"written under the old key", note="old")
        elif key == "d/0002":
            await by_new.put(key, b"written under the new key")
        elif key == "d/0003":
            await below.delete(key)

    done = await rotate(Meddling(below, act), BOTH)
    assert (done.rewritten, done.overtaken, done.left) == (7, 2, 0)
    del values["d/0003"]
    values["d/0001"] = values["d/0004"] = (b"written under the old key", "old")
    values["d/0002"] = (b"written under the new key", None)
    assert await everything(EncryptedStore(below, NEW)) == values


async def test_an_object_that_is_changed_again_and_again_is_left_and_told() -> None:
    below, _ = await filled(1)
    by_old = EncryptedStore(below, ring("v1"))

    async def act(key: str) -> None:
        await by_old.put(key, b"again")

    done = await rotate(Meddling(below, act), BOTH)
    assert (done.rewritten, done.left) == (0, 1)
    assert "others changed it 10 times" in done.problems[0]


async def test_writers_and_a_rotation_at_once_lose_nothing() -> None:
    below, values = await filled(50)
    store = EncryptedStore(below, BOTH)
    counted = dict.fromkeys(list(values)[:10], 0)

    async def add(key: str) -> None:
        await store.put(key, b"0")
        for _ in range(30):
            while True:
                found = await store.get(key)
                assert found is not None
                try:
                    await store.put(key, str(int(found.data) + 1).encode(), if_match=found.etag)
                except Exception:  # noqa: S112 -- beaten by the rotation: read again
                    continue
                break
            counted[key] += 1
            await asyncio.sleep(0)

    writers = [asyncio.ensure_future(add(key)) for key in counted]
    done = await rotate(below, BOTH)
    await asyncio.gather(*writers)
    assert done.left == 0
    after = await everything(EncryptedStore(below, NEW))
    assert {key: int(after[key][0]) for key in counted} == counted


async def test_plaintext_is_encrypted_only_during_a_migration() -> None:
    below, values = await filled(3)
    await below.put("runs/old", b"from before", note="its note")
    done = await rotate(below, BOTH)
    assert (done.rewritten, done.left, done.found[PLAINTEXT]) == (3, 1, 1)
    assert "old is not encrypted" in done.problems[0]
    done = await rotate(below, BOTH, reads_plaintext=True)
    assert (done.rewritten, done.left) == (1, 0)
    assert await everything(EncryptedStore(below, NEW)) == {"runs/old": (b"from before", "its note"), **values}


async def test_damage_and_missing_keys_are_left_and_told_and_the_rest_goes_on() -> None:
    below, _ = await filled(5)
    damaged = await below.get("d/0001")
    assert damaged is not None
    await below.put("d/0001", damaged.data[:-1])
    await EncryptedStore(below, ring("v3")).put("d/0002", b"under another key")
    done = await rotate(below, BOTH)
    assert (done.rewritten, done.left) == (3, 2)
    assert "d/0001 does not authenticate" in done.problems[0]
    assert "d/0002 is encrypted under the key 'v3'" in done.problems[1]


async def test_a_note_that_is_under_the_old_key_is_rotated_with_its_value() -> None:
    below = MemoryObjectStore()
    changing = CountingRing("v1", "v2")

    class Between(CountingRing):
        """Its active key changes while an object is written: the note is under the old one, the value under the new."""

        async def wrap(self, key_id: str, data_key: bytes) -> bytes:
            wrapped = await super().wrap(key_id, data_key)
            self.active = "v2"
            return wrapped

    changing = Between("v1", "v2")
    await EncryptedStore(below, changing).put("runs/a", b"value", note="note")
    done = await rotate(below, BOTH)
    assert (done.rewritten, done.left) == (1, 0)
    assert await everything(EncryptedStore(below, NEW)) == {"runs/a": (b"value", "note")}


async def test_a_super_step_that_is_under_way_commits_though_its_head_was_rotated() -> None:
    below = MemoryObjectStore()
    first = BlobCheckpointSaver(EncryptedStore(below, OLD))
    before = await put(first, "thread", {"n": 1})
    later = BlobCheckpointSaver(EncryptedStore(below, BOTH)).attempt()  # pinned: it would yield to another writer
    assert await later.aget_tuple(at("thread")) is not None
    done = await rotate(below, BOTH)
    assert done.rewritten == 1
    await put(later, "thread", {"n": 2}, parent=id_of(before))
    found = await BlobCheckpointSaver(EncryptedStore(below, NEW)).aget_tuple(at("thread"))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"n": 2}
