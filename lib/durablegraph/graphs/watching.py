"""What every call of a graph has in common, whichever super-step or task it executes: how its saver is watched."""

from dataclasses import replace

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from typing_extensions import override

from durablegraph.graphs.contract import BeforeSave, Replay
from durablegraph.graphs.given_up import as_seen
from durablegraph.graphs.internals import (
    ERROR,
    Graph,
    begun_in_this_step,
    namespace,
    set_resuming,
)
from durablegraph.graphs.saver_view import Known, Watch, Writes


class Watching(Watch):
    """Gives the head that is loaded already, tells subgraphs whether to resume, and notes what failed.

    `broken` are exceptions that the saver raised; `failures` are those that tasks of the root graph stored, by task id.
    `before_save` is the caller's (see `StreamOptions`).
    """

    def __init__(self, graph: Graph, head: CheckpointTuple | None, *, replay: Replay | None, addressed: bool) -> None:
        """`addressed`: the config names the checkpoint to start from, so `head` is not what LangGraph will load."""
        self.broken: list[Exception] = []
        self.failures: list[tuple[str, BaseException]] = []
        self.replay = replay
        self.before_save: BeforeSave | None = None
        self._graph = graph
        self._head = head
        self._addressed = addressed
        self._unused = not addressed

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
            return as_seen(self._graph, found) if found else None
        if not config["configurable"].get("checkpoint_id"):
            set_resuming(config, found is not None and begun_in_this_step(config, found))
        return found

    @override
    async def before_saving(self, config: RunnableConfig, checkpoint: str | None) -> None:
        if self.before_save is not None:
            await self.before_save(checkpoint if not namespace(config) else None)

    def note_failures(self, writes: Writes, task_id: str) -> None:
        """Remember which task raised what."""
        self.failures.extend((task_id, value) for channel, value in writes if channel == ERROR)

    @override
    def broke(self, error: Exception) -> None:
        self.broken.append(error)
