"""One attempt at a super-step: it ends when enough is committed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.constants import START
from typing_extensions import override

from durablegraph.graphs.contract import Replay, StepRequest
from durablegraph.graphs.control import StepControl
from durablegraph.graphs.internals import NULL_TASK_ID, Graph, namespace, upcoming, with_tasks_done
from durablegraph.graphs.journal import COMMAND_STORED, RUN_KEY
from durablegraph.graphs.plan import Run, replay_bound, stop_after
from durablegraph.graphs.run_scoped import dropped, untracked
from durablegraph.graphs.saver_view import Fence, Writes
from durablegraph.graphs.watching import Watching


class Attempt(Watching):
    """Watches the saver during one call of the graph, and ends the call when enough is committed."""

    def __init__(
        self,
        graph: Graph,
        request: StepRequest,
        head: CheckpointTuple | None,
        control: StepControl,
        *,
        run: Run,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(graph, head, replay=run.replay, addressed=run.addressed)
        self.commits = 0
        self.stop = run.stop
        self.checkpoint: Checkpoint | None = None
        self._request = request
        self._control = control
        self._fence = Fence(head.checkpoint["id"] if head else None)
        self._source = head.metadata.get("source") if head else None
        self._clock = clock
        self._began = clock()
        self._dropped = untracked(graph) if run.resuming is None else frozenset()

    @override
    def loaded(self, config: RunnableConfig, found: CheckpointTuple | None) -> CheckpointTuple | None:
        seen = super().loaded(config, found)
        if namespace(config):
            return seen
        if self.stop is None:
            self._starts_from(found)
        if seen is not None and self._dropped:
            seen = dropped(seen, self._dropped)
        return with_tasks_done(seen, self._request.given_up) if seen else None

    def _starts_from(self, found: CheckpointTuple | None) -> None:
        self.stop = stop_after(found, self._request.recursion_limit)
        if self._addressed and found is not None:
            self.replay = replace(self.replay or Replay(), bound=replay_bound(found))

    @override
    def saving(
        self, config: RunnableConfig, metadata: CheckpointMetadata
    ) -> tuple[CheckpointMetadata, Fence | None] | None:
        if namespace(config):
            return metadata, None
        if self._request.run_id is None:
            return metadata, self._fence
        stamped: Any = {**metadata, RUN_KEY: self._request.run_id}
        return stamped, self._fence

    @override
    def saved(self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> None:
        if namespace(config):
            return
        before, self._source = self._source, metadata.get("source")
        self._fence = Fence(checkpoint["id"])
        self.checkpoint = checkpoint
        if self._source != "loop":
            return
        if before != "input" or START not in self._graph.nodes:
            self.commits += 1
        if self._enough(checkpoint, metadata.get("step", 0)):
            self._control.end_step()

    def _enough(self, checkpoint: Checkpoint, step: int) -> bool:
        request = self._request
        return (
            self.commits >= request.steps
            or (self.stop is not None and step + 1 > self.stop)
            or (self.commits > 0 and request.budget is not None and self._clock() - self._began > request.budget)
            or (request.fan_out_from is not None and upcoming(self._graph, checkpoint) >= request.fan_out_from)
        )

    @override
    def writing(self, config: RunnableConfig, writes: Writes, task_id: str) -> Writes | None:
        if namespace(config):
            return writes
        if task_id == NULL_TASK_ID and self._request.kind == "start" and self._request.run_id:
            return [*writes, (COMMAND_STORED, self._request.run_id)]
        self.note_failures(writes, task_id)
        return writes
