"""Activities that execute tasks set out one after the other, though a worker is given many at the same moment.

What an activity does before its first task begins takes the processor some milliseconds. Ten of them side by side
would begin all their first tasks at the end of that, and tasks that take equally long would then end, be stored and
be followed all at once, again and again, while the processor has nothing to do in between.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

TOGETHER = 2
"""So that one may wait for the storage while another needs the processor."""

LONGEST = 1.0
"""Seconds that an activity waits for its place at most: where the storage hangs, none waits for all the others."""

_places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@asynccontextmanager
async def setting_out() -> AsyncIterator[Callable[[], None]]:
    """Wait for a place, and keep it until what this gives is called, any number of times, or until the block ends."""
    places = _places.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(TOGETHER))
    left = not await _taken(places)

    def leave() -> None:
        nonlocal left
        if not left:
            left = True
            places.release()

    try:
        yield leave
    finally:
        leave()


async def _taken(places: asyncio.Semaphore) -> bool:
    try:
        async with asyncio.timeout(LONGEST):
            return await places.acquire()
    except TimeoutError:
        return False
