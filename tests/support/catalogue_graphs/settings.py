"""What a run is given beside its input: limits, context, configuration, stores, caches."""

import operator
from dataclasses import dataclass
from typing import Annotated

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.cache.memory import InMemoryCache
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.managed import IsLastStep, RemainingSteps
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import CachePolicy
from typing_extensions import TypedDict

from tests.support.catalogue_graphs.case import Log, case, chain, log_graph, says


class Counted(TypedDict):
    log: Annotated[list, operator.add]
    left: RemainingSteps
    last: IsLastStep


@case(config={"recursion_limit": 7})
def remaining_steps():
    """`remaining_steps` counts down over the whole run."""
    builder = StateGraph(Counted)
    builder.add_node("again", lambda s: {"log": [s["left"]]})
    builder.add_edge(START, "again")
    builder.add_conditional_edges("again", lambda s: "again" if s["left"] > 2 else END)
    return builder.compile()


@case(config={"recursion_limit": 6})
def is_last_step():
    """`is_last_step` is true once, in the run's last allowed step."""
    builder = StateGraph(Counted)
    builder.add_node("again", lambda s: {"log": [[s["last"], s["left"]]]})
    builder.add_edge(START, "again")
    builder.add_conditional_edges("again", lambda s: END if s["log"][-1][0] else "again")
    return builder.compile()


@case(config={"recursion_limit": 5}, raises="GraphRecursionError")
def recursion_limit():
    """A run that needs more steps than its limit fails after exactly that many."""
    builder = log_graph("again")
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    return builder.compile()


@case(config={"recursion_limit": 3}, raises="GraphRecursionError")
def recursion_limit_just_reached():
    """LangGraph wants one step more than there are nodes, to see that nothing is left."""
    return chain("a", "b", "c")


@case(config={"recursion_limit": 4})
def recursion_limit_not_reached():
    """With one more the same run is fine."""
    return chain("a", "b", "c")


@case(raises="GraphRecursionError")
def recursion_limit_of_the_graph():
    """A limit bound to the graph holds where the caller gives none."""
    builder = log_graph("again")
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    return builder.compile().with_config(recursion_limit=4)


@dataclass
class Tenant:
    name: str
    level: int = 1


@case(context={"name": "acme", "level": 3})
def context():
    """Context reaches every node, as the class that the graph declares."""
    builder = StateGraph(Log, context_schema=Tenant)

    def node(state: Log, runtime: Runtime[Tenant]) -> dict:
        return {"log": [type(runtime.context).__name__, runtime.context.name, runtime.context.level]}

    builder.add_node("a", node)
    builder.add_node("b", node)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder.compile()


@case(config={"configurable": {"colour": "red"}, "tags": ["t"], "metadata": {"origin": "test"}})
def configuration():
    """A caller's configurable values, tags and metadata reach every node."""

    def node(state: Log, config: RunnableConfig) -> dict:
        return {"log": [config["configurable"]["colour"], config["metadata"]["origin"], "t" in config["tags"]]}

    builder = StateGraph(Log)
    builder.add_node("a", node)
    builder.add_node("b", node)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder.compile()


@case()
def store():
    """Nodes share a Store: by parameter, by runtime, by function."""

    async def write(state: Log, *, store: BaseStore) -> dict:
        await store.aput(("notes", "a"), "k", {"n": 1})
        return {"log": ["written"]}

    async def update(state: Log, runtime: Runtime) -> dict:
        item = await runtime.store.aget(("notes", "a"), "k")
        await runtime.store.aput(("notes", "a"), "k2", {"n": item.value["n"] + 1})
        return {"log": ["updated"]}

    async def read(state: Log) -> dict:
        items = await get_store().asearch(("notes",))
        return {"log": sorted([item.key, item.value["n"]] for item in items)}

    builder = StateGraph(Log)
    builder.add_node("write", write)
    builder.add_node("update", update)
    builder.add_node("read", read)
    builder.add_edge(START, "write")
    builder.add_edge("write", "update")
    builder.add_edge("update", "read")
    return builder.compile(store=InMemoryStore())


@case()
def store_of_the_app():
    """A graph that brings no Store is given one."""

    async def write(state: Log, runtime: Runtime) -> dict:
        await runtime.store.aput(("of the app", "a"), "k", {"n": 1})
        return {"log": ["written"]}

    async def read(state: Log, runtime: Runtime) -> dict:
        item = await runtime.store.aget(("of the app", "a"), "k")
        return {"log": [item.value["n"]]}

    builder = StateGraph(Log)
    builder.add_node("write", write)
    builder.add_node("read", read)
    builder.add_edge(START, "write")
    builder.add_edge("write", "read")
    return builder.compile()


@case()
def cached_node():
    """A node with a cache policy and the same key as before does not run again."""
    builder = StateGraph(Log)
    builder.add_node("plan", says("plan"))
    builder.add_node("work", lambda _: {"log": ["work"]}, cache_policy=CachePolicy(key_func=lambda _: "same"))
    builder.add_edge(START, "plan")
    builder.add_edge("work", "plan")
    builder.add_conditional_edges("plan", lambda s: "work" if s["log"].count("work") < 3 else END)
    return builder.compile(cache=InMemoryCache())


@case()
def stream_writer():
    """Writing to the stream where nobody listens does no harm."""

    def node(state: Log) -> dict:
        get_stream_writer()({"half": "way"})
        return {"log": ["a"]}

    builder = log_graph("b")
    builder.add_node("a", node)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder.compile()


@case()
def async_only_nodes():
    """Nodes that have no synchronous side."""

    async def one(state: Log) -> dict:
        return {"log": ["one"]}

    async def two(state: Log, config: RunnableConfig) -> dict:
        return {"log": ["two"]}

    builder = StateGraph(Log)
    builder.add_node(one)
    builder.add_node(two)
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    return builder.compile()


class Caller:
    """A node that is an object."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, state: Log) -> dict:
        return {"log": [f"{self.word} after {len(state['log'])}"]}


@case()
def nodes_of_every_kind():
    """Objects, runnables and sequences of runnables are nodes too."""
    builder = StateGraph(Log)
    builder.add_node("object", Caller("object"))
    builder.add_node("runnable", RunnableLambda(lambda _: {"log": ["runnable"]}))
    builder.add_node("sequence", RunnableLambda(lambda s: len(s["log"])) | RunnableLambda(lambda n: {"log": [n]}))
    builder.add_edge(START, "object")
    builder.add_edge("object", "runnable")
    builder.add_edge("runnable", "sequence")
    return builder.compile()


@case()
def task_facts():
    """A node can learn which attempt and node it is."""

    def node(state: Log, runtime: Runtime) -> dict:
        facts = runtime.execution_info
        return {"log": [facts.node_attempt, facts.checkpoint_ns.split(":")[0], bool(facts.thread_id)]}

    builder = log_graph("b")
    builder.add_node("a", node)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder.compile()
