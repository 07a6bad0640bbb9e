"""NodeCache and LangGraph's InMemoryCache do the same operations; then what NodeCache promises beyond."""

import asyncio
import logging
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from durablegraph.storage.node_cache import NodeCache
from durablegraph.storage.prefixed import PrefixedStore

FOLDERS = st.sampled_from(
    [("writes", "node"), ("writes",), ("writes", "node", "x"), ("a", "b"), ("a,b",), ("a", "b/c"), ("a/b", "c"), ()]
)
FULL_KEYS = st.tuples(FOLDERS, st.sampled_from(["k", "K", "", "k/l", "\ud800"]))
CACHED = (
    st.none()
    | st.integers(-9, 9)
    | st.text(max_size=5)
    | st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=3)))
)
STEPS = st.one_of(
    st.tuples(st.just("set"), st.dictionaries(FULL_KEYS, st.tuples(CACHED, st.none() | st.just(1000)), max_size=4)),
    st.tuples(st.just("get"), st.lists(FULL_KEYS, max_size=4)),
    st.tuples(st.just("clear"), st.none() | st.lists(FOLDERS, max_size=2)),
)


@pytest.mark.parametrize("face", ["sync", "async"])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, max_size=10))
def test_any_steps_are_answered_as_by_langgraphs_own_cache(store, face, steps):
    oracle: InMemoryCache[Any] = InMemoryCache()
    cache: NodeCache[Any] = NodeCache(PrefixedStore(store, uuid.uuid4().hex))
    for name, argument in steps:
        call = getattr(cache, name if face == "sync" else f"a{name}")
        answer = call(argument) if face == "sync" else asyncio.run(call(argument))
        assert answer == getattr(oracle, name)(argument)


@pytest.fixture
def cache(store, clock) -> NodeCache[Any]:
    return NodeCache(store, now=clock)


async def test_an_entry_counts_for_its_seconds_and_no_longer(cache, clock):
    await cache.aset({(("n",), "k"): ("value", 60), (("n",), "never"): ("value", None)})
    clock.advance(seconds=59)
    assert set(await cache.aget([(("n",), "k")])) == {(("n",), "k")}
    clock.advance(seconds=1)
    assert set(await cache.aget([(("n",), "k"), (("n",), "never")])) == {(("n",), "never")}


async def test_bounded_sweeps_get_through_everything(cache, clock):
    await cache.aset({(("n",), str(key)): (key, 60) for key in range(5)})
    clock.advance(hours=1)
    assert [await cache.sweep(clock(), limit=2) for _ in range(3)] == [2, 2, 1]


async def test_a_sweep_gives_back_the_space_of_expired_entries(cache, clock, store):
    await cache.aset({(("n",), str(n)): (n, 60 * n) for n in range(1, 5)} | {(("n",), "never"): (0, None)})
    clock.advance(minutes=2)
    assert await cache.sweep_ttl() == 2
    await cache.aset({(("n",), "3"): (3, 7200)})
    clock.advance(hours=1)
    assert await cache.sweep_ttl() == 1
    clock.advance(hours=2)
    assert await cache.sweep_ttl() == 1
    clock.advance(hours=1)
    assert await cache.sweep_ttl() == 0
    assert len([entry async for entry in store.list("")]) == 1


async def test_values_that_only_the_serializer_can_write_are_cached(cache):
    value = {"when": datetime(2026, 1, 1, tzinfo=UTC), "ids": {1, 2}, "id": uuid.UUID(int=7)}
    await cache.aset({(("n",), "k"): (value, None)})
    assert await cache.aget([(("n",), "k")]) == {(("n",), "k"): value}


class _Refusing(JsonPlusSerializer):
    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        raise ImportError(f"no class for {data[0]}")


async def test_an_entry_that_cannot_be_read_any_more_is_a_miss(store, cache, caplog):
    await cache.aset({(("n",), "k"): ("value", None)})
    with caplog.at_level(logging.WARNING):
        assert await NodeCache(store, serde=_Refusing()).aget([(("n",), "k")]) == {}
    assert "cannot be read; the node runs again" in caplog.text


async def test_a_damaged_entry_is_a_miss_and_can_be_set_again(store, cache):
    await cache.aset({(("n",), "k"): ("value", None)})
    (entry,) = [entry async for entry in store.list("")]
    for damage in (b"", b"no json\nrest", b"{}\nrest", b"[1]\nrest"):
        await store.put(entry.key, damage)
        assert await cache.aget([(("n",), "k")]) == {}
    await cache.aset({(("n",), "k"): ("new", None)})
    assert await cache.aget([(("n",), "k")]) == {(("n",), "k"): "new"}


async def test_processes_share_the_cache(store, cache):
    await cache.aset({(("n",), "k"): ("value", None)})
    assert await NodeCache(store).aget([(("n",), "k")]) == {(("n",), "k"): "value"}


async def test_namespaces_that_look_alike_when_joined_are_two(cache):
    alike = [("a", "b"), ("a,b",), ("a/b",), ("a", "b", ""), ('a", "b',)]
    await cache.aset({(namespace, "k"): (number, None) for number, namespace in enumerate(alike)})
    assert list((await cache.aget([(namespace, "k") for namespace in alike])).values()) == list(range(5))
    await cache.aclear([("a,b",)])
    assert list((await cache.aget([(namespace, "k") for namespace in alike])).values()) == [0, 2, 3, 4]
