"""A client of a blob container that somebody else made, used on the event loop it belongs to and never closed here."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from azure.storage.blob.aio import ContainerClient

from durablegraph.errors import ConfigurationError
from durablegraph.storage.azure_pool import Line
from durablegraph.storage.azure_retries import Sends
from durablegraph.storage.objects import StoreClosed

T = TypeVar("T")


class LentClient:
    """Carries calls to the client where they are made; the first call decides which loop that is."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def run(self, act: Callable[[Line], Awaitable[T]]) -> T:
        """The result of `act`, awaited here; raises ConfigurationError on another loop than before."""
        if self._closed:
            raise StoreClosed("the blob store was closed; open a new one")
        here = asyncio.get_running_loop()
        self._loop = self._loop or here
        if self._loop is not here:
            raise ConfigurationError(
                "a prepared blob client was used on two event loops, found a call from another one than the first; "
                "give each loop a client of its own, or pass a connection string"
            )
        # Its transport is not ours, so nobody counts what it sends.
        return await act(Line(self._container, Sends(counted=False)))

    def stop(self) -> None:
        """Take no more calls."""
        self._closed = True

    async def aclose(self) -> None:
        """As `stop`; the client stays open."""
        self.stop()
