"""`maxConcurrentRequests` and `maxOutstandingRequests` of host.json.

Source: the host's request queue: requests above the first wait for a place, requests above the second are refused.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TooManyRequests(Exception):  # noqa: N818 -- a fact about the host's load
    """More requests are running and waiting than the host may hold."""


class Throttle:
    """Counts requests; -1 means no limit."""

    def __init__(self, concurrent: int, outstanding: int) -> None:
        self._places = asyncio.Semaphore(concurrent) if concurrent > 0 else None
        self._outstanding = outstanding
        self._held = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for one request. Raises TooManyRequests at once when the queue is full."""
        if 0 <= self._outstanding <= self._held:
            raise TooManyRequests
        self._held += 1
        try:
            if self._places is None:
                yield
            else:
                async with self._places:
                    yield
        finally:
            self._held -= 1
