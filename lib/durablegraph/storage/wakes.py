"""Tells those who wait for a change, in this process, that there was one: they need not find out by looking.

Changes that other processes make are told by nobody; whoever waits looks from time to time as well.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Wake:
    """One who waits. A change is not missed between two pauses: the next of them ends at once then."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """There was a change; from any thread."""
        with suppress(RuntimeError):  # that loop was closed: nobody waits there any more
            self._loop.call_soon_threadsafe(self._changed.set)

    async def pause(self, seconds: float) -> None:
        """Return after a change, or after so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        self._changed.clear()


class Wakes:
    """Who waits for what, by key."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Wake]] = {}

    @contextmanager
    def of(self, key: str) -> Iterator[Wake]:
        """One more who waits for changes of this key, until the end of the block."""
        wake = Wake()
        self._waiting.setdefault(key, []).append(wake)
        try:
            yield wake
        finally:
            left = self._waiting[key]
            left.remove(wake)
            if not left:
                del self._waiting[key]

    def tell(self, key: str) -> None:
        """What has this key was changed."""
        for wake in tuple(self._waiting.get(key, ())):
            wake.tell()
