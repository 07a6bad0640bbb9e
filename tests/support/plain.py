"""The oracle: what a graph does when LangGraph alone runs it, and how to watch any graph without changing its source.

`counting` makes a graph's nodes leave a line in a file each time they run, in whatever process that is. `run_plainly`
runs a case with `ainvoke` on an in-memory saver and tells everything that a durable run has to agree with.
"""

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.pregel import Pregel
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, StateSnapshot

from tests.support.catalogue_graphs.case import Built, Case

RANDOM_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")

TIMES = {"created_at", "modified_at"}

MOST_STOPS = 50
"""A case that stops more often than this has gone astray."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of one node. `where` leads from the root to its graph by node names, `task` tells tasks apart.

    `base` is the root graph's checkpoint that its super-step started from.
    """

    node: str
    where: tuple[str, ...]
    step: int
    task: str
    pid: int
    base: str = ""


class Counted(Runnable[Any, Any]):
    """A node's runnable that writes a line, synced to nothing, before it does what it always did."""

    def __init__(self, node: str, bound: Runnable[Any, Any], path: Path) -> None:
        self.name = node
        self.bound = bound
        self.path = path

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002 -- Runnable's
        note(self.path, self.name, config)
        return self.bound.invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        note(self.path, self.name, config)
        return await self.bound.ainvoke(input, config, **kwargs)

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002
        note(self.path, self.name, config)
        async for chunk in self.bound.astream(input, config, **kwargs):
            yield chunk


def note(path: Path, node: str, config: RunnableConfig | None) -> None:
    """Append one execution; a line is one write, so lines of several processes do not mix."""
    metadata = (config or {}).get("metadata", {})
    line = {
        "node": node,
        "ns": metadata.get("langgraph_checkpoint_ns", ""),
        "step": metadata.get("langgraph_step", -1),
        "base": (config or {}).get("configurable", {}).get("checkpoint_map", {}).get("", ""),
        "pid": os.getpid(),
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


def counting(graph: Pregel, path: Path) -> Pregel:
    """Make every node of this graph, and of the graphs inside it, leave a line in `path`; returns the same graph.

    The graph object is changed in place (its compiled form, not its definition); after a second call it leaves its
    lines in the second file.
    """
    for name, node in graph.nodes.items():
        if name == START:
            continue
        for subgraph in node.subgraphs:
            if isinstance(subgraph, Pregel):
                counting(subgraph, path)
        if isinstance(node.bound, Counted):
            node.bound.path = path
            continue
        if isinstance(node.bound, Pregel):
            continue  # what runs there are its own nodes, and wrapped it would be no declared subgraph any more
        node.bound = Counted(name, node.bound, path)
        node.__dict__.pop("node", None)
    return graph


def executions(path: Path) -> list[Execution]:
    """All executions in the order in which they began."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text().splitlines():
        told = json.loads(line)
        parts = [part.split(":")[0] for part in told["ns"].split("|")]
        found.append(Execution(told["node"], tuple(parts[:-1]), told["step"], told["ns"], told["pid"], told["base"]))
    return found


Steps = list[tuple[int, list[str]]]


def in_order(ran: list[Execution]) -> dict[str, list[Steps]]:
    """For every graph, by its way from the root: the super-steps of each of its runs, in the order they ran.

    A super-step's nodes are sorted by name, for they have no order among themselves; neither have the runs of a graph
    that go on side by side, so these are sorted too.
    """
    runs: dict[tuple[str, str], list[Execution]] = {}
    for execution in ran:
        runs.setdefault(("/".join(execution.where), execution.task.rpartition("|")[0]), []).append(execution)
    found: dict[str, list[Steps]] = {}
    for (where, _), executed in runs.items():
        steps = [(step, sorted(e.node for e in group)) for step, group in groupby(executed, key=lambda e: e.step)]
        found.setdefault(where, []).append(steps)
    return {where: sorted(steps) for where, steps in sorted(found.items())}


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """What two histories of the same run have in common: ids and times differ, these do not."""

    source: str
    step: int
    values: Any
    next: tuple[str, ...]


@dataclass(slots=True)
class PlainRun:
    """Everything that a run did. `asked` holds the questions of each stop, sorted by their text.

    `state` is the thread's at its head, where unlike in `history` the writes that are not committed yet are applied.
    It is None where LangGraph itself cannot show it; `unreadable` is the error of a history that it cannot show.
    """

    output: Any = None
    values: Any = None
    state: CheckpointFacts | None = None
    asked: list[list[Any]] = field(default_factory=list)
    stops: list[tuple[str, ...]] = field(default_factory=list)
    error: tuple[str, str] | None = None
    history: list[CheckpointFacts] = field(default_factory=list)
    ran: list[Execution] = field(default_factory=list)
    unreadable: str | None = None


def compiled(built: Built, saver: BaseCheckpointSaver[Any]) -> Pregel:
    """The graph on this saver, whether it was built or only described, with a Store unless it brings its own."""
    graph = built.compile() if isinstance(built, StateGraph) else built
    graph.checkpointer = saver
    graph.store = graph.store or InMemoryStore()
    return graph


def without_chance(value: Any) -> Any:
    """The value with what chance and clocks put into it replaced by one word; what a graph chose itself stays."""
    match value:
        case BaseMessage():
            return type(value)(**without_chance(value.model_dump()))
        case str():
            return RANDOM_ID.sub("random", value)
        case dict():
            return {key: "some time" if key in TIMES else without_chance(item) for key, item in value.items()}
        case list():
            return [without_chance(item) for item in value]
        case _:
            return value


def facts_of(snapshot: StateSnapshot) -> CheckpointFacts:
    """A snapshot without its ids and times."""
    metadata: Mapping[str, Any] = snapshot.metadata or {}
    values = without_chance(snapshot.values)
    return CheckpointFacts(metadata["source"], metadata["step"], values, tuple(sorted(snapshot.next)))


async def history_of(graph: Pregel, config: RunnableConfig) -> list[CheckpointFacts]:
    """The thread's checkpoints, oldest first."""
    return [facts_of(snapshot) async for snapshot in graph.aget_state_history(config)][::-1]


OVER = object()
"""What `next_input` gives when there is nothing to go on with."""


def next_input(snapshot: StateSnapshot, answer: Callable[[Any], Any] | None, run: PlainRun) -> Any:
    """What to call the graph with to go on, or OVER; questions and stops are noted in `run`.

    All questions are answered at once, by their ids: the one way in which answers can reach no other question.
    """
    if snapshot.interrupts:
        if answer is None:
            raise AssertionError(f"found the questions {snapshot.interrupts}, expected none: give the case an answer")
        run.asked.append(sorted((i.value for i in snapshot.interrupts), key=repr))
        return Command(resume={interrupt.id: answer(interrupt.value) for interrupt in snapshot.interrupts})
    if snapshot.next:
        run.stops.append(tuple(sorted(snapshot.next)))
        return None
    return OVER


def config_of(case: Case, thread: str) -> RunnableConfig:
    """The case's own configuration on a thread."""
    configurable = {**case.config.get("configurable", {}), "thread_id": thread}
    return {**case.config, "configurable": configurable}  # type: ignore[typeddict-item] # a case gives only known keys


async def run_plainly(case: Case, path: Path, saver: BaseCheckpointSaver[Any] | None = None) -> PlainRun:
    """Run a case to its end with LangGraph alone, its executions noted in `path` (a new file)."""
    return await run_graph_plainly(case, compiled(case.build(), saver or InMemorySaver()), path)


async def run_graph_plainly(case: Case, graph: Pregel, path: Path) -> PlainRun:
    """The same for a graph that is compiled already, on its own saver."""
    counting(graph, path)
    config = config_of(case, "plain")
    run = PlainRun()
    for given in (case.input, *case.later):
        await to_the_end(case, graph, given, run)
    run.ran = executions(path)
    try:
        run.history = await history_of(graph, config)
    except Exception as error:
        run.unreadable = type(error).__name__
    with contextlib.suppress(Exception):
        run.state = facts_of(await graph.aget_state(config))
    run.values = run.history[-1].values if run.history else None
    return run


async def to_the_end(case: Case, graph: Pregel, given: Any, run: PlainRun) -> None:
    """One run on the case's thread, with all its stops; an error ends it and is noted."""
    config = config_of(case, "plain")
    while given is not OVER:
        try:
            run.output = without_chance(await graph.ainvoke(given, config, context=case.context))
        except Exception as error:
            run.error = (type(error).__name__, str(error))
            return
        given = next_input(await graph.aget_state(config), case.answer, run)
        if len(run.asked) + len(run.stops) > MOST_STOPS:
            raise AssertionError(f"{case.name}: found no end after {MOST_STOPS} stops")


def run_now(case: Case, path: Path) -> PlainRun:
    """`run_plainly` for callers without an event loop."""
    return asyncio.run(run_plainly(case, path))
