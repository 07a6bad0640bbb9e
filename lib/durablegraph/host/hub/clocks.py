"""Where the hub's time comes from: the machine's clock, or one that a test moves."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A clock that can call back. All methods are used on one event loop."""

    def now(self) -> datetime:
        """The present moment, aware, UTC."""

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` once at or after `when`; returns what takes that back."""

    def attach(self, settled: Callable[[], Awaitable[None]]) -> None:
        """Tells the clock how to wait until the hub has done all it can do at the present moment."""


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment."""
        return datetime.now(UTC)

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """A late or past `when` fires on the loop's next round."""
        delay = max((when - self.now()).total_seconds(), 0.0)
        return asyncio.get_running_loop().call_later(delay, callback).cancel

    def attach(self, settled: Callable[[], Awaitable[None]]) -> None:
        """Real time waits for nobody."""


class VirtualClock:
    """Stands still until `advance` moves it; what falls due on the way happens in order, each at its own moment."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._calls: list[tuple[datetime, int, list[Callable[[], None]]]] = []
        self._count = itertools.count()
        self._settled: list[Callable[[], Awaitable[None]]] = []

    def now(self) -> datetime:
        """The moment that the last `advance` led to."""
        return self._now

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """What is due already fires on the loop's next round."""
        if when <= self._now:
            return asyncio.get_running_loop().call_soon(callback).cancel
        slot = [callback]
        heapq.heappush(self._calls, (when, next(self._count), slot))
        return slot.clear

    def attach(self, settled: Callable[[], Awaitable[None]]) -> None:
        """`advance` waits for this between two moments."""
        self._settled.append(settled)

    async def advance(self, delta: timedelta) -> None:
        """Moves time on by `delta`. Returns when everything that could happen until then has happened."""
        target = self._now + delta
        await self._settle()
        while self._calls and self._calls[0][0] <= target:
            when, _, slot = heapq.heappop(self._calls)
            if slot:
                self._now = max(self._now, when)
                slot[0]()
                await self._settle()
        self._now = max(self._now, target)
        await self._settle()

    async def _settle(self) -> None:
        for settled in self._settled:
            await settled()
