"""A run that uses all of storage at once, on any store: what parts do to each other shows here."""

import operator
from typing import Annotated, Any

from langgraph.cache.base import BaseCache
from langgraph.cache.memory import InMemoryCache
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, interrupt
from typing_extensions import TypedDict

from durablegraph.model.status import RunStatus
from durablegraph.services import Services
from durablegraph.storage.checkpoints.serde import AppSerializer
from durablegraph.storage.events import Event, created
from durablegraph.storage.node_cache import NodeCache
from durablegraph.storage.objects import ObjectStore
from tests.unit.execution.durably import Durably, services_for

OVERSIZE = "o" * 100_000
"""More than a segment of an event log holds."""
METADATA = {"team": "blue", "size": 3}
STEPS = 4


class State(TypedDict, total=False):
    """`seen` grows, `big` has an object of its own."""

    seen: Annotated[list[str], operator.add]
    big: str
    answer: str


def _inner() -> Any:
    builder = StateGraph(State)
    builder.add_node("one", lambda _: {"seen": ["one"]})
    builder.add_node("two", lambda _: {"seen": ["two"]})
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    builder.add_edge("two", END)
    return builder.compile()


def _work(state: State) -> State:
    get_stream_writer()({"told": OVERSIZE})
    get_store().put(("notes",), "shared", {"steps": len(state["seen"])})
    return {"seen": ["work" * 500], "big": "b" * 20_000 + str(len(state["seen"]))}


def graph() -> Any:
    """Work in a loop, then a subgraph, a cached node and a question."""
    builder = StateGraph(State)
    builder.add_node("work", _work)
    builder.add_node("inner", _inner())
    builder.add_node("cached", lambda _: {"seen": ["cached"]}, cache_policy=CachePolicy(key_func=lambda _: "k"))
    builder.add_node("ask", lambda _: {"answer": interrupt("well?")})
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", lambda state: "work" if len(state["seen"]) < STEPS else "inner")
    builder.add_edge("inner", "cached")
    builder.add_edge("cached", "ask")
    builder.add_edge("ask", END)
    return builder.compile(cache=InMemoryCache())


def services_on(objects: ObjectStore, checkpointer: Any = None, **settings: Any) -> Services:
    """Services of this graph with all that is stored."""
    services = services_for(graph(), objects=objects, checkpointer=checkpointer, keep_last=3, **settings)
    cache: BaseCache[Any] = NodeCache(objects, serde=AppSerializer())
    services.kept.node_cache = cache
    return services


async def begun(services: Services, thread: str, run_id: str) -> Durably:
    """A run as its starter leaves it. May be repeated."""
    run = Durably(services, run_id=run_id, thread_id=thread)
    await services.runs.claim_key(f"key of {run_id}", run_id, "digest")
    if await services.runs.load(run_id) is None:
        modes = ("updates", "values", "custom")
        await run.start({"seen": []}, metadata=METADATA, stream_mode=modes, stream_subgraphs=True)
    request = await services.request(run_id)
    assert request is not None
    await services.events.begin(run_id, created(request))
    return run


async def carried(services: Services, thread: str, run_id: str) -> Durably:
    """A whole run, the question answered."""
    run = await begun(services, thread, run_id)
    record = await run.carry(lambda _: "fine")
    assert record.status is RunStatus.COMPLETED, record.error
    return run


async def told_by(services: Services, run_id: str) -> list[tuple[int, Event]]:
    """The run's whole event log, with offsets."""
    found: list[tuple[int, Event]] = []
    while (page := await services.events.read(run_id, after=len(found))).events:
        found += page.events
    return found


async def keys(objects: ObjectStore) -> dict[str, str]:
    """All keys with their etags."""
    return {entry.key: entry.etag async for entry in objects.list("")}
