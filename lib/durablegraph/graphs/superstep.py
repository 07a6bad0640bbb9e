"""Executes one super-step of an unmodified compiled graph and commits it.

LangGraph's own loop runs the graph; we end it when the checkpoint of the super-step is durable ("drain on commit"):

* the graph runs with ``durability="sync"``, so that the loop waits for each checkpoint before it looks at the next
  super-step;
* the view of the saver that it is given asks for a drain as soon as the root graph's checkpoint is stored;
* the loop then prepares the next tasks, checks the static breakpoints, and stops.

Of a sticky request the loop is not drained where it need not be: it is only not asked for more, and then stands there.

What a call repeats after a crash, and what it must not, is decided in `plan`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import AsyncGeneratorType
from typing import Any

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.store.base import BaseStore

from durablegraph.errors import InvariantBroken
from durablegraph.graphs.attempt import Attempt
from durablegraph.graphs.calling import call_config, head_of, prepared
from durablegraph.graphs.continued_parts import ContinuedParts
from durablegraph.graphs.contract import OnPart, StepOutcome, StepRequest, StepStatus
from durablegraph.graphs.control import StepControl
from durablegraph.graphs.deadline import CutShort, TimeBudget, within
from durablegraph.graphs.ending import Ending
from durablegraph.graphs.faults import raise_fault
from durablegraph.graphs.foretold import Early
from durablegraph.graphs.internals import Graph
from durablegraph.graphs.journal import ANSWERED
from durablegraph.graphs.nested import with_inner_steps
from durablegraph.graphs.parts import CommitParts, Parts, handed_out
from durablegraph.graphs.plan import Tell, plan

__all__ = ["StepOutcome", "StepRequest", "SuperStep", "carried_out", "run_superstep"]


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
    return await carried_out(step, on_part=on_part, time_budget=time_budget)


async def carried_out(
    step: "SuperStep", *, on_part: OnPart | None = None, time_budget: TimeBudget | None = None
) -> StepOutcome:
    """Execute a step as `run_superstep` does.

    Of a sticky request, within a time budget, it may be over when its checkpoint is durable: the loop goes on to where
    it stands when the caller lets the event loop go.
    """
    early = step.may_end_early() if time_budget is not None else None
    work = asyncio.ensure_future(handed_out(step.parts(), on_part))
    enough = (early.told,) if early is not None else ()
    try:
        ended = await within(time_budget, work, step.end_inner_step, step.stopping, enough=enough)
    finally:
        if early is not None and early.told.done():
            early.let_on(work)
    if not ended:
        raise step.cut_short()
    if early is not None and early.told.done():
        await step.end_early(early.told.result())
    return step.outcome


class SuperStep:
    """One call: iterate `parts()` to its end, then read `outcome`.

    Of a sticky request the graph's loop may stand afterwards: another request can be given to `go_on`, and its parts be
    iterated, for as long as nobody else commits; otherwise `leave` it.
    """

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
        head: CheckpointTuple | None = None,
    ) -> None:
        """`head` is the thread's head where it is loaded already; it must not be used afterwards."""
        self._graph = graph
        self._saver = saver
        self._request = request
        self._store = store
        self._cache = cache
        self._control = StepControl(control)
        self._clock = clock
        self._head = head
        self._outcome: StepOutcome | None = None
        self._began: tuple[Attempt, Parts] | None = None
        self._executing: tuple[str, ...] = ()
        self._loop: AsyncGeneratorType[Any, None] | None = None
        self._early: Early | None = None

    @property
    def saver(self) -> BaseCheckpointSaver[Any]:
        """What the step was given to save with."""
        return self._saver

    @property
    def stands(self) -> bool:
        """Whether the graph's loop stands before the next super-step."""
        return self._loop is not None

    async def go_on(self, request: StepRequest) -> bool:
        """Take up the request for the super-step before which the loop stands; False where it does not, after all."""
        await self._over()
        if self._began is None or self._loop is None:
            return False
        self._request, self._outcome, self._executing, self._early = request, None, (), None
        self._began[0].go_on(request)
        return True

    def may_end_early(self) -> Early | None:
        """Have the coming call end with its save, where it can; None where it must not."""
        self._early = Early() if self._request.sticky else None
        return self._early

    async def end_early(self, told: StepOutcome) -> None:
        """End the call with its save, whose outcome is told; the loop goes on to where it stands."""
        self._outcome = told
        if self._began is not None:
            await self._all_stored(*self._began)

    async def leave(self) -> None:
        """End the loop, if it stands; nothing is stored by that."""
        await self._over()
        await self._end_loop()

    async def _over(self) -> None:
        if self._early is not None:
            await self._early.over()

    async def _end_loop(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and not loop.ag_running:  # one that runs was left behind at the time budget: it ends itself
            await loop.aclose()

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
            self._control.end_step()  # a node may hold out against being cancelled: none is to follow it
        inside = attempt.inside.newest if attempt and attempt.inside else self._request.inside
        return CutShort(self._executing, moved=attempt is not None and attempt.moved, inside=inside)

    async def parts(self) -> AsyncGenerator[Any, None]:
        """Do it, yielding the stream parts that the request asks for. To be iterated once for each request."""
        if self._loop is None:
            await self._begin()
        if self._loop is not None and self._began is not None:
            async with aclosing(self._going_on(self._loop, *self._began)) as wanted:
                async for part in wanted:
                    yield part

    async def _begin(self) -> None:
        """Start the graph's loop, or, where an earlier delivery did all there is to do, tell the outcome."""
        request = self._request
        head, self._head = self._head or await self._saver.aget_tuple(head_of(request.thread_id)), None
        decided = await plan(self._saver, request, head)
        if isinstance(decided, Tell) or (decided.look and not request.continues):
            told = await self._ending().told(decided, head)
            if isinstance(decided, Tell) or told.status is not StepStatus.ADVANCE:
                self._outcome = told
                return
            head = await self._saver.aget_tuple(head_of(request.thread_id))
        if decided.answering:
            await self._ending().mark(head, ANSWERED, decided.answering)
        attempt = Attempt(self._graph, request, head, self._control, run=decided, clock=self._clock)
        seen = self._seen(head, attempt)
        self._began = attempt, seen
        graph = with_inner_steps(self._graph, attempt.inside) if attempt.inside else self._graph
        graph = prepared(graph, self._saver, attempt, stop=decided.stop, store=self._store, cache=self._cache)
        config = call_config(
            request, resuming=decided.resuming, addressed=decided.addressed, at_once=self._told_at_once
        )
        loop: Any = graph.astream(decided.input, config, **self._options(seen))
        self._loop = loop

    def _told_at_once(self, inside: tuple[str, ...], mode: str, payload: Any) -> None:
        stream = self._request.stream
        if stream is not None and stream.at_once is not None:
            stream.at_once(inside, mode, payload)

    async def _going_on(
        self, loop: AsyncGeneratorType[Any, None], attempt: Attempt, seen: Parts
    ) -> AsyncGenerator[Any, None]:
        """Have the loop execute what it stands before, up to where it is to stand again or to its end."""
        stands = drained = False
        attempt.before_save = self._request.stream.before_save if self._request.stream else None
        attempt.early = self._early
        try:
            async for chunk in loop:
                for part in seen.wanted(chunk):
                    yield part
                if seen.whole and attempt.stands(seen.last):
                    await attempt.stored()
                    stands = True
                    break
        except GraphDrained as error:
            drained = True
            await self._drained(error, attempt, seen)
        except Exception as error:  # noqa: BLE001 -- sorted into the graph's faults and everybody else's
            raise_fault(error, attempt, seen)
        finally:
            if not stands:
                await self._end_loop()
        self._outcome = await self._ending().ended(attempt, seen, drained=drained, stands=stands)

    async def _drained(self, error: GraphDrained, attempt: Attempt, seen: Parts) -> None:
        if not self._control.drain_is_known:
            raise_fault(error, attempt, seen)  # a node drained a graph of its own
        if attempt.left is not None:  # LangGraph, having been interrupted, tells nothing of the tasks' own writes
            await self._all_stored(attempt, seen)

    async def _all_stored(self, attempt: Attempt, seen: Parts) -> None:
        try:
            await attempt.stored()
        except Exception as error:  # noqa: BLE001 -- sorted as what the call itself raises
            raise_fault(error, attempt, seen)

    def _seen(self, head: CheckpointTuple | None, attempt: Attempt) -> Parts:
        request = self._request
        repeated = request.expect if request.kind == "advance" else None
        if attempt.inside and (request.continues or (request.stream and request.stream.goes_on)):
            return ContinuedParts(request.stream, repeated=repeated, inside=attempt.inside, planned=request.continues)
        if request.fanned_out and head is not None:
            executed = {task for task, _, _ in head.pending_writes or ()}
            return CommitParts(request.stream, repeated=repeated, executed=executed)
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

    def _ending(self) -> Ending:
        return Ending(self._graph, self._saver, self._request, self._control)
