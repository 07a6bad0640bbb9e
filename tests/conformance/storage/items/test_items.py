"""What ItemStore promises beyond InMemoryStore, on every object store."""

import asyncio
import concurrent.futures
import json
import subprocess
import sys
from datetime import timedelta

import pytest
from langgraph.store.base import PutOp

from durablegraph.storage.items import ItemStore
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.sqlite import SqliteObjectStore


@pytest.fixture
def items(store, clock) -> ItemStore:
    return ItemStore(store, now=clock)


async def keys(store: ObjectStore) -> list[str]:
    return [entry.key async for entry in store.list("")]


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, None, {"b": True}]}, {}, "a text", "", 7, 0, False, [1, "two"], [], 2**70, "\ud800"]
)
async def test_any_json_value_is_read_back(items, value):
    await items.aput(("any",), "k", value)
    for found in (await items.aget(("any",), "k"), (await items.asearch(("any",)))[0]):
        assert found.value == value
        assert type(found.value) is type(value)


async def test_an_item_keeps_its_time_of_creation_until_it_is_deleted(items, clock):
    await items.aput(("a",), "k", {"n": 1})
    created = (await items.aget(("a",), "k")).created_at
    clock.advance(hours=1)
    await items.aput(("a",), "k", {"n": 2})
    changed = await items.aget(("a",), "k")
    assert (changed.created_at, changed.updated_at > created + timedelta(hours=1)) == (created, True)
    await items.adelete(("a",), "k")
    await items.aput(("a",), "k", {"n": 3})
    assert (await items.aget(("a",), "k")).created_at > created


async def test_items_of_one_batch_keep_their_order(items):
    names = [f"k{n}" for n in (3, 1, 2, 5, 4)]
    await items.aput(("a",), "first", {"n": 0})
    await items.abatch([PutOp(("a",), name, {"n": 1}) for name in names])
    assert [item.key for item in await items.asearch(("a",))] == ["first", *names]


async def test_namespaces_too_deep_for_a_key_are_listed_and_searched(items):
    deep = tuple(f"level {n} " + "x" * 90 for n in range(12))
    sibling = (*deep[:-1], "another end")
    await items.aput(deep, "k", {"n": 1})
    await items.aput(sibling, "k" * 2000, {"n": 2})
    await items.aput(("shallow",), "k", {"n": 3})
    assert set(await items.alist_namespaces()) == {deep, sibling, ("shallow",)}
    assert [item.value["n"] for item in await items.asearch(deep[:11])] == [1, 2]
    assert [(item.namespace, item.key) for item in await items.asearch(sibling)] == [(sibling, "k" * 2000)]
    assert await items.alist_namespaces(suffix=("another end",)) == [sibling]
    assert await items.alist_namespaces(prefix=deep[:1], max_depth=1) == [deep[:1]]


async def test_writers_of_one_item_at_once_all_succeed_and_one_is_last(store, clock):
    stores = [ItemStore(store, now=clock) for _ in range(2)]
    await stores[0].aput(("a",), "k", {"n": -1})
    created = (await stores[1].aget(("a",), "k")).created_at
    await asyncio.gather(*(stores[n % 2].aput(("a",), "k", {"n": n}) for n in range(30)))
    found = [await one.aget(("a",), "k") for one in stores]
    assert found[0] == found[1]
    assert found[0].value["n"] in range(30)
    assert found[0].created_at == created


async def test_threads_may_use_the_sync_face_while_the_loop_runs(items):
    def work(n: int) -> int:
        items.put(("threads", str(n)), "k", {"n": n})
        return items.get(("threads", str(n)), "k").value["n"]

    assert await asyncio.gather(*(asyncio.to_thread(work, n) for n in range(12))) == list(range(12))
    assert len(await items.alist_namespaces(prefix=("threads",))) == 12


async def test_the_sync_face_does_not_deadlock_on_the_loops_own_thread(items):
    items.put(("a",), "k", {"n": 1})
    assert items.get(("a",), "k").value == (await items.aget(("a",), "k")).value == {"n": 1}


def test_several_loops_may_share_one_store(items):
    def run(n: int) -> None:
        asyncio.run(items.aput(("loops",), str(n), {"n": n}))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(8)))
    assert sorted(item.value["n"] for item in items.search(("loops",))) == list(range(8))


PROCESS = """
import sys
from durablegraph.storage.items import ItemStore
from durablegraph.storage.sqlite import SqliteObjectStore

path, name = sys.argv[1:]
items = ItemStore(SqliteObjectStore(path))
for n in range(25):
    items.put(("shared",), str(n % 5), {"by": name, "n": n}, ttl=60 + n)
    items.put(("own", name), str(n), {"n": n})
print(len(items.search(("own", name), limit=100)))
"""


def test_processes_that_write_the_same_items_lose_none(tmp_path):
    path = tmp_path / "objects.db"
    command = [sys.executable, "-c", PROCESS, str(path)]
    running = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("one", "two", "three")
    ]
    assert [process.communicate(timeout=120)[0].strip() for process in running] == ["25"] * 3

    items = ItemStore(SqliteObjectStore(path))
    assert items.list_namespaces() == [("own", "one"), ("own", "three"), ("own", "two"), ("shared",)]
    assert sorted(item.key for item in items.search(("shared",))) == ["0", "1", "2", "3", "4"]
    assert len(items.search(("own",), limit=100)) == 75


class TestTimeToLive:
    async def test_an_expired_item_is_gone_at_once(self, items, clock):
        await items.aput(("a",), "k", {"n": 1}, ttl=5)
        await items.aput(("b",), "k", {"n": 2})
        clock.advance(minutes=4)
        assert await items.aget(("a",), "k", refresh_ttl=False) is not None
        clock.advance(minutes=1, seconds=1)
        assert await items.aget(("a",), "k") is None
        assert [item.namespace for item in await items.asearch(())] == [("b",)]
        assert await items.alist_namespaces() == [("b",)]

    async def test_a_sweep_removes_what_expired_and_leaves_nothing_of_it(self, items, clock, store):
        for n in range(5):
            await items.aput(("a",), str(n), {"n": n}, ttl=n + 1)
        await items.aput(("a",), "for ever", {"n": 9})
        clock.advance(minutes=3)
        assert await items.sweep_ttl() == 3
        assert await items.sweep_ttl() == 0
        assert [item.key for item in await items.asearch(("a",), refresh_ttl=False)] == ["3", "4", "for ever"]
        clock.advance(hours=1)
        assert await items.sweep_ttl() == 2
        assert await keys(store) == ["items/=a/=for~20ever"]

    @pytest.mark.parametrize("read", ["get", "search"])
    async def test_a_read_begins_the_time_to_live_anew(self, items, clock, read):
        await items.aput(("a",), "k", {"n": 1}, ttl=10)
        for _ in range(5):
            clock.advance(minutes=9)
            found = await items.aget(("a",), "k") if read == "get" else await items.asearch(("a",))
            assert found
            assert await items.sweep_ttl() == 0
        clock.advance(minutes=11)
        assert await items.sweep_ttl() == 1

    async def test_a_search_refreshes_only_what_it_returns(self, items, clock):
        for name in ("first", "second"):
            await items.aput(("a",), name, {"n": 1}, ttl=10)
        clock.advance(minutes=9)
        await items.asearch(("a",), limit=1)
        clock.advance(minutes=2)
        assert [item.key for item in await items.asearch(("a",))] == ["first"]

    @pytest.mark.parametrize("by", ["argument", "configuration"])
    async def test_a_read_need_not_refresh(self, store, clock, by):
        items = ItemStore(store, now=clock, ttl={"refresh_on_read": by == "argument"})
        await items.aput(("a",), "k", {"n": 1}, ttl=10)
        clock.advance(minutes=9)
        choice = False if by == "argument" else None
        assert await items.aget(("a",), "k", refresh_ttl=choice) is not None
        assert await items.asearch(("a",), refresh_ttl=choice)
        clock.advance(minutes=2)
        assert await items.aget(("a",), "k") is None

    async def test_a_put_sets_the_time_to_live_anew(self, items, clock):
        await items.aput(("a",), "shorter", {"n": 1}, ttl=60)
        await items.aput(("a",), "shorter", {"n": 1}, ttl=1)
        await items.aput(("a",), "never", {"n": 1}, ttl=1)
        await items.aput(("a",), "never", {"n": 1})
        await items.aput(("a",), "longer", {"n": 1}, ttl=1)
        await items.aput(("a",), "longer", {"n": 1}, ttl=60)
        clock.advance(minutes=2)
        assert await items.sweep_ttl() == 1
        assert {item.key for item in await items.asearch(("a",), refresh_ttl=False)} == {"never", "longer"}
        clock.advance(hours=2)
        assert await items.sweep_ttl() == 1

    async def test_what_is_put_over_an_expired_item_is_new(self, items, clock):
        await items.aput(("a",), "k", {"n": 1}, ttl=1)
        clock.advance(minutes=2)
        await items.aput(("a",), "k", {"n": 2}, ttl=5)
        found = await items.aget(("a",), "k")
        assert found.created_at == found.updated_at
        assert await items.sweep_ttl() == 0

    async def test_a_deleted_item_leaves_nothing_after_a_sweep(self, items, clock, store):
        await items.aput(("a",), "k", {"n": 1}, ttl=1)
        await items.adelete(("a",), "k")
        clock.advance(hours=1)
        assert await items.sweep_ttl() == 0
        assert await keys(store) == []

    async def test_the_default_holds_for_items_without_their_own(self, store, clock):
        items = ItemStore(store, now=clock, ttl={"default_ttl": 10})
        await items.aput(("a",), "default", {"n": 1})
        await items.aput(("a",), "own", {"n": 1}, ttl=20)
        await items.aput(("a",), "never", {"n": 1}, ttl=None)
        clock.advance(minutes=15)
        assert [item.key for item in await items.asearch(("a",))] == ["own", "never"]

    async def test_expired_items_can_stay_until_the_sweep(self, store, clock):
        items = ItemStore(store, now=clock, ttl={"omit_expired": False, "refresh_on_read": False})
        await items.aput(("a",), "k", {"n": 1}, ttl=1)
        clock.advance(minutes=2)
        assert await items.aget(("a",), "k") is not None
        assert await items.alist_namespaces() == [("a",)]
        assert await items.sweep_ttl() == 1
        assert await items.aget(("a",), "k") is None

    async def test_two_sweeps_at_once_count_each_item_once(self, store, clock):
        stores = [ItemStore(store, now=clock) for _ in range(2)]
        for n in range(20):
            await stores[0].aput(("a",), str(n), {"n": n}, ttl=1)
        clock.advance(minutes=2)
        assert sum(await asyncio.gather(*(one.sweep_ttl() for one in stores))) == 20

    async def test_bounded_sweeps_get_through_everything_the_earliest_first(self, items, clock, store):
        for n in range(7):
            await items.aput(("a",), str(n), {"n": n}, ttl=1 + n)
        clock.advance(hours=1)
        removed = [await items.sweep(clock(), limit=3) for _ in range(3)]
        assert removed == [3, 3, 1]
        assert await keys(store) == []

    async def test_a_bounded_sweep_takes_what_expired_first(self, store, clock):
        items = ItemStore(store, now=clock, ttl={"omit_expired": False, "refresh_on_read": False})
        for n in (3, 1, 2):
            await items.aput(("a",), str(n), {"n": n}, ttl=n)
        clock.advance(hours=1)
        assert await items.sweep(clock(), limit=1) == 1
        assert {item.key for item in await items.asearch(("a",))} == {"2", "3"}

    async def test_an_item_is_stored_as_documented(self, items, store):
        await items.aput(("a b", "c"), "k/1", {"n": "ü"}, ttl=2)
        stored = await store.get("items/=a~20b/=c/=k~2f1")
        document = json.loads(stored.data)
        assert document == {
            "format": 1,
            "namespace": ["a b", "c"],
            "key": "k/1",
            "value": {"n": "ü"},
            "created": document["created"],
            "updated": document["created"],
            "ordinal": 0,
            "ttl": 120.0,
            "expires": document["expires"],
        }
        assert document["created"].startswith("2026-11-21T12:00:30.0000")
        assert await keys(store) == ["item-expiries/20261121T1202/items/=a~20b/=c/=k~2f1", "items/=a~20b/=c/=k~2f1"]
