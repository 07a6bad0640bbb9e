"""The event loop a saver lives on, and the bridge to it from everywhere else.

LangGraph calls a saver's synchronous methods from any thread (threads of synchronous nodes while an event loop runs the
graph, too) and its asynchronous ones from any loop. The log lives on one loop, its home:

* the loop that was running when the saver was entered with ``async with``, or when it was made for a store;
* otherwise, or when that loop has been closed, a loop in a thread of the saver's own, started when it is needed. Then
  every call may come from anywhere.

A synchronous call from the home loop's own thread could never be answered, because it holds up the loop that would
have to answer: it is refused with the asynchronous method's name, so nothing ever deadlocks.
"""

import asyncio
import contextlib
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

from durablegraph.errors import ConfigurationError

T = TypeVar("T")


class Home:
    """See the module. Thread-safe."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def settle_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make `loop` the home, unless there is one already."""
        with self._starting:
            if self._loop is None:
                self._loop = loop

    def is_here(self) -> bool:
        """Whether the caller runs on the home loop."""
        return running_loop() is self._started()

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` on the home loop, from any loop."""
        loop = self._started()
        if running_loop() is loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def wait(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """The result of `work`, for a caller that cannot await. `name` is the synchronous method's."""
        loop = self._started()
        if running_loop() is loop:
            work.close()
            raise ConfigurationError(
                f"{name}() was called on the event loop that this saver lives on and would wait for itself: "
                f"await a{name}() instead, or call {name}() from another thread"
            )
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    async def stream(self, make: Callable[[], AsyncGenerator[T, None]]) -> AsyncIterator[T]:
        """Iterate on the home loop, from any loop."""
        if self.is_here():
            async with aclosing(make()) as items:
                async for item in items:
                    yield item
            return
        remote = make()
        try:
            while True:
                following: T | None = await self.call(_next(remote))
                if following is None:
                    return
                yield following
        finally:
            await self.call(remote.aclose())

    def iterate(self, make: Callable[[], AsyncGenerator[T, None]], name: str) -> Iterator[T]:
        """Iterate on the home loop, for a caller that cannot await."""
        remote = make()
        try:
            while (item := self.wait(_next(remote), name)) is not None:
                yield item
        finally:
            self._dismiss(remote)

    def _dismiss(self, items: AsyncGenerator[Any, None]) -> None:
        """Let go of items without waiting: an iterator may be dropped anywhere, also on the home loop itself."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            asyncio.run_coroutine_threadsafe(_closed(items), loop)

    def leave(self) -> None:
        """End the thread of its own, if there is one. The next use would start another."""
        with self._starting:
            thread, self._thread = self._thread, None
            if thread is None or self._loop is None:
                return
            loop, self._loop = self._loop, None
        _stop(loop)
        if thread is not threading.current_thread():
            thread.join()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None or self._loop.is_closed():
                self._loop = asyncio.new_event_loop()
                # A daemon, because a saver nobody closed must not keep a program from ending.
                self._thread = threading.Thread(target=live, args=(self._loop,), name="checkpoints", daemon=True)
                self._thread.start()
                weakref.finalize(self, _stop, self._loop)
            return self._loop


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(RuntimeError):  # it is closed already
        loop.call_soon_threadsafe(loop.stop)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def live(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop in this thread, for which it was made, until it is stopped; then close it."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _next(items: AsyncGenerator[T, None]) -> T | None:
    async for item in items:
        return item
    return None


async def _closed(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()
