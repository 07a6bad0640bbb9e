"""How the saver is watched while single tasks of a super-step run."""

from asyncio import CancelledError
from collections.abc import Collection
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata, CheckpointTuple
from typing_extensions import override

from durablegraph.graphs.contract import Chunk, ChunkOutcome, Replay, StepRequest, TaskFailure
from durablegraph.graphs.control import StepControl
from durablegraph.graphs.given_up import as_seen
from durablegraph.graphs.internals import Graph, TaskStatus, namespace, statuses
from durablegraph.graphs.journal import STOPPED, marked
from durablegraph.graphs.saver_view import Fence, Writes
from durablegraph.graphs.turns import Turns
from durablegraph.graphs.watching import Watching


class TaskWatch(Watching):
    """Keeps the root graph from committing, and notes what becomes of the chunk's tasks."""

    def __init__(
        self, graph: Graph, head: CheckpointTuple, control: StepControl, chunk: Chunk, *, replay: Replay | None
    ) -> None:
        super().__init__(graph, head, replay=replay, addressed=False)
        self.turns: Turns | None = None
        self._control = control
        self._ids = chunk.ids
        self._base = head
        self._stored: list[tuple[str, str, Any]] = list(head.pending_writes or ())
        self.stopped = {str(task) for task in marked(head, STOPPED) if task in chunk.ids}

    def show(self, head: CheckpointTuple) -> None:
        """What LangGraph is to see as the head."""
        self._head = head

    def status_of(self) -> dict[str, TaskStatus]:
        """The status of each task that has stored anything, by id."""
        now = self._base._replace(pending_writes=self._stored)
        return statuses(as_seen(self._graph, now).pending_writes)

    def open_tasks(self, request: StepRequest) -> list[str]:
        """Our tasks that there is something to do for, now that the request answers what it answers."""
        found = self.status_of()
        stopped = () if request.kind == "proceed" else self.stopped
        return [
            task
            for task in self._ids
            if task not in stopped and (task not in found or _open(found[task], request.resume.keys()))
        ]

    def unfinished(self) -> list[str]:
        """Our tasks that have not finished."""
        found = self.status_of()
        return [task for task in self._ids if task not in found or not found[task].finished]

    def outcome(self, failures: tuple[TaskFailure, ...], *, executed: bool) -> ChunkOutcome:
        """What became of our tasks."""
        found = {task: status for task, status in self.status_of().items() if task in self._ids}
        failed = {failure.id for failure in failures}
        return ChunkOutcome(
            finished=tuple(task for task in self._ids if task in found and found[task].finished and task not in failed),
            asking=tuple(task for task in self._ids if task in found and found[task].pending_interrupts),
            failures=failures,
            stopped=tuple(task for task in self._ids if task in self.stopped),
            executed=executed,
            replay=self.replay,
        )

    @override
    def saving(
        self, config: RunnableConfig, metadata: CheckpointMetadata
    ) -> tuple[CheckpointMetadata, Fence | None] | None:
        if namespace(config):
            return metadata, None
        self._control.end_step()
        return None

    @override
    def writing(self, config: RunnableConfig, writes: Writes, task_id: str) -> Writes | None:
        if not namespace(config):
            if self._never_began(writes, task_id):
                return None
            self.note_failures(writes, task_id)
            self._stored = [write for write in self._stored if write[0] != task_id]
            self._stored += [(task_id, channel, value) for channel, value in writes]
        return writes

    def _never_began(self, writes: Writes, task_id: str) -> bool:
        """Whether this tells of a task that it was cancelled, when a sibling failed, while it waited for a turn."""
        if self.turns is None or task_id not in self._ids or self.turns.has_begun(task_id):
            return False
        return any(isinstance(value, CancelledError) for _, value in writes)


def _open(status: TaskStatus, answered: Collection[str]) -> bool:
    if status.finished:
        return False
    return not status.pending_interrupts or any(question.id in answered for question in status.pending_interrupts)
