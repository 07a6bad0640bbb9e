"""The only module that touches names of LangGraph that are not public.

Each name has a test in ``tests/unit/graphs/test_internals.py`` that fails loudly when LangGraph changes what it means.
The names are imported here, so one that disappears stops the app at import, not in the middle of a run.
"""

import copy
from binascii import unhexlify
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from langchain_core.runnables import RunnableConfig
from langgraph._internal._constants import (
    CONFIG_KEY_CHECKPOINT_MAP,
    CONFIG_KEY_RESUMING,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_STREAM,
    ERROR,
    ERROR_SOURCE_NODE,
    INTERRUPT,
    NO_WRITES,
    NULL_TASK_ID,
    PUSH,
    RESUME,
    TASKS,
)
from langgraph._internal._runnable import RunnableCallable, RunnableSeq
from langgraph._internal._serde import build_serde_allowlist
from langgraph._internal._typing import MISSING
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple, PendingWrite
from langgraph.pregel import Pregel, _loop
from langgraph.pregel._algo import _xxhash_str
from langgraph.pregel._read import PregelNode
from langgraph.pregel._task_status import TaskStatus, read_task_statuses
from langgraph.pregel._utils import is_xxh3_128_hexdigest
from langgraph.pregel.protocol import StreamProtocol
from langgraph.runtime import RunControl, Runtime
from langgraph.types import Send

__all__ = [
    "ERROR",
    "INTERRUPT",
    "MISSING",
    "NULL_TASK_ID",
    "PUSH",
    "RESUMING",
    "STREAM",
    "TASKS",
    "Graph",
    "TaskStatus",
    "begun_in_this_step",
    "guard_sync_durability",
    "has_command",
    "is_resume_map",
    "listening",
    "moved_since_interrupt",
    "namespace",
    "same_identity",
    "send_positions",
    "sends_as_tasks",
    "sends_in",
    "set_control",
    "set_resuming",
    "statuses",
    "types_in",
    "upcoming",
]

Graph = Pregel[Any, Any, Any, Any]

_NOWHERE = "__durablegraph_nowhere__"

_HASHED = 2
"""The first version of LangGraph's checkpoints whose task ids are made by `_xxhash_str`."""

RESUMING = CONFIG_KEY_RESUMING
"""Key in `configurable`: whether a loop continues what it finds (True) or begins with its input (False)."""

STREAM = CONFIG_KEY_STREAM
"""Key in `configurable`: a second stream to which a loop tells what it tells its own."""


def listening(told: Callable[[tuple[str, ...], str, Any], None]) -> StreamProtocol:
    """A stream that calls `told` with `values` and `checkpoints` at once, while the parts still wait to be taken."""
    return StreamProtocol(lambda chunk: told(*chunk), {"values", "checkpoints"})


def namespace(config: RunnableConfig) -> str:
    """The checkpoint namespace that a saver is called for: empty for the root graph."""
    found: str = config.get("configurable", {}).get("checkpoint_ns", "")
    return found


def begun_in_this_step(config: RunnableConfig, found: CheckpointTuple) -> bool:
    """Whether a subgraph's newest checkpoint was made in the super-step that its parents are in now.

    `config` is what the subgraph's loop asks its saver with: it maps each ancestor's namespace to the checkpoint that
    the ancestor is at; a checkpoint records the same map as ``metadata["parents"]``. A subgraph with
    ``checkpointer=True`` keeps one history for the whole thread, so that it has a checkpoint says nothing by itself.
    """
    now: Mapping[str, str] = config.get("configurable", {}).get(CONFIG_KEY_CHECKPOINT_MAP) or {}
    then: Mapping[str, str] = found.metadata.get("parents") or {}
    return all(then.get(ancestor) == checkpoint for ancestor, checkpoint in now.items())


def set_resuming(config: RunnableConfig, resuming: bool) -> None:  # noqa: FBT001 -- it is the value that is set
    """Tell a nested loop, while it loads its checkpoint, whether it continues what it loads.

    The loop reads the flag from the very mapping that it calls its saver with, after it called it.
    """
    config["configurable"][RESUMING] = resuming


def set_control(config: RunnableConfig, control: RunControl) -> None:
    """Give a nested loop's tasks another control than the loop's own, while it loads its checkpoint.

    The loop has taken its own by then, and makes the configs of its tasks from this very mapping.
    """
    runtime = config["configurable"].get(CONFIG_KEY_RUNTIME)
    if isinstance(runtime, Runtime):
        config["configurable"][CONFIG_KEY_RUNTIME] = runtime.override(control=control)


def same_identity(wrapper: Any, bound: Any) -> None:
    """Let a runnable around a node's own be taken for it where cached writes are looked up."""
    inner = bound.steps[0] if isinstance(bound, RunnableSeq) else bound
    inner = inner.func if isinstance(inner, RunnableCallable) else inner
    name = getattr(inner, "__qualname__", None) or getattr(inner, "__name__", None)
    if name is not None:
        wrapper.__qualname__, wrapper.__module__ = name, getattr(inner, "__module__", None)


def moved_since_interrupt(checkpoint: Checkpoint) -> bool:
    """Whether a static breakpoint may stop at this checkpoint: not where the run was let go past it already."""
    seen: Mapping[str, Any] = checkpoint["versions_seen"].get(INTERRUPT, {})
    versions = checkpoint["channel_versions"]
    null = type(next(iter(versions.values()), 0))()
    return any(version > seen.get(channel, null) for channel, version in versions.items())


def has_command(found: CheckpointTuple) -> bool:
    """Whether a `Command`'s update or goto is stored on the checkpoint: it applies before the next tasks are made."""
    return any(task == NULL_TASK_ID and channel != RESUME for task, channel, _ in found.pending_writes or ())


def types_in(schemas: Iterable[type[Any]], channels: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """The (module, name) of every type that these schemas and channels name, and of LangChain's messages."""
    return set(build_serde_allowlist(schemas=list(schemas), channels=dict(channels)))


def with_handlers_done(graph: Graph, found: CheckpointTuple) -> CheckpointTuple:
    """The tuple with the writes of each error handler that finished shown as those of the task that failed.

    LangGraph finds a failed task's handler again by a one-way hash, and runs it once more whenever it loads the
    super-step.
    """
    handlers = _handlers(graph, found)
    if not handlers:
        return found
    status_of = statuses(found.pending_writes)
    finished = {task for task, status in status_of.items() if status.finished}
    done = {handler: failed for handler, failed in handlers.items() if handler in finished}
    failed_tasks = set(done.values())
    shown = [
        (done.get(task, task), channel, value)
        for task, channel, value in found.pending_writes or ()
        if task not in failed_tasks
    ]
    return found._replace(pending_writes=shown) if done else found


def _handlers(graph: Graph, found: CheckpointTuple) -> dict[str, str]:
    """Ids of the tasks that handle failures, each with the id of the task that failed."""
    made = {}
    step = str(found.metadata.get("step", -1) + 1)
    inside = f"{place}|" if (place := namespace(found.config)) else ""
    checkpoint = unhexlify(found.checkpoint["id"].replace("-", ""))
    for task, channel, node in found.pending_writes or ():
        handler = graph.node_error_handler_map.get(node) if channel == ERROR_SOURCE_NODE else None
        if handler:
            place = f"{inside}{node}:{task}|{handler}"
            made[_xxhash_str(checkpoint, place, step, handler, PUSH, "node_error_handler", task)] = task
    return made


def with_tasks_done(found: CheckpointTuple, tasks: Collection[str]) -> CheckpointTuple:
    """The tuple with tasks shown as finished without output, whatever they have recorded."""
    if not tasks:
        return found
    others = [write for write in found.pending_writes or () if write[0] not in tasks]
    return found._replace(pending_writes=[*others, *((task, NO_WRITES, None) for task in tasks)])


def with_sends_blanked(graph: Graph, found: CheckpointTuple, kept: Collection[int]) -> tuple[Graph, CheckpointTuple]:
    """The graph and the tuple in which only the pending sends at these positions make tasks.

    Those before them keep their places, which are part of a task's id, but go to a node that has nothing to run; those
    after the last are left out.
    """
    pending = found.checkpoint["channel_values"].get(TASKS)
    if not pending:
        return graph, found
    blank = Send(_NOWHERE, None)
    values = {
        **found.checkpoint["channel_values"],
        TASKS: [send if at in kept else blank for at, send in enumerate(pending[: max(kept, default=-1) + 1])],
    }
    made = copy.copy(graph)
    made.nodes = {**graph.nodes, _NOWHERE: PregelNode(channels=[], triggers=[])}
    checkpoint: Any = {**found.checkpoint, "channel_values": values}
    return made, found._replace(checkpoint=checkpoint)


def statuses(writes: Sequence[PendingWrite] | None) -> dict[str, TaskStatus]:
    """The status of each task that has pending writes, by task id."""
    return read_task_statuses(writes or ())


def is_resume_map(resume: object) -> TypeGuard[dict[str, Any]]:
    """Whether LangGraph takes a `Command`'s resume value for answers by interrupt id."""
    return isinstance(resume, dict) and all(is_xxh3_128_hexdigest(key) for key in resume)


def sends_in(graph: Graph, checkpoint: Checkpoint) -> list[int]:
    """The positions of the pending `Send`s that make tasks: LangGraph ignores one to an unknown node."""
    pending: Iterable[Any] = checkpoint["channel_values"].get(TASKS) or ()
    return [at for at, send in enumerate(pending) if isinstance(send, Send) and send.node in graph.nodes]


def send_positions(graph: Graph, checkpoint: Checkpoint, names: Sequence[str]) -> list[int | None]:
    """For each next task, in LangGraph's order, the position of its `Send`, or None for a task made by an edge.

    LangGraph prepares the tasks of pending sends first, in their order.
    """
    sends = sends_in(graph, checkpoint)
    return [*sends, *[None] * (len(names) - len(sends))]


def sends_as_tasks(
    graph: Graph, checkpoint: Checkpoint, step: int, positions: Sequence[int]
) -> list[tuple[str, str]] | None:
    """Id and node of the tasks of the pending sends at these positions, which are among `sends_in`, nothing prepared.

    `step` is the checkpoint's own. None where that is not all there is to tell: an edge may make tasks too, or the
    checkpoint is of an old format.
    """
    changed = checkpoint.get("updated_channels")
    triggers = graph.trigger_to_nodes
    if checkpoint["v"] < _HASHED or not changed or not triggers or any(triggers.get(channel) for channel in changed):
        return None
    pending: Sequence[Send] = checkpoint["channel_values"].get(TASKS) or ()
    nodes = [pending[at].node for at in positions]
    if any(graph.nodes[node].node is None for node in nodes):
        return None
    made, next_ = unhexlify(checkpoint["id"].replace("-", "")), str(step + 1)
    return [
        (_xxhash_str(made, node, next_, node, PUSH, str(at)), node) for at, node in zip(positions, nodes, strict=True)
    ]


def upcoming(graph: Graph, checkpoint: Checkpoint) -> list[str]:
    """The nodes of the tasks that the super-step after `checkpoint` has at most."""
    changed = checkpoint.get("updated_channels")
    triggered: set[str] = set()
    for channel in graph.trigger_to_nodes if changed is None else changed:
        triggered.update(graph.trigger_to_nodes.get(channel, ()))
    sends: Iterable[Any] = checkpoint["channel_values"].get(TASKS) or ()
    return [*triggered, *(send.node for send in sends if isinstance(send, Send))]


class _NothingToAwait:
    """Stands for the save of a checkpoint that a loop without a saver never starts."""

    def result(self, timeout: float | None = None) -> None:
        """There is nothing to wait for."""

    def __await__(self) -> Any:
        return iter(())


def guard_sync_durability() -> None:
    """Let a graph compiled with ``checkpointer=False`` be called from a node under ``durability="sync"``.

    Such a nested loop waits for a save that it never made: ``AttributeError: _put_checkpoint_fut`` (LangGraph 1.2.22).
    A class attribute gives it something to wait for; a loop that saves sets its own.
    """
    for loop in (_loop.SyncPregelLoop, _loop.AsyncPregelLoop):
        if not hasattr(loop, "_put_checkpoint_fut"):
            loop._put_checkpoint_fut = _NothingToAwait()  # type: ignore[assignment]  # noqa: SLF001 -- stands for a future


guard_sync_durability()
