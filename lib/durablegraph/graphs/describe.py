"""Says what is true of a thread, executing nothing."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Interrupt, PregelTask, StateSnapshot
from typing_extensions import override

from durablegraph.errors import NotFound
from durablegraph.graphs.contract import (
    Breakpoints,
    PendingInterrupt,
    PendingTask,
    StepOutcome,
    StepStatus,
)
from durablegraph.graphs.internals import PUSH, Graph, TaskStatus, moved_since_interrupt, namespace, statuses
from durablegraph.graphs.journal import STOPPED, marked, without_ours
from durablegraph.graphs.saver_view import Known, Watch, watched


async def describe(
    graph: Graph,
    saver: BaseCheckpointSaver[Any],
    thread_id: str,
    *,
    stop: int = 0,
    interrupt_before: Breakpoints = None,
    interrupt_after: Breakpoints = None,
    stopped: bool = False,
    head: CheckpointTuple | None = None,
) -> StepOutcome:
    """The outcome that the thread's head stands for. Safe to call at any time, any number of times.

    `stopped` says that the graph ran and stopped by itself, so that open tasks without a question mean a breakpoint.
    `head` is the head where it is loaded already; it must not be used afterwards. Raises `NotFound` for a thread
    without a checkpoint.
    """
    at: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    found = head or await saver.aget_tuple(at)
    if found is None:
        raise NotFound(f"Thread {thread_id!r} has no checkpoint yet; start a run on it first.")
    moved = moved_since_interrupt(found.checkpoint)
    reader = copy.copy(graph)
    reader.checkpointer = watched(saver, _Reader(found))
    snapshot = await reader.aget_state(at)
    before = interrupt_before or graph.interrupt_before_nodes
    after = interrupt_after or graph.interrupt_after_nodes
    stopped = stopped or bool(marked(found, STOPPED))
    if moved and not stopped:
        stopped = named(before, (task.name for task in snapshot.tasks)) or bool(
            after and named(after, await _executed(reader, found))
        )
    return await _outcome(graph, reader, snapshot, found, stop=stop, stopped=stopped)


async def _outcome(
    graph: Graph, reader: Graph, snapshot: StateSnapshot, found: CheckpointTuple, *, stop: int, stopped: bool
) -> StepOutcome:
    status_of = statuses(found.pending_writes)
    tasks = tuple(_task(task, status_of) for task in snapshot.tasks)
    status = _status(snapshot, tasks, stopped=stopped)
    whole = snapshot
    if snapshot.interrupts:
        whole = await reader.aget_state(
            {"configurable": {"thread_id": found.config["configurable"]["thread_id"]}}, subgraphs=True
        )
    return StepOutcome(
        status=status,
        checkpoint_id=found.checkpoint["id"],
        step=found.metadata.get("step", 0),
        stop=stop,
        next=snapshot.next,
        tasks=tasks,
        interrupts=tuple(_question(question, task, whole) for task in snapshot.tasks for question in task.interrupts),
        values=output(graph, snapshot.values) if status is StepStatus.FINISHED else snapshot.values,
        executed=False,
    )


def _status(snapshot: StateSnapshot, tasks: tuple[PendingTask, ...], *, stopped: bool) -> StepStatus:
    if not tasks:
        return StepStatus.FINISHED
    asking = {task.id for task in snapshot.tasks if task.interrupts}
    if asking and (stopped or all(task.done or task.id in asking for task in tasks)):
        return StepStatus.INTERRUPTED
    return StepStatus.BREAKPOINT if stopped else StepStatus.ADVANCE


def _task(task: PregelTask, status_of: Mapping[str, TaskStatus]) -> PendingTask:
    known = status_of.get(task.id)
    return PendingTask(
        id=task.id,
        name=task.name,
        send=task.path[1] if task.path[0] == PUSH and isinstance(task.path[1], int) else None,
        done=known.finished if known else False,
        error=None if known is None or known.error is None else str(known.error),
    )


def _question(question: Interrupt, task: PregelTask, whole: StateSnapshot) -> PendingInterrupt:
    node, inside = _asked_by(question.id, whole) or (task.name, "")
    schema = question.response_schema
    return PendingInterrupt(
        id=question.id,
        value=question.value,
        node=node,
        task=task.id,
        namespace=inside,
        response_schema=schema if isinstance(schema, dict) else None,
    )


def _asked_by(question: str, within: StateSnapshot) -> tuple[str, str] | None:
    """The innermost node that asked, and the namespace of its graph; None where the subgraph is not a declared one."""
    for task in within.tasks:
        if isinstance(task.state, StateSnapshot) and (deeper := _asked_by(question, task.state)):
            return deeper
        if any(each.id == question for each in task.interrupts):
            return task.name, namespace(within.config)
    return None


async def _executed(reader: Graph, found: CheckpointTuple) -> tuple[str, ...]:
    """The nodes whose writes the checkpoint is made of."""
    if found.parent_config is None or found.metadata.get("source") != "loop":
        return ()
    return tuple(task.name for task in (await reader.aget_state(found.parent_config)).tasks)


def named(which: Breakpoints, nodes: Iterable[str]) -> bool:
    """Whether static breakpoints are set at one of the nodes."""
    if not which:
        return False
    return any(which == "*" or node in which for node in nodes)


def output(graph: Graph, values: Any) -> Any:
    """The part of a state that plain `invoke` returns."""
    wanted = graph.output_channels
    if isinstance(wanted, str):
        return (
            values.get(wanted)
            if isinstance(values, dict) and not isinstance(graph.stream_channels_asis, str)
            else values
        )
    return {name: values[name] for name in wanted if name in values} if isinstance(values, dict) else values


class _Reader(Watch):
    """Gives what is loaded already, and hides our marks."""

    def __init__(self, head: CheckpointTuple) -> None:
        self._head: CheckpointTuple | None = head

    @override
    def known(self, config: RunnableConfig) -> Known | None:
        if self._head is None or namespace(config) or config["configurable"].get("checkpoint_id"):
            return None
        head, self._head = self._head, None
        return Known(head)

    @override
    def loaded(self, config: RunnableConfig, found: CheckpointTuple | None) -> CheckpointTuple | None:
        return found if namespace(config) else without_ours(found)
