"""How long one call may take: asked to stop in time, then made to stop.

Not a law of nature: a coroutine that blocks the event loop is not stopped, and a synchronous node runs on in its thread
until it returns, though nobody waits for it any more and nothing that it returns is used.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

GRACE = 5.0
"""Seconds that a call which is made to stop may take to do so; after that it is left behind, fenced like any zombie."""


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """Seconds from the start of a call: after `soft` its subgraphs are asked to stop, at `hard` it is made to.

    `sleep` is how they pass, and `clock` how what has passed is told.
    """

    soft: float
    hard: float
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, compare=False, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, compare=False, repr=False)


class CutShort(Exception):  # noqa: N818 -- tells of an end, not of an error
    """A call was stopped at its hard budget.

    `nodes` are those that were executing, subgraph by subgraph (``"agent|tools"``). `moved` says whether anything was
    stored that the next call goes on from; `inside` is what a `StepOutcome` calls so.
    """

    def __init__(self, nodes: tuple[str, ...], *, moved: bool, inside: str | None) -> None:
        super().__init__(f"stopped at the time budget while executing {', '.join(nodes) or 'no node'}")
        self.nodes = nodes
        self.moved = moved
        self.inside = inside


def _nothing() -> None:
    """Nobody wants to know."""


async def within(
    budget: TimeBudget | None,
    work: Coroutine[Any, Any, None] | asyncio.Task[None],
    ask: Callable[[], None] = _nothing,
    stopping: Callable[[], None] = _nothing,
    *,
    enough: Iterable[asyncio.Future[Any]] = (),
) -> bool:
    """Do the work; False when it had to be stopped. Raises what the work raises.

    `ask` is called at the soft budget; `stopping` before the work is stopped, at the hard one or from outside.
    When any of `enough` is done the work is left to itself. Without a budget it is done whole.
    """
    if budget is None:
        await work
        return True
    task = asyncio.ensure_future(work)
    try:
        await _until([task, *enough], _passed(budget, ask, budget.clock()))
    except asyncio.CancelledError:
        await _stop(budget, task, stopping)
        raise
    if any(each.done() for each in enough):
        return True
    if not task.done():
        await _stop(budget, task, stopping)
    if not task.done() or task.cancelled():
        return False
    task.result()
    return True


async def _passed(budget: TimeBudget, ask: Callable[[], None], began: float) -> None:
    """Return at the hard budget, even where a blocked loop tells late of the soft one."""
    await budget.sleep(began + budget.soft - budget.clock())
    ask()
    await budget.sleep(began + budget.hard - budget.clock())


async def _until(ends: Iterable[asyncio.Future[Any]], passed: Awaitable[None]) -> None:
    """Wait until one of the ends has come, or the time has passed."""
    waiting = asyncio.ensure_future(passed)
    try:
        await asyncio.wait({*ends, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


async def _stop(budget: TimeBudget, task: asyncio.Task[None], stopping: Callable[[], None]) -> None:
    if not task.done():
        stopping()
        task.cancel()
        await _until([task], budget.sleep(GRACE))
