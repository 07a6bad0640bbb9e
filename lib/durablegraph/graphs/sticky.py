"""Loops that stand before their run's next super-step, for the activity that is to execute it (sticky execution).

An activity ends with its super-step, but the loop in which LangGraph runs the graph need not: it goes on when the next
activity of the run comes to the same worker soon, and nothing is read, rebuilt and prepared once more. What is kept is
a guess, never the truth: an activity that comes elsewhere, later or a second time starts from the store, and a loop
that was overtaken cannot commit, for its saver is fenced by the head that it wrote last.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durablegraph.graphs.superstep import SuperStep
    from durablegraph.model.messages import Cursor

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Place:
    """Where an activity of a run begins: with the step whose loop stands there, if there is one.

    `at` is where the activity leaves the loop of its step standing; None ends it.
    """

    step: SuperStep | None = None
    at: Cursor | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    place: Place
    loop: asyncio.AbstractEventLoop
    timer: asyncio.TimerHandle


class StickyLoops:
    """The loops of one worker process, each kept for so many seconds, and so many at most: each holds a run's state."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def standing(self) -> tuple[str, ...]:
        """The runs whose loops are kept, the oldest first."""
        return tuple(self._kept)

    async def take(self, run_id: str, at: Cursor | None) -> Place:
        """Where an activity begins that is to go on from `at`, None for one that starts from the store in any case.

        Its loop is nobody else's until it is given back: a second delivery meanwhile starts from the store.
        """
        kept = self._kept.pop(run_id, None)
        if kept is None:
            return Place()
        kept.timer.cancel()
        if kept.loop is not asyncio.get_running_loop():
            return Place()
        if kept.place.at != at:
            await _leave(kept.place)
            return Place()
        kept.place.at = None
        return kept.place

    async def give_back(self, run_id: str, place: Place) -> None:
        """Keep the loop of an activity that has ended, where it left it standing; else end it."""
        beside = run_id in self._kept  # that of a delivery beside this one, and who can tell which is ahead
        if beside or place.at is None or place.step is None or not place.step.stands:
            await _leave(place)
            return
        loop = asyncio.get_running_loop()
        self._kept[run_id] = _Kept(place, loop, loop.call_later(self._seconds, self._expire, run_id))
        while len(self._kept) > self._most:
            _, oldest = self._kept.popitem(last=False)
            oldest.timer.cancel()
            await _leave(oldest.place)

    def _expire(self, run_id: str) -> None:
        if (kept := self._kept.pop(run_id, None)) is not None:
            leaving = kept.loop.create_task(_leave(kept.place))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)


async def _leave(place: Place) -> None:
    """End the loop of a place; what the run's callbacks raise at that concerns no activity."""
    try:
        if place.step is not None:
            await place.step.leave()
    except Exception:
        log.warning("a loop that nobody is to go on with could not be ended in order", exc_info=True)
