"""How long one call may take: asked to stop in time, then made to stop.

Not a law of nature: a coroutine that blocks the event loop is not stopped, and a synchronous node runs on in its thread
until it returns, though nobody waits for it any more and nothing that it returns is used.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

GRACE = 5.0
"""Seconds that a call which is made to stop may take to do so; after that it is left behind, fenced like any zombie."""


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """Seconds from the start of a call: after `soft` its subgraphs are asked to stop, at `hard` it is made to."""

    soft: float
    hard: float


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
    work: Coroutine[Any, Any, None],
    ask: Callable[[], None] = _nothing,
    stopping: Callable[[], None] = _nothing,
) -> bool:
    """Do the work; False when it had to be stopped. Raises what the work raises.

    `ask` is called at the soft budget, `stopping` before the work is stopped at the hard one.
    """
    if budget is None:
        await work
        return True
    task = asyncio.create_task(work)
    asking = asyncio.get_running_loop().call_later(budget.soft, ask)
    try:
        await asyncio.wait({task}, timeout=budget.hard)
        if not task.done():
            stopping()
            task.cancel()
            await asyncio.wait({task}, timeout=GRACE)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE)
        raise
    finally:
        asking.cancel()
    if not task.done() or task.cancelled():
        return False
    task.result()
    return True
