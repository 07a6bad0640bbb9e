"""Tasks executed apart from the rest of their super-step: some by a call of the graph each time, or each by its own.

LangGraph stops the siblings of a task that fails, and its `max_concurrency` counts what a task waits for as well (an
entrypoint that awaits its own tasks would wait for ever at one). Where tasks may fail, a call each knows neither; where
all must succeed, calls in turn need no count.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from durablegraph.execution.recording import recording
from durablegraph.execution.requests import Due, step_request
from durablegraph.graphs.contract import Chunk, ChunkOutcome
from durablegraph.graphs.deadline import CutShort, TimeBudget
from durablegraph.graphs.fanout import run_tasks
from durablegraph.graphs.registry import LoadedGraph
from durablegraph.graphs.turns import Turns
from durablegraph.model.records import RunFailure
from durablegraph.services import Services


@dataclass(frozen=True, slots=True)
class Placed:
    """A chunk, the number by which its parts of the stream are known, and the names of its nodes."""

    chunk: Chunk
    number: int
    names: frozenset[str]


async def _always() -> bool:
    return True


def _unasked() -> None:
    """Nobody waits for a task to begin."""


@dataclass(frozen=True, slots=True)
class Apart:
    """Executes tasks of the super-step that is due, on behalf of a run, as long as it is `wanted`.

    `by_one_call` calls `begun` before each task.
    """

    services: Services
    loaded: LoadedGraph
    saver: BaseCheckpointSaver[Any]
    due: Due
    now: datetime
    wanted: Callable[[], Awaitable[bool]] = _always
    begun: Callable[[], None] = _unasked

    async def execute(
        self,
        placed: Placed,
        budget: TimeBudget | None,
        *,
        head: CheckpointTuple | None = None,
        turns: Turns | None = None,
    ) -> ChunkOutcome:
        """Execute a chunk's tasks by one call. What failed is stored beside the run; what finished tells its time.

        `head` and `turns` are those of `run_tasks`; raises what it raises.
        """
        if not await self.wanted():
            return ChunkOutcome(executed=False)
        services = self.services
        request = step_request(self.due, self.loaded.graph.config or {}, services.settings)
        began = time.monotonic()
        async with recording(services, self.due, chunk=placed.number) as recorder:
            if recorder is not None:
                request = replace(request, stream=recorder.options)
            outcome = await run_tasks(
                self.loaded.graph,
                self.saver,
                request,
                placed.chunk,
                store=services.items_for(self.loaded),
                cache=services.cache_for(self.loaded),
                on_part=recorder.on_part if recorder is not None else None,
                time_budget=budget,
                head=head,
                turns=turns,
            )
        if outcome.executed and not outcome.asking and not outcome.failures:
            for names, seconds in _times(turns, placed, time.monotonic() - began):
                services.paces.note(self.due.request.graph, names, seconds, self.now)
        for failure in outcome.failures:
            told = RunFailure(type=failure.type, message=failure.message, node=failure.node)
            await services.runs.put_failure(self.due.request.run_id, request.expect or "", failure.id, told)
        return outcome

    async def by_one_call(self, placed: Placed, at_once: int, head: CheckpointTuple) -> ChunkOutcome:
        """Execute a chunk's tasks by one call of the graph, so many at a time, within one activity's time budget.

        None begins after one that failed. Raises what `execute` raises; `CutShort` also when there was no time to begin
        all, as the longest of them tells.
        """
        budget = self.services.time_budget
        passed = since_now(budget)
        late = False
        broken: list[Exception] = []

        async def may_begin(turns: Turns) -> bool:
            nonlocal late
            self.begun()
            late = bool(turns.took) and budget is not None and passed() + turns.longest > budget.hard
            try:
                return not late and await self.wanted()
            except Exception as error:  # noqa: BLE001 -- raised in a task, it would be taken for the task's
                broken.append(error)
                return False

        turns = Turns(at_once, may_begin, passed)
        outcome = await self.execute(placed, budget, head=head, turns=turns)
        if broken:
            raise broken[0]
        if late and not outcome.failures:
            raise CutShort((), moved=_moved([outcome]), inside=None)
        return outcome

    async def in_turn(self, placed: Sequence[Placed], head: CheckpointTuple | None = None) -> list[ChunkOutcome]:
        """Execute chunks one after the other within one activity's time budget, none after one that failed.

        `head` is for the first of them. Raises what `execute` raises; `CutShort` also before a chunk that would not fit
        if it took as long as another.
        """
        budget = self.services.time_budget
        passed = since_now(budget)
        spent = longest = 0.0
        outcomes: list[ChunkOutcome] = []
        for each in placed:
            moved = _moved(outcomes)
            if moved and budget is not None and spent + longest > budget.hard:
                raise CutShort((), moved=True, inside=None)
            try:
                outcomes.append(await self.execute(each, _rest(budget, spent), head=head))
            except CutShort as cut:
                raise CutShort(cut.nodes, moved=moved or cut.moved, inside=cut.inside) from cut
            if outcomes[-1].failures:
                break
            head = None
            before, spent = spent, passed()
            longest = max(longest, spent - before)
        return outcomes

    async def each(
        self, placed: Sequence[Placed], at_once: int, head: CheckpointTuple | None = None
    ) -> list[ChunkOutcome]:
        """Execute chunks, so many at a time, all within one activity's time budget.

        `head` is for the first of them. Raises, when all have ended: what the first raised that failed for
        infrastructure, else `CutShort` when there was no time for all.
        """
        gate = asyncio.Semaphore(at_once)
        budget = self.services.time_budget
        passed = since_now(budget)

        async def one(each: Placed) -> ChunkOutcome:
            async with gate:
                own = head if each is placed[0] else None
                return await self.execute(each, _rest(budget, passed()), head=own)

        ended = await asyncio.gather(*map(one, placed), return_exceptions=True)
        broken = [error for error in ended if isinstance(error, BaseException)]
        if other := next((error for error in broken if not isinstance(error, CutShort)), None):
            raise other
        done = [outcome for outcome in ended if isinstance(outcome, ChunkOutcome)]
        if broken:
            late = {name for each, came in zip(placed, ended, strict=True) if came in broken for name in each.names}
            raise CutShort(tuple(sorted(late)), moved=_moved(done), inside=self.due.at.inside)
        return done


def _times(turns: Turns | None, placed: Placed, lasted: float) -> list[tuple[Collection[str], float]]:
    """How long the tasks of which nodes took; tasks that are in flight together from the start took the whole call."""
    if turns is None:
        return [(placed.names, lasted)]
    return [((node,), seconds) for node, seconds in turns.took.values()]


def _moved(outcomes: Sequence[ChunkOutcome]) -> bool:
    """Whether any of these calls finished a task."""
    return any(outcome.finished and outcome.executed for outcome in outcomes)


def since_now(budget: TimeBudget | None) -> Callable[[], float]:
    """The seconds that have passed, by the budget's clock, since this was called."""
    clock = budget.clock if budget is not None else time.monotonic
    began = clock()
    return lambda: clock() - began


def _rest(budget: TimeBudget | None, spent: float) -> TimeBudget | None:
    """What is left of a budget; raises `CutShort` when nothing is."""
    if budget is None:
        return None
    if spent >= budget.hard:
        raise CutShort((), moved=False, inside=None)
    return replace(budget, soft=max(budget.soft - spent, 0), hard=budget.hard - spent)
