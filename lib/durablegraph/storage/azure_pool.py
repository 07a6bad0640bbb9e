"""One pooled client of a blob container, on an event loop of its own.

An aiohttp session belongs to the event loop it was opened on, while a store is called from several: the worker's, and
those of threads in which LangGraph calls a saver's synchronous face. Were the session on the worker's loop, a
synchronous call made *on* that loop would wait for itself for ever.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.request import getproxies

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import ContainerClient

from durablegraph.storage.azure_retries import Sends
from durablegraph.storage.home import live
from durablegraph.storage.objects import StoreClosed

T = TypeVar("T")

_CONNECTIONS: Final = 64
_GRACE_SECONDS: Final = 10.0
_SENDS: ContextVar[Sends | None] = ContextVar("durablegraph_sends", default=None)


@dataclass(frozen=True, slots=True)
class OpenClient:
    """A client with what must be closed after it (an identity's credential, for example)."""

    container: ContainerClient
    also_close: tuple[Callable[[], Awaitable[Any]], ...] = ()


OpenContainer = Callable[[AioHttpTransport], OpenClient]
"""Makes the client on the transport given; called once, on the pool's own loop."""


@dataclass(frozen=True, slots=True)
class Line:
    """What an operation has on the pool's loop: the client, and how often it put a request on a connection."""

    container: ContainerClient
    sends: Sends


class BlobPool:
    """Carries calls to the client's loop and their results back; the thread starts with the first call."""

    def __init__(self, open_container: OpenContainer) -> None:
        self._open_container = open_container
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: OpenClient | None = None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def run(self, act: Callable[[Line], Awaitable[T]]) -> T:
        """The result of `act`, awaited on the pool's loop. Cancelling the caller cancels `act`."""
        with self._lock:
            if self._closed:
                raise StoreClosed("the blob store was closed; open a new one")
            loop = self._loop or self._start()
            future = asyncio.run_coroutine_threadsafe(self._act(act), loop)
        return await asyncio.wrap_future(future)

    def stop(self) -> None:
        """Close the client and end the thread when the calls under way have ended; does not wait for that."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(self._close(self._loop), self._loop)

    async def aclose(self) -> None:
        """As `stop`, and wait for it."""
        self.stop()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=live, args=(loop,), name="durablegraph-blob", daemon=True)
        self._thread.start()
        return loop

    async def _act(self, act: Callable[[Line], Awaitable[T]]) -> T:
        sends = Sends()
        _SENDS.set(sends)  # a task's own context: concurrent calls do not see each other's
        return await act(Line(self._opened().container, sends))

    def _opened(self) -> OpenClient:
        if self._client is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
            self._session = aiohttp.ClientSession(
                connector=connector,
                # aiohttp asks two threads about netrc and proxies for every single request: only where a proxy is set.
                trust_env=bool(getproxies()),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[_counting_sends()],
            )
            self._client = self._open_container(AioHttpTransport(session=self._session, session_owner=False))
        return self._client

    async def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                _, late = await asyncio.wait(others, timeout=_GRACE_SECONDS)
                for task in late:
                    task.cancel()
            if self._client is not None:
                await self._client.container.close()
                for close in self._client.also_close:
                    await close()
            if self._session is not None:
                await self._session.close()
        finally:
            loop.stop()


def _counting_sends() -> aiohttp.TraceConfig:
    """Counts how often a request is put on a connection: aiohttp repeats a PUT by itself when an idle one broke."""

    async def count(*_: Any) -> None:
        if (sends := _SENDS.get()) is not None:
            sends.count += 1

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(count)
    trace.on_connection_create_end.append(count)
    return trace
