"""One attempt at a super-step: what its saver sees and does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.constants import START
from typing_extensions import override

from durablegraph.graphs.contract import Replay, StepRequest
from durablegraph.graphs.control import StepControl
from durablegraph.graphs.internals import (
    ERROR,
    NULL_TASK_ID,
    Graph,
    begun_in_this_step,
    namespace,
    set_resuming,
    upcoming,
)
from durablegraph.graphs.journal import COMMAND_STORED, RUN_KEY, without_ours
from durablegraph.graphs.plan import Run, replay_bound, stop_after
from durablegraph.graphs.run_scoped import dropped, untracked
from durablegraph.graphs.saver_view import Fence, Known, Watch, Writes


class Attempt(Watch):
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
        """Where `run` names the checkpoint to start from, `head` is not what LangGraph is going to load."""
        self.commits = 0
        self.stop = run.stop
        self.replay = run.replay
        self.checkpoint: Checkpoint | None = None
        self.broken: list[Exception] = []
        self.failures: list[tuple[str, BaseException]] = []
        self._graph = graph
        self._request = request
        self._control = control
        self._head = head
        self._fence = Fence(head.checkpoint["id"] if head else None)
        self._source = head.metadata.get("source") if head else None
        self._addressed = run.addressed
        self._unused = not run.addressed
        self._clock = clock
        self._began = clock()
        self._untracked = untracked(graph)
        self._fresh = run.resuming is None

    @override
    def known(self, config: RunnableConfig) -> Known | None:
        if not self._unused or namespace(config) or config["configurable"].get("checkpoint_id"):
            return None
        self._unused = False
        return Known(self._head)

    @override
    def earlier(self, config: RunnableConfig, found: CheckpointTuple | None) -> RunnableConfig | None:
        """A later super-step of a run that travels in time: what LangGraph's `ReplayState` does in the first one."""
        inside = namespace(config)
        if self.replay is None or self._addressed or not inside or config["configurable"].get("checkpoint_id"):
            return None
        first = self._visit(inside)
        if not first or self.replay.bound is None or (found and begun_in_this_step(config, found)):
            return None
        return {"configurable": {"checkpoint_id": self.replay.bound}}

    @override
    def listed(self, config: RunnableConfig | None) -> None:
        if self._addressed and config is not None and (inside := namespace(config)):
            self._visit(inside)

    def _visit(self, inside: str) -> bool:
        replay = self.replay or Replay()
        place = inside.rsplit(":", 1)[0]
        if place in replay.visited:
            return False
        self.replay = replace(replay, visited=(*replay.visited, place))
        return True

    @override
    def loaded(self, config: RunnableConfig, found: CheckpointTuple | None) -> CheckpointTuple | None:
        if not namespace(config):
            if self.stop is None:
                self._starts_from(found)
            seen = without_ours(found)
            return dropped(seen, self._untracked) if seen and self._untracked and self._fresh else seen
        if not config["configurable"].get("checkpoint_id"):
            set_resuming(config, found is not None and begun_in_this_step(config, found))
        return found

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
        self.failures.extend((task_id, value) for channel, value in writes if channel == ERROR)
        return writes

    @override
    def broke(self, error: Exception) -> None:
        self.broken.append(error)
