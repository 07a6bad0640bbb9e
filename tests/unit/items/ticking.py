"""Time for tests of items."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Time that moves when it is told to, and by a microsecond at each look, so that no two puts coincide."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(microseconds=1)
        return self.time

    def advance(self, **duration: float) -> None:
        self.time += timedelta(**duration)
