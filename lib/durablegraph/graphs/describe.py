"""Says what is true of a thread, executing nothing."""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, PendingWrite
from langgraph.errors import GraphDrained, InvalidUpdateError
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from durablegraph.errors import NotFound
from durablegraph.graphs.contract import (
    Breakpoints,
    PendingInterrupt,
    PendingTask,
    StepOutcome,
    StepStatus,
)
from durablegraph.graphs.control import StepControl
from durablegraph.graphs.faults import raise_fault
from durablegraph.graphs.given_up import as_seen
from durablegraph.graphs.internals import (
    INTERRUPT,
    PUSH,
    RESUMING,
    Graph,
    TaskStatus,
    has_command,
    moved_since_interrupt,
    namespace,
    statuses,
)
from durablegraph.graphs.journal import STOPPED, marked
from durablegraph.graphs.parts import Parts
from durablegraph.graphs.saver_view import watched
from durablegraph.graphs.watching import Watching


def questions(writes: Sequence[PendingWrite] | None) -> dict[str, tuple[Interrupt, ...]]:
    """What tasks ask and wait for, by task id."""
    if not any(channel == INTERRUPT for _, channel, _ in writes or ()):
        return {}  # of a thousand tasks that are done there is much to sort
    asking = {task: status.pending_interrupts for task, status in statuses(writes).items()}
    return {task: asked for task, asked in asking.items() if asked}


def stands_still(head: CheckpointTuple) -> bool:
    """Whether a task of the super-step after `head` asked something or stopped: only then `describe` need be asked."""
    return bool(questions(head.pending_writes) or marked(head, STOPPED))


@dataclass(frozen=True, slots=True)
class _Look:
    """What LangGraph would do next. `stopped`: it would stop at a static breakpoint before that."""

    tasks: tuple[PendingTask, ...]
    values: Any
    stopped: bool


async def describe(
    graph: Graph,
    saver: BaseCheckpointSaver[Any],
    thread_id: str,
    *,
    stop: int = 0,
    interrupt_before: Breakpoints = None,
    interrupt_after: Breakpoints = None,
    head: CheckpointTuple | None = None,
) -> StepOutcome:
    """The outcome that the thread's head stands for. Safe to call at any time, any number of times.

    `head` is the head where it is loaded already; it must not be used afterwards. Raises `NotFound` for a thread
    without a checkpoint; `NodeFailed` where LangGraph cannot prepare what comes next, as a call that executes it does;
    and `InvalidUpdateError` where the writes of finished tasks contradict each other, which their commit is to tell.
    """
    marks = head or await saver.aget_tuple({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
    if marks is None:
        raise NotFound(f"Thread {thread_id!r} has no checkpoint yet; start a run on it first.")
    found = as_seen(graph, marks)
    reader = copy.copy(graph)
    watching = Watching(graph, found, replay=None, addressed=False)
    reader.checkpointer = watched(saver, watching)
    before = interrupt_before or graph.interrupt_before_nodes
    after = interrupt_after or graph.interrupt_after_nodes
    asked = moved_since_interrupt(found.checkpoint)
    try:
        look = await (_look_past_command if has_command(found) else _look)(reader, thread_id, found, before)
    except InvalidUpdateError:
        raise
    except Exception as error:  # noqa: BLE001 -- sorted into the graph's faults and everybody else's
        raise_fault(error, watching, Parts(None, repeated=None))
    stopped = look.stopped or bool(marked(marks, STOPPED)) or (asked and await _stops_after(reader, found, after))
    return await _outcome(reader, found, look, stop=stop, stopped=stopped)


async def _look(reader: Graph, thread_id: str, found: CheckpointTuple, before: Breakpoints) -> _Look:
    asked = moved_since_interrupt(found.checkpoint)
    status_of = statuses(found.pending_writes)
    snapshot = await reader.aget_state({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
    tasks = tuple(_task(task.id, task.name, status_of, _send(task)) for task in snapshot.tasks)
    return _Look(tasks, snapshot.values, asked and named(before, (task.name for task in tasks)))


async def _look_past_command(reader: Graph, thread_id: str, found: CheckpointTuple, before: Breakpoints) -> _Look:
    """A stored `Command` changes what comes next, which `get_state` does not show: so run, drained before anything."""
    status_of = statuses(found.pending_writes)
    control = StepControl()
    control.end_step()
    config: Any = {"configurable": {"thread_id": thread_id, RESUMING: False}}
    shown: Mapping[str, Any] = {}
    stopped = True
    try:
        async for part in reader.astream(
            None, config, stream_mode="checkpoints", control=control, interrupt_before=before or None, durability="sync"
        ):
            shown = part
    except GraphDrained:
        stopped = False
    tasks = tuple(_task(task["id"], task["name"], status_of, None) for task in shown.get("tasks", ()))
    return _Look(tasks, shown.get("values"), stopped and bool(tasks))


async def _outcome(reader: Graph, found: CheckpointTuple, look: _Look, *, stop: int, stopped: bool) -> StepOutcome:
    status_of = statuses(found.pending_writes)
    asking = {task.id: status_of[task.id].pending_interrupts for task in look.tasks if task.id in status_of}
    asking = {task: questions for task, questions in asking.items() if questions}
    status = _status(look.tasks, asking.keys(), stopped=stopped)
    whole = None
    if asking:
        thread = found.config["configurable"]["thread_id"]
        whole = await reader.aget_state({"configurable": {"thread_id": thread}}, subgraphs=True)
    return StepOutcome(
        status=status,
        checkpoint_id=found.checkpoint["id"],
        step=found.metadata.get("step", 0),
        stop=stop,
        next=tuple(task.name for task in look.tasks if not task.done),
        tasks=look.tasks,
        interrupts=tuple(
            _question(question, task, whole) for task in look.tasks for question in asking.get(task.id, ())
        ),
        values=output(reader, look.values) if status is StepStatus.FINISHED else look.values,
        executed=False,
        commanded=has_command(found),
    )


def _status(tasks: tuple[PendingTask, ...], asking: Collection[str], *, stopped: bool) -> StepStatus:
    if not tasks:
        return StepStatus.FINISHED
    if asking and (stopped or all(task.done or task.id in asking for task in tasks)):
        return StepStatus.INTERRUPTED
    return StepStatus.BREAKPOINT if stopped else StepStatus.ADVANCE


def _task(task_id: str, name: str, status_of: Mapping[str, TaskStatus], send: int | None) -> PendingTask:
    known = status_of.get(task_id)
    return PendingTask(
        id=task_id,
        name=name,
        send=send,
        done=known.finished if known else False,
        error=None if known is None or known.error is None else str(known.error),
    )


def _send(task: PregelTask) -> int | None:
    kind, position, *_ = task.path
    return position if kind == PUSH and isinstance(position, int) else None


def _question(question: Interrupt, task: PendingTask, whole: StateSnapshot | None) -> PendingInterrupt:
    node, inside = (whole and _asked_by(question.id, whole)) or (task.name, "")
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


async def _stops_after(reader: Graph, found: CheckpointTuple, after: Breakpoints) -> bool:
    """Whether a static breakpoint is set after one of the nodes whose writes the checkpoint is made of."""
    if not after or found.parent_config is None or found.metadata.get("source") != "loop":
        return False
    return named(after, (task.name for task in (await reader.aget_state(found.parent_config)).tasks))


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
