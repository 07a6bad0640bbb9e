"""One attempt at a super-step: it ends when enough is committed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.constants import START
from langgraph.errors import GraphDrained
from langgraph.types import Command
from typing_extensions import override

from durablegraph.errors import InvariantBroken, StaleHead
from durablegraph.graphs.contract import PendingTask, Replay, StepOutcome, StepRequest, StepStatus
from durablegraph.graphs.control import STEP_DONE, StepControl
from durablegraph.graphs.foretold import Early, one_next, sends_left
from durablegraph.graphs.given_up import given_up
from durablegraph.graphs.inside import Inside
from durablegraph.graphs.internals import (
    NULL_TASK_ID,
    Graph,
    namespace,
    statuses,
    upcoming,
)
from durablegraph.graphs.journal import COMMAND_STORED, GIVEN_UP_KEY, RUN_KEY
from durablegraph.graphs.nested import has_declared, stops_inside
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
        self.stop = run.stop
        self._control = control
        self._fence = Fence(head.checkpoint["id"] if head else None)
        self._source = head.metadata.get("source") if head else None
        self._given_up = len(given_up(head)) if head else 0
        self._clock = clock
        self.go_on(request)
        self._dropped = untracked(graph) if run.resuming is None else frozenset()
        self.inside = self._inside(run)
        self._sticky = self.inside is None and _can_stand(graph, request, run)
        self._storing: dict[asyncio.Task[Any], None] = {}

    def _inside(self, run: Run) -> Inside | None:
        """None where subgraphs are executed whole: when asked so, with breakpoints in them, and in time travel."""
        if not self._request.nested or run.addressed or run.replay is not None:
            return None
        if not has_declared(self._graph) or stops_inside(self._graph):
            return None
        if isinstance(run.input, Command) and self._request.run_id is None:
            return None  # such a call cannot be repeated: a bare answer would answer the next question too
        given = run.input.resume if isinstance(run.input, Command) else None
        return Inside(self._graph, self._request, self._control, answered=given if isinstance(given, dict) else ())

    def go_on(self, request: StepRequest) -> None:
        """Watch the call for the super-step that is next: the first one, or that before which the loop stands."""
        self._request = request
        self._began = self._clock()
        self.commits = self.inner_saves = 0
        self.checkpoint: Checkpoint | None = None
        self.left: StepOutcome | None = None
        self.early: Early | None = None
        self.finished: set[str] = set()
        self.broken, self.failures, self.stopping = [], [], False
        self._full = False

    def stands(self, shown: Mapping[str, Any] | None) -> bool:
        """Whether the loop, having shown this, stands before a super-step that this call is not to execute."""
        if not self._full or shown is None or self.checkpoint is None:
            return False
        return bool(shown["tasks"]) and shown["config"]["configurable"]["checkpoint_id"] == self.checkpoint["id"]

    async def stored(self) -> None:
        """Wait for the writes that LangGraph stores beside the checkpoint; raises what the saver raised.

        LangGraph itself does both where a call ends, but not between two super-steps, and not where we end the call.
        """
        storing = [*self._storing]
        if storing:
            await asyncio.wait(storing)
        for task in storing:
            task.result()

    @property
    def moved(self) -> bool:
        """Whether this call has stored anything that the next one goes on from."""
        return self.checkpoint is not None or self.inner_saves > 0 or bool(self.finished)

    @property
    def steps(self) -> int:
        """How many super-steps this call has committed, those of subgraphs counted."""
        return self.commits + (self.inside.commits if self.inside else 0)

    @override
    def loaded(self, config: RunnableConfig, found: CheckpointTuple | None) -> CheckpointTuple | None:
        seen = super().loaded(config, found)
        if namespace(config):
            return self.inside.loaded(config, seen) if self.inside else seen
        if self.inside:
            self.inside.root_loaded(found)
        if self.stop is None:
            self._starts_from(found)
        if seen is not None and self._dropped:
            seen = dropped(seen, self._dropped)
        return seen

    def _starts_from(self, found: CheckpointTuple | None) -> None:
        self.stop = stop_after(found, self._request.recursion_limit)
        if self._addressed and found is not None:
            self.replay = replace(self.replay or Replay(), bound=replay_bound(found))

    @override
    async def before_saving(self, config: RunnableConfig, checkpoint: str | None) -> None:
        if checkpoint is None and not namespace(config) and (task := asyncio.current_task()):
            self._storing[task] = None
            task.add_done_callback(self._stored)
        await super().before_saving(config, checkpoint)
        if self.inside and checkpoint is not None and namespace(config):
            self.inside.before_saving(config, checkpoint)

    def _stored(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is None:
            self._storing.pop(task, None)

    @override
    def saving(
        self, config: RunnableConfig, metadata: CheckpointMetadata
    ) -> tuple[CheckpointMetadata, Fence | None] | None:
        if namespace(config):
            return self.inside.saving(config, metadata) if self.inside else (metadata, None)
        if self._full:
            raise InvariantBroken("LangGraph executed a super-step without showing the checkpoint before it.")
        if overtaken := next((error for error in self.broken if isinstance(error, StaleHead)), None):
            raise overtaken  # inside a subgraph, where a retry policy or an error handler may have taken it for a fault
        if self._request.run_id is None:
            return metadata, self._fence
        stamped: Any = {**metadata, RUN_KEY: self._request.run_id}
        if self._given_up:
            stamped[GIVEN_UP_KEY] = self._given_up
        return stamped, self._fence

    @override
    def saved(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> Awaitable[None] | None:
        if namespace(config):
            self.inner_saves += metadata.get("source") == "loop"
            committed = self.inside is not None and self.inside.saved(config, checkpoint["id"], metadata)
            if committed and self._spent():
                self._control.end_inner_step()
            return None
        if self.inside:
            self.inside.root_saved()
        before, self._source = self._source, metadata.get("source")
        self._given_up = 0
        self._fence = Fence(checkpoint["id"])
        self.checkpoint = checkpoint
        if self._source != "loop":
            return None
        if before != "input" or START not in self._graph.nodes:
            self.commits += 1
        step = metadata.get("step", 0)
        last = self.stop is not None and step + 1 > self.stop
        if not last and (left := self._left_unprepared(checkpoint, step)):
            self.left = left
            self._control.end_step()
            raise GraphDrained(STEP_DONE)
        if last or self._enough(checkpoint):
            self._end(last=last)
        return self._told_early(checkpoint, step)

    def _left_unprepared(self, checkpoint: Checkpoint, step: int) -> StepOutcome | None:
        """The outcome where the next tasks are left to a fan-out, follow from the checkpoint, and are shown to nobody.

        The call then ends where LangGraph waits for the save, before it prepares task by task only to be drained.
        """
        if self._shows or self.inside is not None or self.replay is not None or not self._left_to_fan_out(checkpoint):
            return None
        if _has_breakpoints(self._graph, self._request):
            return None
        tasks = sends_left(self._graph, checkpoint, step)
        return self._advance(checkpoint, step, tuple(task.name for task in tasks), tasks) if tasks else None

    def _told_early(self, checkpoint: Checkpoint, step: int) -> Awaitable[None] | None:
        """Where the loop is to stand before one task that is shown to nobody, the call ends with its save.

        LangGraph then prepares the task while the outcome is on its way.
        """
        if not self._full or self.early is None or self._shows:
            return None
        node = one_next(self._graph, checkpoint)
        return self.early.tell(self._advance(checkpoint, step, (node,))) if node is not None else None

    def _advance(
        self, checkpoint: Checkpoint, step: int, next_: tuple[str, ...], tasks: tuple[PendingTask, ...] = ()
    ) -> StepOutcome:
        """The outcome that the checkpoint itself tells; tasks that are not to be fanned out are named only."""
        return StepOutcome(
            status=StepStatus.ADVANCE,
            checkpoint_id=checkpoint["id"],
            step=step,
            stop=self.stop or 0,
            next=next_,
            tasks=tasks,
            commits=self.commits,
        )

    @property
    def _shows(self) -> bool:
        """Whether somebody is to see what LangGraph makes of the checkpoint."""
        return self._request.stream is not None or self._request.with_values

    def _end(self, *, last: bool) -> None:
        """Have the call end here: the loop stands before the next super-step, or, where it must not, is drained.

        `last`: the run's limit is reached.
        """
        if self._sticky and self._request.sticky and not last and not self._control.drain_requested:
            self._full = True
        else:
            self._control.end_step()

    def _enough(self, checkpoint: Checkpoint) -> bool:
        return self._control.inner_done or self._spent() or self._left_to_fan_out(checkpoint)

    def _left_to_fan_out(self, checkpoint: Checkpoint) -> bool:
        enough = self._request.fan_out_from
        if enough is None:
            return False
        tasks = upcoming(self._graph, checkpoint)
        return len(tasks) >= enough and not self._request.together.issuperset(tasks)

    def _spent(self) -> bool:
        """Whether the call has committed as much as it may."""
        budget = self._request.budget
        return self.steps >= self._request.steps or (
            self.steps > 0 and budget is not None and self._clock() - self._began > budget
        )

    @override
    def writing(self, config: RunnableConfig, writes: Writes, task_id: str) -> Writes | None:
        if namespace(config):
            return writes
        if task_id == NULL_TASK_ID and self._request.kind == "start" and self._request.run_id:
            return [*writes, (COMMAND_STORED, self._request.run_id)]
        self.note_failures(writes, task_id)
        status = statuses([(task_id, channel, value) for channel, value in writes]).get(task_id)
        if status is not None and status.finished:
            self.finished.add(task_id)
        return writes


def _can_stand(graph: Graph, request: StepRequest, run: Run) -> bool:
    """Whether the loop of this call may stand before a further super-step.

    Not with static breakpoints, because what the loop shows before it stops at one looks as if it went on; not where
    results of nodes are cached, which are stored before the loop stands; not in time travel, nor after a fan-out, where
    what this call shows differs from what the next one does.
    """
    if graph.cache_policy or any(node.cache_policy for node in graph.nodes.values()):
        return False
    if _has_breakpoints(graph, request):
        return False
    return run.replay is None and not run.addressed and not request.fanned_out


def _has_breakpoints(graph: Graph, request: StepRequest) -> bool:
    """Whether the graph may stop before or after one of its own nodes."""
    own = graph.interrupt_before_nodes or graph.interrupt_after_nodes
    return bool(own or request.interrupt_before or request.interrupt_after)
