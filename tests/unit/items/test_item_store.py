"""Costs, refusals and failures of ItemStore."""

import asyncio
import threading

import pytest
from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    PutOp,
    SearchOp,
)

from durablegraph.errors import ConfigurationError, InvalidRequest, InvariantBroken, TransientError
from durablegraph.storage.items import ItemStore
from durablegraph.storage.items.etag_cache import EtagCache
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.stores import FaultStore, Kind, SimulatedCrash, When, crash


def letters(texts):
    return [[float(text.count(letter)) for letter in "abc"] for text in texts]


@pytest.fixture
def items(counting, clock) -> ItemStore:
    return ItemStore(counting, now=clock)


async def put_many(items: ItemStore, count: int) -> None:
    await items.abatch([PutOp(("many",), str(n), {"n": n}) for n in range(count)])


class TestCost:
    async def test_a_get_is_one_request(self, items, counting):
        await items.aget(("a",), "k")
        assert counting.tally.requests == {Kind.READ: 1}

    async def test_a_put_is_two_requests_and_one_when_the_item_is_known(self, items, counting):
        await items.aput(("a",), "k", {"n": 1})
        assert counting.start_anew().requests == {Kind.READ: 1, Kind.WRITE: 1}
        await items.aput(("a",), "k", {"n": 2})
        assert counting.tally.requests == {Kind.WRITE: 1}

    async def test_a_search_is_a_listing_and_a_read_for_each_item_not_read_before(self, items, counting, clock):
        await put_many(items, 20)
        fresh = ItemStore(counting, now=clock)
        counting.start_anew()
        await fresh.asearch(("many",))
        assert counting.start_anew().requests == {Kind.LIST: 1, Kind.READ: 20}
        await items.aput(("many",), "3", {"n": -3})
        counting.start_anew()
        found = await fresh.asearch(("many",), filter={"n": -3})
        assert counting.tally.requests == {Kind.LIST: 1, Kind.READ: 1}
        assert [item.key for item in found] == ["3"]

    async def test_a_search_of_a_deep_namespace_reads_only_what_may_be_below(self, counting, clock):
        items = ItemStore(counting, now=clock)
        deep = tuple("x" * 150 for _ in range(3))
        await items.abatch([PutOp((*deep[:2], str(n)), "k", {"n": n}) for n in range(9)])
        await items.aput((*deep, "end"), "k", {"n": 9})
        counting.start_anew()
        assert [item.value["n"] for item in await ItemStore(counting, now=clock).asearch(deep)] == [9]
        assert counting.tally.requests == {Kind.LIST: 1, Kind.READ: 1}

    async def test_namespaces_are_listed_without_reading_items(self, items, counting):
        await put_many(items, 20)
        await items.aput(("temporary",), "k", {"n": 1}, ttl=5)
        counting.start_anew()
        assert await items.alist_namespaces() == [("many",), ("temporary",)]
        assert counting.tally.requests == {Kind.LIST: 2}

    async def test_a_sweep_reads_only_what_is_due(self, items, counting, clock):
        await put_many(items, 20)
        await items.aput(("a",), "due", {"n": 1}, ttl=5)
        await items.aput(("a",), "later", {"n": 1}, ttl=500)
        clock.advance(minutes=10)
        counting.start_anew()
        assert await items.sweep_ttl() == 1
        assert counting.tally.requests == {Kind.LIST: 1, Kind.READ: 1, Kind.DELETE: 1}

    async def test_a_time_to_live_costs_one_write_in_an_items_life_however_often_it_is_put(self, items, counting):
        await items.aput(("a",), "k", {"n": 1}, ttl=5)
        assert counting.start_anew().requests == {Kind.READ: 1, Kind.WRITE: 2}
        for n in range(3):
            await items.aput(("a",), "k", {"n": n}, ttl=5)
        assert counting.tally.requests == {Kind.WRITE: 3}


class TestBatches:
    async def test_reads_see_what_was_before_and_the_last_write_wins(self, items):
        await items.aput(("a",), "k", {"n": 0})
        results = await items.abatch(
            [
                PutOp(("a",), "k", {"n": 1}),
                GetOp(("a",), "k"),
                PutOp(("b",), "new", {"n": 1}),
                SearchOp(()),
                ListNamespacesOp(),
                PutOp(("b",), "new", None),
                PutOp(("a",), "k", {"n": 2}),
            ]
        )
        assert results[1].value == {"n": 0}
        assert [(item.key, item.value) for item in results[3]] == [("k", {"n": 0})]
        assert results[4] == [("a",)]
        assert [results[place] for place in (0, 2, 5, 6)] == [None] * 4
        assert [(item.key, item.value) for item in await items.asearch(())] == [("k", {"n": 2})]

    async def test_operations_may_come_from_a_generator_and_an_empty_batch_is_nothing(self, items, counting):
        assert await items.abatch(op for op in ()) == []
        assert items.batch([]) == []
        assert counting.tally.total == 0
        assert items.batch(PutOp(("a",), str(n), {"n": n}) for n in range(3)) == [None] * 3

    async def test_a_value_changed_after_the_put_does_not_change_the_item(self, items):
        value = {"list": [1]}
        await items.aput(("a",), "k", value)
        value["list"].append(2)
        found = await items.asearch(("a",))
        found[0].value["list"].append(3)
        assert (await items.asearch(("a",)))[0].value == {"list": [1]}

    async def test_an_item_read_and_written_by_one_batch_is_not_refreshed_too(self, items, counting):
        await items.aput(("a",), "k", {"n": 1}, ttl=5)
        counting.start_anew()
        await items.abatch([GetOp(("a",), "k"), PutOp(("a",), "k", {"n": 2}, ttl=5)])
        assert counting.tally.requests == {Kind.READ: 1, Kind.WRITE: 1}


class TestRefusals:
    @pytest.mark.parametrize("namespace", [(), ("langgraph", "x"), ("a.b",), ("",), ("a", 7), ("\x00",)])
    async def test_a_put_checks_the_namespace_as_langgraph_does(self, items, namespace):
        with pytest.raises(InvalidNamespaceError):
            await items.aput(namespace, "k", {"n": 1})
        with pytest.raises(InvalidNamespaceError):
            items.put(namespace, "k", {"n": 1})

    @pytest.mark.parametrize(
        "op", [GetOp(("a.b",), "k"), PutOp(("a.b",), "k", {}), SearchOp(("",)), PutOp(("a", 7), "k", {})]
    )
    async def test_a_batch_checks_labels_too(self, items, op):
        with pytest.raises(InvalidNamespaceError):
            await items.abatch([op])

    async def test_a_batch_with_a_bad_operation_does_nothing(self, items, counting):
        for bad in (PutOp(("a",), "bad", {"o": object()}), SearchOp((), {"n": {"$near": 1}}), "no operation"):
            with pytest.raises((InvalidRequest, ValueError)):
                await items.abatch([PutOp(("a",), "good", {"n": 1}), bad])
        assert counting.tally.total == 0

    @pytest.mark.parametrize("minutes", [-1, float("nan"), float("inf"), 1e9])
    async def test_a_time_to_live_that_is_none_is_refused(self, items, minutes):
        with pytest.raises(InvalidRequest, match="time to live"):
            await items.aput(("a",), "k", {"n": 1}, ttl=minutes)
        with pytest.raises(InvalidRequest, match="time to live"):
            ItemStore(MemoryObjectStore(), ttl={"default_ttl": minutes})

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (b"", "is not an item"),
            (b"[]", "is not an item"),
            (b'{"format": 2}', "later version"),
            (b'{"format": 1}', "is not an item"),
            (b"\xff", "is not an item"),
        ],
    )
    async def test_a_damaged_object_is_named_and_never_served(self, items, counting, damage, message):
        await counting.put("items/=a/=k", damage)
        for read in (items.aget(("a",), "k"), items.asearch(("a",))):
            with pytest.raises(InvariantBroken, match=message) as caught:
                await read
            assert "items/=a/=k" in str(caught.value)

    async def test_an_object_under_another_items_key_is_never_served(self, items, counting):
        await items.aput(("a",), "k", {"n": 1})
        await counting.put("items/=a/=other", (await counting.get("items/=a/=k")).data)
        with pytest.raises(InvariantBroken, match="moved by hand"):
            await items.aget(("a",), "other")


class TestFailures:
    async def test_a_write_that_fails_does_not_stop_the_others_and_the_batch_can_be_repeated(self, clock):
        inner = MemoryObjectStore()
        items = ItemStore(FaultStore(inner, at=3, kinds=frozenset({Kind.WRITE})), now=clock)
        ops = [PutOp(("a",), str(n), {"n": n}) for n in range(6)]
        with pytest.raises(TransientError):
            await items.abatch(ops)
        assert len(await items.asearch(("a",))) == 5
        await items.abatch(ops)
        assert [item.value["n"] for item in sorted(await items.asearch(("a",)), key=lambda item: item.key)] == [
            0, 1, 2, 3, 4, 5,
        ]  # fmt: skip

    @pytest.mark.parametrize("when", When)
    async def test_no_crash_leaves_an_item_that_is_never_swept(self, clock, when):
        for at in range(1, 12):
            inner = MemoryObjectStore()
            items = ItemStore(FaultStore(inner, at=at, when=when, fault=crash), now=clock)
            try:
                await items.aput(("a",), "k", {"n": 1}, ttl=30)
                await items.aput(("a",), "k", {"n": 2}, ttl=3)
                await items.aget(("a",), "k")
                clock.advance(hours=1)
                await items.sweep_ttl()
            except SimulatedCrash:
                pass
            clock.advance(hours=2)
            after = ItemStore(inner, now=clock)
            await after.sweep_ttl()
            assert [entry.key async for entry in inner.list("")] == []

    async def test_a_refresh_gives_way_to_a_put_made_meanwhile(self, clock):
        inner = MemoryObjectStore()
        items, other = ItemStore(inner, now=clock), ItemStore(inner, now=clock)
        await items.aput(("a",), "k", {"n": 1}, ttl=5)
        found = await items._items.get(("a",), "k", clock())
        await other.aput(("a",), "k", {"n": 2}, ttl=50)
        await items._items.refresh(found, clock())
        assert (await items.aget(("a",), "k")).value == {"n": 2}

    async def test_a_put_is_made_however_often_others_are_faster(self, clock):
        inner = MemoryObjectStore()
        items, other = ItemStore(inner, now=clock), ItemStore(inner, now=clock)
        await items.aput(("a",), "k", {"n": 1})
        created = (await items.aget(("a",), "k")).created_at
        putting, rounds = inner.put, []

        async def late_put(key, data, *, if_match=None, if_absent=False):
            rounds.append(if_match)
            inner.put = putting  # type: ignore[method-assign]
            await other.aput(("a",), "k", {"n": 2})
            inner.put = late_put  # type: ignore[method-assign]
            return await putting(key, data, if_match=if_match, if_absent=if_absent)

        inner.put = late_put  # type: ignore[method-assign]
        await items.aput(("a",), "k", {"n": 3}, ttl=5)
        inner.put = putting  # type: ignore[method-assign]
        found = await items.aget(("a",), "k", refresh_ttl=False)
        assert (found.value, found.created_at) == ({"n": 3}, created)
        assert len(rounds) < 20
        clock.advance(minutes=6)
        assert await items.sweep_ttl() == 1

    async def test_an_item_put_while_a_sweep_removes_it_stays(self, clock):
        inner = MemoryObjectStore()
        items, other = ItemStore(inner, now=clock), ItemStore(inner, now=clock)
        await items.aput(("a",), "k", {"n": 1}, ttl=1)
        clock.advance(minutes=2)
        deleting = inner.delete

        async def late_delete(key, *, if_match=None):
            await other.aput(("a",), "k", {"n": 2}, ttl=5)
            return await deleting(key, if_match=if_match)

        inner.delete = late_delete  # type: ignore[method-assign]
        assert await items.sweep_ttl() == 0
        assert (await items.aget(("a",), "k", refresh_ttl=False)).value == {"n": 2}
        inner.delete = deleting  # type: ignore[method-assign]
        clock.advance(hours=1)
        assert await items.sweep_ttl() == 1


class TestIndex:
    async def test_a_put_replaces_what_was_indexed(self, clock):
        items = ItemStore(MemoryObjectStore(), index={"dims": 3, "embed": letters}, now=clock)
        await items.aput(("t",), "k", {"text": "aaa"})
        await items.aput(("t",), "k", {"text": "bbb"})
        (found,) = await items.asearch(("t",), query="b")
        assert found.score > (await items.asearch(("t",), query="c"))[0].score
        await items.aput(("t",), "k", {"text": "bbb"}, index=False)
        assert [item.score for item in await items.asearch(("t",), query="b")] == [None]

    async def test_equal_texts_are_embedded_once(self, clock):
        asked: list[list[str]] = []

        async def embed(texts):
            asked.append(list(texts))
            return letters(texts)

        items = ItemStore(MemoryObjectStore(), index={"dims": 3, "embed": embed, "fields": ["t"]}, now=clock)
        await items.abatch([PutOp(("t",), str(n), {"t": "same"}) for n in range(3)])
        assert asked == [["same"]]
        assert len(await items.asearch(("t",), query="same")) == 3

    async def test_pages_of_a_query_neither_repeat_nor_miss_an_item(self, clock):
        items = ItemStore(MemoryObjectStore(), index={"dims": 3, "embed": letters, "fields": ["t"]}, now=clock)
        for n in range(7):
            await items.aput(("t",), str(n), {"t": "ab" * n + "c"} if n % 2 else {"n": n})
        pages = [await items.asearch(("t",), query="a", limit=2, offset=offset) for offset in range(0, 8, 2)]
        assert sorted(item.key for page in pages for item in page) == [str(n) for n in range(7)]
        assert [item.score is None for page in pages for item in page] == [False] * 3 + [True] * 4

    @pytest.mark.parametrize(
        ("embed", "message"),
        [
            (lambda texts: [[1.0, 2.0]] * len(texts), "2 numbers; expected the 3"),
            (lambda _: [[1.0, 2.0, 3.0]] * 5, "5 vectors for 1 texts"),
            (lambda texts: [[1.0, 2.0, float("nan")]] * len(texts), "not finite"),
            (lambda texts: [[1.0, 2.0, 1e300]] * len(texts), "beyond 4-byte floats"),
        ],
    )
    async def test_embeddings_that_do_not_fit_are_refused_before_anything_is_written(
        self, counting, clock, embed, message
    ):
        items = ItemStore(counting, index={"dims": 3, "embed": embed}, now=clock)
        for put in (items.aput, asyncio.to_thread):
            with pytest.raises(ConfigurationError, match=message):
                await (put(("a",), "k", {"n": 1}) if put == items.aput else put(items.put, ("a",), "k", {"n": 1}))
        assert counting.tally.total == 0

    async def test_items_embedded_by_a_model_of_other_dimensions_come_without_a_score(self, clock):
        objects = MemoryObjectStore()
        before = ItemStore(objects, index={"dims": 3, "embed": letters}, now=clock)
        await before.aput(("t",), "old", {"text": "a"})
        embed = lambda texts: [[1.0, 2.0] for _ in texts]  # noqa: E731 -- a model in one line
        after = ItemStore(objects, index={"dims": 2, "embed": embed}, now=clock)
        await after.aput(("t",), "new", {"text": "a"})
        assert [(item.key, item.score is None) for item in await after.asearch(("t",), query="a")] == [
            ("new", False),
            ("old", True),
        ]

    async def test_a_store_without_index_ignores_index_and_query(self, items):
        await items.aput(("t",), "k", {"text": "a"}, index=["text"])
        assert [(item.key, item.score) for item in await items.asearch(("t",), query="a")] == [("k", None)]

    def test_an_index_without_embeddings_refuses_to_start(self):
        with pytest.raises(ConfigurationError, match="cannot embed"):
            ItemStore(MemoryObjectStore(), index={"dims": 3})  # type: ignore[typeddict-item]

    def test_the_sync_face_embeds_in_the_callers_thread(self, clock):
        seen: set[int] = set()

        def embed(texts):
            seen.add(threading.get_ident())
            return letters(texts)

        items = ItemStore(MemoryObjectStore(), index={"dims": 3, "embed": embed}, now=clock)
        items.put(("t",), "k", {"text": "a"})
        items.search(("t",), query="a")
        assert seen == {threading.get_ident()}


async def test_the_memory_of_read_objects_is_bounded():
    objects = MemoryObjectStore()
    cache = EtagCache(objects, most_bytes=5000)
    for n in range(50):
        await objects.put(f"items/={n}", b"x" * 1000)
        await cache.get(f"items/={n}")
    assert cache.known("items/=49") is not None
    assert cache.known("items/=0") is None
    await objects.put("items/=big", b"x" * 6000)
    assert len((await cache.get("items/=big")).data) == 6000
    assert cache.known("items/=big") is None
    assert cache._bytes == 0
