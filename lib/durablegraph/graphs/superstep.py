"""Executes one super-step of an unmodified compiled graph and commits it.

LangGraph's own loop runs the graph; we end it when the checkpoint of the super-step is durable ("drain on commit"):

* the graph runs with ``durability="sync"``, so that the loop waits for each checkpoint before it looks at the next
  super-step;
* the view of the saver that it is given asks for a drain as soon as the root graph's checkpoint is stored;
* the loop then prepares the next tasks, checks the static breakpoints, and stops.

What a call repeats after a crash, and what it must not, is decided in `plan`.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.errors import ErrorCode, GraphDrained, GraphRecursionError, create_error_message
from langgraph.runtime import RunControl
from langgraph.store.base import BaseStore

from durablegraph.errors import InvariantBroken, StepLimitReached
from durablegraph.graphs.attempt import Attempt
from durablegraph.graphs.calling import call_config, head_of, prepared
from durablegraph.graphs.continued_parts import ContinuedParts
from durablegraph.graphs.contract import OnPart, PendingTask, StepOutcome, StepRequest, StepStatus
from durablegraph.graphs.control import StepControl
from durablegraph.graphs.deadline import CutShort, TimeBudget, within
from durablegraph.graphs.describe import describe, named, output
from durablegraph.graphs.faults import raise_fault
from durablegraph.graphs.internals import Graph, send_positions, statuses
from durablegraph.graphs.journal import ANSWERED, STOPPED, mark_task
from durablegraph.graphs.nested import with_inner_steps
from durablegraph.graphs.parts import CommitParts, Parts
from durablegraph.graphs.plan import Plan, Run, Tell, plan

__all__ = ["StepOutcome", "StepRequest", "SuperStep", "run_superstep"]


async def run_superstep(
    graph: Graph,
    saver: BaseCheckpointSaver[Any],
    request: StepRequest,
    *,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    control: RunControl | None = None,
    on_part: OnPart | None = None,
    time_budget: TimeBudget | None = None,
) -> StepOutcome:
    """Execute one super-step and commit it; on a second delivery say what the first one did.

    `store` and `cache` replace the graph's own where given. `control` lets the caller drain the run: it then stops at
    the next boundary, a nested graph's included, and the outcome is `ADVANCE`, with nothing committed perhaps.
    `on_part` is awaited with each stream part that `request.stream` asks for.

    Raises `NodeFailed` (the graph's exception is its cause), `StepLimitReached`, and `StaleHead` where another attempt
    committed; `CutShort` at the end of `time_budget`, after which the same request goes on where this call was. What
    the saver itself raises passes through as it is.
    """
    step = SuperStep(graph, saver, request, store=store, cache=cache, control=control)

    async def execute() -> None:
        async with aclosing(step.parts()) as parts:
            async for part in parts:
                if on_part is not None:
                    await on_part(part)

    if not await within(time_budget, execute(), step.end_inner_step, step.stopping):
        raise step.cut_short()
    return step.outcome


class SuperStep:
    """One call: iterate `parts()` to its end, then read `outcome`."""

    def __init__(
        self,
        graph: Graph,
        saver: BaseCheckpointSaver[Any],
        request: StepRequest,
        *,
        store: BaseStore | None = None,
        cache: BaseCache[Any] | None = None,
        control: RunControl | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._graph = graph
        self._saver = saver
        self._request = request
        self._store = store
        self._cache = cache
        self._control = StepControl(control)
        self._clock = clock
        self._outcome: StepOutcome | None = None
        self._began: tuple[Attempt, Parts] | None = None
        self._executing: tuple[str, ...] = ()

    @property
    def outcome(self) -> StepOutcome:
        """What the call came to."""
        if self._outcome is None:
            raise InvariantBroken("A super-step's outcome was read before its parts were iterated to their end.")
        return self._outcome

    def end_inner_step(self) -> None:
        """Stop the declared subgraphs of the running super-step at the end of theirs, where the request is `nested`."""
        if self._began is not None and self._began[0].inside is not None:
            self._control.end_inner_step()

    def stopping(self) -> None:
        """Remember which nodes are executing: those of subgraphs where they are known, else the root graph's."""
        if self._began is not None:
            attempt, seen = self._began
            attempt.stopping = True
            tasks = seen.last["tasks"] if seen.last else ()
            nodes = tuple(str(task["name"]) for task in tasks if task["id"] not in attempt.finished)
            self._executing = (attempt.inside.executing if attempt.inside else ()) or nodes

    def cut_short(self) -> CutShort:
        """What a call came to that was cancelled; it saves nothing any more."""
        attempt = self._began[0] if self._began else None
        if attempt is not None:
            attempt.over = True
        inside = attempt.inside.newest if attempt and attempt.inside else self._request.inside
        return CutShort(self._executing, moved=attempt is not None and attempt.moved, inside=inside)

    async def parts(self) -> AsyncGenerator[Any, None]:
        """Do it, yielding the stream parts that the request asks for. To be iterated once."""
        request = self._request
        head = await self._saver.aget_tuple(head_of(self._request.thread_id))
        decided = await plan(self._saver, request, head)
        if isinstance(decided, Tell) or (decided.look and not request.continues):
            told = await self._tell(decided, head)
            if isinstance(decided, Tell) or told.status is not StepStatus.ADVANCE:
                self._outcome = told
                return
            head = await self._saver.aget_tuple(head_of(self._request.thread_id))
        if decided.answering:
            await self._mark(head, ANSWERED, decided.answering)
        attempt = Attempt(self._graph, request, head, self._control, run=decided, clock=self._clock)
        attempt.before_save = request.stream.before_save if request.stream else None
        seen = self._seen(head, attempt)
        self._began = attempt, seen
        async with aclosing(self._run(decided, attempt, seen)) as wanted:
            async for part in wanted:
                yield part

    async def _run(self, run: Run, attempt: Attempt, seen: Parts) -> AsyncGenerator[Any, None]:
        drained = False
        graph = with_inner_steps(self._graph, attempt.inside) if attempt.inside else self._graph
        graph = prepared(graph, self._saver, attempt, stop=run.stop, store=self._store, cache=self._cache)
        config = call_config(self._request, resuming=run.resuming, addressed=run.addressed)
        stream = graph.astream(run.input, config, **self._options(seen))
        try:
            async with aclosing(stream) as chunks:  # type: ignore[type-var]  # it is an asynchronous generator
                async for chunk in chunks:
                    for part in seen.wanted(chunk):
                        yield part
        except GraphDrained as error:
            drained = True
            if not self._control.drain_is_known:
                raise_fault(error, attempt, seen)  # a node drained a graph of its own
        except Exception as error:  # noqa: BLE001 -- sorted into the graph's faults and everybody else's
            raise_fault(error, attempt, seen)
        self._outcome = await self._ended(attempt, seen, drained=drained)

    def _seen(self, head: CheckpointTuple | None, attempt: Attempt) -> Parts:
        request = self._request
        repeated = request.expect if request.kind == "advance" else None
        if attempt.inside and (request.continues or (request.stream and request.stream.goes_on)):
            return ContinuedParts(request.stream, repeated=repeated, inside=attempt.inside, planned=request.continues)
        if request.fanned_out and head is not None:
            return CommitParts(request.stream, repeated=repeated, executed=statuses(head.pending_writes))
        return Parts(request.stream, repeated=repeated)

    def _options(self, seen: Parts) -> dict[str, Any]:
        request = self._request
        return {
            **seen.arguments(),
            "durability": "sync",
            "control": self._control,
            "context": request.context,
            "interrupt_before": request.interrupt_before,
            "interrupt_after": request.interrupt_after,
        }

    async def _mark(self, head: CheckpointTuple | None, mark: str, value: str) -> None:
        if head is not None:
            owner = mark_task(mark, value if mark == STOPPED else self._request.run_id or "")
            await self._saver.aput_writes(head.config, [(mark, value)], owner)

    async def _describe(self, stop: int, head: CheckpointTuple | None = None) -> StepOutcome:
        request = self._request
        return await describe(
            self._graph,
            self._saver,
            request.thread_id,
            stop=stop,
            interrupt_before=request.interrupt_before,
            interrupt_after=request.interrupt_after,
            head=head,
        )

    async def _tell(self, decided: Plan, head: CheckpointTuple | None) -> StepOutcome:
        """What an earlier delivery came to."""
        stop = decided.stop or 0
        told = await self._describe(stop, head)
        if isinstance(decided, Tell):
            self._within_limit(told, told.step, stop)
        return replace(told, replay=self._request.replay)

    async def _ended(self, attempt: Attempt, seen: Parts, *, drained: bool) -> StepOutcome:
        """The outcome of a call in which the graph ran."""
        if seen.last is None or attempt.stop is None:
            raise InvariantBroken("LangGraph ended a run without showing the checkpoint that it is at.")
        if (drained and self._control.step_done) or not seen.last["tasks"]:
            outcome = self._shown(attempt, seen.last, finished=not drained)
        elif drained and self._control.inner_done and self._control.drained_by_caller is None:
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
        sends = send_positions(self._graph, attempt.checkpoint, names) if attempt.checkpoint else [None] * len(names)
        values = output(self._graph, last["values"]) if finished else None
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
            values=last["values"] if self._request.with_values and not finished else values,
        )

    async def _stopped(self, stop: int, *, drained: bool) -> StepOutcome:
        """The outcome where the graph stopped by itself, or was drained inside a super-step."""
        outcome = await self._describe(stop)
        if drained or outcome.status is not StepStatus.ADVANCE:
            return outcome
        # Open tasks that nothing explains: a static breakpoint inside a subgraph.
        head = await self._saver.aget_tuple(head_of(self._request.thread_id))
        asking = {question.task for question in outcome.interrupts}
        for task in outcome.tasks:
            if not task.done and task.id not in asking:
                await self._mark(head, STOPPED, task.id)
        return replace(outcome, status=StepStatus.INTERRUPTED if outcome.interrupts else StepStatus.BREAKPOINT)

    def _within_limit(self, outcome: StepOutcome, step: int, stop: int, *, executed: tuple[str, ...] = ()) -> None:
        """Count super-steps as one plain run does: it looks at the limit before it looks whether it is done."""
        after = self._request.interrupt_after or self._graph.interrupt_after_nodes
        if outcome.status is StepStatus.INTERRUPTED or step + 1 <= stop or named(after, executed):
            return
        limit = self._request.recursion_limit
        message = (
            f"Recursion limit of {limit} reached without hitting a stop condition. "
            "You can increase the limit by setting the `recursion_limit` config key."
        )
        cause = GraphRecursionError(create_error_message(message=message, error_code=ErrorCode.GRAPH_RECURSION_LIMIT))
        raise StepLimitReached(
            f"The run executed {limit} super-steps, its recursion_limit, without coming to an end. "
            "Give the run a higher `recursion_limit`, or look for a loop that never ends."
        ) from cause
