"""The clock that a test moves."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from durablegraph.host.hub.clocks import VirtualClock


class LoopClock(VirtualClock):
    """The virtual clock on the app's event loop. It settles the app, which may change its host meanwhile."""

    def __init__(self, start: datetime, settle: Callable[[], Awaitable[None]]) -> None:
        super().__init__(start)
        super().attach(settle)

    def attach(self, settled: Callable[[], Awaitable[None]]) -> None:
        """A host's own way to settle is not used: it ends with the host."""

    def next_due(self) -> datetime | None:
        """When something happens next, None when nothing is due."""
        return min((when for when, _, slot in self._calls if slot), default=None)


class Clock:
    """The app's time: it stands still until the test moves it, however long the test takes."""

    def __init__(self, clock: LoopClock, advance: Callable[[timedelta], None]) -> None:
        self._clock, self._advance = clock, advance

    @property
    def now(self) -> datetime:
        """The present moment, aware, UTC."""
        return self._clock.now()

    @property
    def next_due(self) -> datetime | None:
        """When the next timer fires, None when there is none."""
        return self._clock.next_due()

    def advance(
        self,
        delta: timedelta | None = None,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> None:
        """Move on; what falls due on the way happens in order, each at its own moment, before this returns."""
        moved = (delta or timedelta()) + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if moved < timedelta():
            raise ValueError(f"found {moved}, expected a time that is not negative: time does not go back")
        self._advance(moved)
