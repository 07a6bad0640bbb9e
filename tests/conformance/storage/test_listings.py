"""Lists on every store; and what the first page of each costs on Blob Storage, counted by a proxy."""

import asyncio
import random
import re
import uuid
from collections.abc import AsyncIterator

import pytest

from benchmarks.listing_rows import Layout, life
from benchmarks.listings import KINDS, answer
from durablegraph.model.records import RunRequest
from durablegraph.model.status import RunStatus
from durablegraph.storage import lifecycle
from durablegraph.storage.connections import string_connection
from durablegraph.storage.indexes import Filter
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.opening import open_store
from durablegraph.storage.runs import RunStore
from tests.support.azurite import connection_string
from tests.support.blob_proxy import BlobProxy, blob_proxy

from .conftest import Backend

COUNT = 60


async def filled(store: ObjectStore) -> None:
    chance, layout = random.Random(1), Layout()  # noqa: S311 -- the same data in every run
    for number in range(COUNT):
        objects = list(layout.objects_of(life(number, COUNT, chance)))
        await asyncio.gather(*(store.put(key, data, note=note) for key, data, note in objects))


@pytest.fixture
async def proxied(azurite: str) -> AsyncIterator[tuple[ObjectStore, BlobProxy]]:
    found = re.search(r"127\.0\.0\.1:(\d+)", azurite)
    assert found is not None
    async with blob_proxy(int(found[1])) as proxy:
        store = open_store(string_connection(connection_string(proxy.port), container=f"t-{uuid.uuid4().hex}"))
        yield store, proxy
        await store.aclose()


@pytest.mark.azurite
async def test_the_first_page_of_every_list_is_at_most_three_requests(proxied: tuple[ObjectStore, BlobProxy]) -> None:
    store, proxy = proxied
    await filled(store)
    shown = 0
    for kind, (named, _) in KINDS.items():
        for name, query in named.items():
            proxy.seen.clear()
            found = await answer(RunStore(store), kind, query)
            assert proxy.methods == ["GET"] * len(proxy.methods), name
            assert 1 <= len(proxy.methods) <= 3, name
            shown += len(found.body[kind])
    assert shown > COUNT


async def test_a_life_is_told_on_every_store(backend: Backend) -> None:
    runs, made = RunStore(backend.open()), life(5, COUNT, random.Random(1))  # noqa: S311 -- any data
    fresh = made.record.model_copy(update={"status": RunStatus.PENDING, "metadata": {"who": "Ünïcödé 🦆"}})
    request = RunRequest(run_id=fresh.run_id, graph=fresh.graph, thread_id=fresh.thread_id, created_at=fresh.created_at)
    assert await runs.create(request, fresh)
    await lifecycle.claim(runs, fresh, fresh.created_at)
    wanted = Filter(graph=fresh.graph, metadata=(("who", "Ünïcödé 🦆"),))

    async def statuses() -> list[str]:
        found = await runs.search(wanted, limit=5)
        threads = await runs.search_threads(Filter(graph=fresh.graph), limit=5)
        return [one.status.value for one in (*found.records, *threads.records)]

    assert await statuses() == ["pending", "busy"]
    await lifecycle.begin(runs, fresh, fresh.created_at)
    assert await statuses() == ["running", "busy"]
    ended = await lifecycle.end(runs, fresh, RunStatus.FAILED, fresh.created_at)
    assert await statuses() == ["failed", "error"]
    assert [run_id async for run_id in runs.of_thread(fresh.thread_id)] == [fresh.run_id]
    assert await runs.marks() == []
    await runs.delete(ended)
    assert await statuses() == ["error"]
    assert await runs.delete_thread(fresh.thread_id)
    assert await statuses() == []
