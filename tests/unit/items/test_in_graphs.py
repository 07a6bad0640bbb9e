"""Compiled graphs with ItemStore and NodeCache, both as LangGraph calls them."""

import asyncio
import threading
from typing import TypedDict

import pytest
from langgraph.cache.base import BaseCache
from langgraph.config import get_store
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.types import CachePolicy

from durablegraph.storage.items import ItemStore
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.node_cache import NodeCache
from durablegraph.storage.sqlite import SqliteObjectStore

USER = ("users", "ann")


class State(TypedDict):
    seen: int


def count_visit(state: State, runtime: Runtime) -> State:
    assert runtime.store is not None
    known = runtime.store.get(USER, "visits")
    visits = (known.value["count"] if known else 0) + 1
    runtime.store.put(USER, "visits", {"count": visits})
    assert get_store().get(USER, "visits").value == {"count": visits}
    return {"seen": visits}


async def acount_visit(state: State, runtime: Runtime) -> State:
    assert runtime.store is not None
    known = await runtime.store.aget(USER, "visits")
    visits = (known.value["count"] if known else 0) + 1
    await runtime.store.aput(USER, "visits", {"count": visits})
    assert (await get_store().asearch(("users",), filter={"count": {"$gte": visits}}))[0].key == "visits"
    assert get_store().get(USER, "visits").value == {"count": visits}  # on the loop's own thread: no deadlock
    return {"seen": visits}


def injected(state: State, *, store: BaseStore) -> State:
    store.put(USER, "name", "Ann")
    return {"seen": len(store.search(USER))}


@pytest.fixture(params=["memory", "sqlite"])
async def items(request, tmp_path):
    objects = MemoryObjectStore() if request.param == "memory" else SqliteObjectStore(tmp_path / "objects.db")
    yield ItemStore(objects)
    await objects.aclose()


def compiled(items: ItemStore, *nodes):
    builder = StateGraph(State)
    builder.add_sequence(nodes)
    builder.add_edge(START, nodes[0].__name__)
    return builder.compile(store=items)


async def test_sync_and_async_nodes_share_items_under_ainvoke(items):
    graph = compiled(items, count_visit, acount_visit, injected)
    assert await graph.ainvoke({"seen": 0}) == {"seen": 2}
    assert (await items.aget(USER, "visits")).value == {"count": 2}
    assert (await items.aget(USER, "name")).value == "Ann"


async def test_sync_nodes_use_items_under_invoke_in_a_thread_while_the_loop_runs(items):
    graph = compiled(items, count_visit, injected)
    assert await asyncio.to_thread(graph.invoke, {"seen": 0}) == {"seen": 2}
    assert (await items.aget(USER, "visits")).value == {"count": 1}


async def test_sync_nodes_use_items_under_invoke_on_the_loops_own_thread(items):
    assert compiled(items, count_visit).invoke({"seen": 0}) == {"seen": 1}


async def test_memory_lasts_from_run_to_run_in_the_functional_api(items):
    @task
    async def remember(word: str) -> int:
        await get_store().aput(("words",), word, {"word": word})
        return len(await get_store().asearch(("words",)))

    @entrypoint(store=items)
    async def flow(words: list[str], *, store: BaseStore) -> int:
        for word in words:
            await remember(word)
        return len(await store.asearch(("words",)))

    assert await flow.ainvoke(["one", "two"]) == 2
    assert await flow.ainvoke(["two", "three"]) == 3


class Work(TypedDict):
    number: int
    result: int


def cached_graph(cache: BaseCache, ran: list[int], *, key_func=None):
    def slow(state: Work) -> dict[str, int]:
        ran.append(state["number"])
        return {"result": state["number"] * 2}

    policy = CachePolicy(ttl=60) if key_func is None else CachePolicy(ttl=60, key_func=key_func)
    builder = StateGraph(Work)
    builder.add_node("slow", slow, cache_policy=policy)
    builder.add_edge(START, "slow")
    return builder.compile(cache=cache)


async def test_a_node_runs_once_for_one_input_in_every_process(clock):
    objects, ran = MemoryObjectStore(), []
    for _ in range(3):
        graph = cached_graph(NodeCache(objects, now=clock), ran)
        assert await graph.ainvoke({"number": 3}) == {"number": 3, "result": 6}
        assert await asyncio.to_thread(graph.invoke, {"number": 3}) == {"number": 3, "result": 6}
    await graph.ainvoke({"number": 4})
    assert ran == [3, 4]


async def test_a_node_runs_again_when_its_entry_expired_or_was_cleared(clock):
    ran: list[int] = []
    graph = cached_graph(NodeCache(MemoryObjectStore(), now=clock), ran)
    await graph.ainvoke({"number": 3})
    clock.advance(seconds=61)
    await graph.ainvoke({"number": 3})
    assert ran == [3, 3]
    await graph.aclear_cache()
    graph.invoke({"number": 3})
    assert ran == [3, 3, 3]
    graph.clear_cache()
    graph.invoke({"number": 3})
    assert ran == [3, 3, 3, 3]


def test_a_dropped_store_leaves_no_thread():
    before = set(threading.enumerate())
    items = ItemStore(MemoryObjectStore())
    items.put(("a",), "k", {"n": 1})
    (thread,) = set(threading.enumerate()) - before
    del items
    thread.join(5)
    assert not thread.is_alive()
