"""What one call for a super-step came to: told by what the graph's loop showed last, or by the store."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.errors import ErrorCode, GraphRecursionError, create_error_message

from durablegraph.errors import InvariantBroken, StepLimitReached
from durablegraph.graphs.attempt import Attempt
from durablegraph.graphs.calling import head_of
from durablegraph.graphs.contract import PendingTask, StepOutcome, StepRequest, StepStatus
from durablegraph.graphs.control import StepControl
from durablegraph.graphs.describe import describe, named, output
from durablegraph.graphs.internals import Graph, send_positions
from durablegraph.graphs.journal import STOPPED, mark_task
from durablegraph.graphs.parts import Parts
from durablegraph.graphs.plan import Plan, Tell


@dataclass(frozen=True, slots=True)
class Ending:
    """How calls for this request end."""

    graph: Graph
    saver: BaseCheckpointSaver[Any]
    request: StepRequest
    control: StepControl

    async def mark(self, head: CheckpointTuple | None, mark: str, value: str) -> None:
        """Store a mark of ours under the head, if there is one."""
        if head is not None:
            owner = mark_task(mark, value if mark == STOPPED else self.request.run_id or "")
            await self.saver.aput_writes(head.config, [(mark, value)], owner)

    async def _describe(self, stop: int, head: CheckpointTuple | None = None) -> StepOutcome:
        request = self.request
        return await describe(
            self.graph,
            self.saver,
            request.thread_id,
            stop=stop,
            interrupt_before=request.interrupt_before,
            interrupt_after=request.interrupt_after,
            head=head,
        )

    async def told(self, decided: Plan, head: CheckpointTuple | None) -> StepOutcome:
        """What an earlier delivery came to."""
        stop = decided.stop or 0
        told = await self._describe(stop, head)
        if isinstance(decided, Tell):
            self._within_limit(told, told.step, stop)
        return replace(told, replay=self.request.replay)

    async def ended(self, attempt: Attempt, seen: Parts, *, drained: bool, stands: bool) -> StepOutcome:
        """What a call came to in which the graph ran, whether it was drained, stands, or came to its end."""
        if attempt.left is not None:
            return attempt.left
        if seen.last is None or attempt.stop is None:
            raise InvariantBroken("LangGraph ended a run without showing the checkpoint that it is at.")
        if stands or (drained and self.control.step_done) or not seen.last["tasks"]:
            outcome = self._shown(attempt, seen.last, finished=not (drained or stands))
        elif drained and self.control.inner_done and self.control.drained_by_caller is None:
            outcome = replace(self._shown(attempt, seen.last, finished=False), again=attempt.checkpoint is None)
        else:
            outcome = await self._stopped(attempt.stop, drained=drained)
        if attempt.checkpoint is not None:
            self._within_limit(outcome, outcome.step, attempt.stop, executed=seen.executed)
        inside = attempt.inside.newest if attempt.inside else None
        executed = attempt.inside.executed if attempt.inside else True
        return replace(outcome, commits=attempt.commits, executed=executed, replay=attempt.replay, inside=inside)

    def _shown(self, attempt: Attempt, last: Mapping[str, Any], *, finished: bool) -> StepOutcome:
        """The outcome that the last part of the stream tells: nothing is loaded again."""
        names = [task["name"] for task in last["tasks"]]
        sends = send_positions(self.graph, attempt.checkpoint, names) if attempt.checkpoint else [None] * len(names)
        values = output(self.graph, last["values"]) if finished else None
        return StepOutcome(
            status=StepStatus.FINISHED if finished else StepStatus.ADVANCE,
            checkpoint_id=last["config"]["configurable"]["checkpoint_id"],
            step=last["metadata"]["step"],
            stop=attempt.stop or 0,
            next=tuple(names),
            tasks=tuple(
                PendingTask(id=task["id"], name=task["name"], send=send)
                for task, send in zip(last["tasks"], sends, strict=True)
            ),
            values=last["values"] if self.request.with_values and not finished else values,
        )

    async def _stopped(self, stop: int, *, drained: bool) -> StepOutcome:
        """The outcome where the graph stopped by itself, or was drained inside a super-step."""
        outcome = await self._describe(stop)
        if drained or outcome.status is not StepStatus.ADVANCE:
            return outcome
        # Open tasks that nothing explains: a static breakpoint inside a subgraph.
        head = await self.saver.aget_tuple(head_of(self.request.thread_id))
        asking = {question.task for question in outcome.interrupts}
        for task in outcome.tasks:
            if not task.done and task.id not in asking:
                await self.mark(head, STOPPED, task.id)
        return replace(outcome, status=StepStatus.INTERRUPTED if outcome.interrupts else StepStatus.BREAKPOINT)

    def _within_limit(self, outcome: StepOutcome, step: int, stop: int, *, executed: tuple[str, ...] = ()) -> None:
        """Count super-steps as one plain run does: it looks at the limit before it looks whether it is done."""
        after = self.request.interrupt_after or self.graph.interrupt_after_nodes
        if outcome.status is StepStatus.INTERRUPTED or step + 1 <= stop or named(after, executed):
            return
        limit = self.request.recursion_limit
        message = (
            f"Recursion limit of {limit} reached without hitting a stop condition. "
            "You can increase the limit by setting the `recursion_limit` config key."
        )
        cause = GraphRecursionError(create_error_message(message=message, error_code=ErrorCode.GRAPH_RECURSION_LIMIT))
        raise StepLimitReached(
            f"The run executed {limit} super-steps, its recursion_limit, without coming to an end. "
            "Give the run a higher `recursion_limit`, or look for a loop that never ends."
        ) from cause
