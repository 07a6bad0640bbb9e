"""Where the wall clock enters: everything below takes the time as an argument."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeAlias

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""What stored times are counted from."""

Clock: TypeAlias = Callable[[], datetime]
"""Tells the current time, aware."""


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)
