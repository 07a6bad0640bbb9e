"""Which results are cached, durably and plainly: those of graphs that are compiled with a cache, and no others."""

from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy
from typing_extensions import TypedDict

from durablegraph.graphs.loading import Loading
from durablegraph.graphs.registry import Registered
from durablegraph.model.status import RunStatus
from durablegraph.storage.checkpoints.serde import AppSerializer
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.node_cache import NodeCache
from durablegraph.storage.objects import ObjectStore
from tests.unit.execution.durably import Durably, services_for


class State(TypedDict, total=False):
    n: int
    twice: int


def compiled(ran: list[int], cache: Any) -> Any:
    def work(state: State) -> State:
        ran.append(state["n"])
        return {"twice": state["n"] * 2}

    builder = StateGraph(State)
    builder.add_node("work", work, cache_policy=CachePolicy())
    builder.add_edge(START, "work")
    builder.add_edge("work", END)
    return builder.compile(cache=cache)


def around(inner: Any, cache: Any) -> Any:
    builder = StateGraph(State)
    builder.add_node("inner", inner)
    builder.add_edge(START, "inner")
    builder.add_edge("inner", END)
    return builder.compile(cache=cache)


def made(shape: str, ran: list[int]) -> Any:
    match shape:
        case "without a cache":
            return compiled(ran, None)
        case "with a cache":
            return compiled(ran, InMemoryCache())
        case "a subgraph with a cache":
            return around(compiled(ran, InMemoryCache()), None)
        case _:
            return around(compiled(ran, None), InMemoryCache())


SHAPES = ["without a cache", "with a cache", "a subgraph with a cache", "a subgraph below a cache"]


async def durable(graph: Any, objects: ObjectStore, run_id: str) -> Any:
    """The output of a run on a thread of its own, as a worker that has just loaded the graph executes it."""
    services = services_for(graph, objects=objects)
    services.graphs.loaded = await Loading(None).from_code("g", Registered(graph))  # type: ignore[attr-defined]
    services.kept.node_cache = NodeCache(objects, serde=AppSerializer())
    run = Durably(services, run_id=run_id, thread_id=run_id)
    await run.start({"n": 3})
    assert (await run.carry()).status is RunStatus.COMPLETED
    return await run.output()


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_node_runs_as_often_as_with_plain_langgraph(shape: str) -> None:
    plainly: list[int] = []
    oracle = made(shape, plainly)
    durably: list[int] = []
    graph, objects = made(shape, durably), MemoryObjectStore()
    for number in range(3):
        assert await durable(graph, objects, f"run {number}") == oracle.invoke({"n": 3})
    assert durably == plainly


async def test_a_cache_in_memory_is_replaced_by_the_app_s_which_every_worker_reads() -> None:
    ran: list[int] = []
    objects = MemoryObjectStore()
    for number in range(3):
        assert await durable(compiled(ran, InMemoryCache()), objects, f"run {number}") == {"n": 3, "twice": 6}
    assert ran == [3]
    assert [entry.key async for entry in objects.list("node-cache/")]


async def test_a_graph_without_a_cache_stores_no_results() -> None:
    objects = MemoryObjectStore()
    await durable(compiled([], None), objects, "run")
    assert not [entry.key async for entry in objects.list("node-cache")]
