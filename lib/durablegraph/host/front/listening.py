"""Sockets and the HTTP servers on them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from durablegraph.host.errors import HostConfigurationError

_BACKLOG = 1024
SERVER = "Kestrel"
"""What the real host's server calls itself; the results of an app's `call_http` to itself show it."""
RPC_PORT = 17071
"""Where the durable client's endpoint listens on the real host; any other free port will do too."""


class Listener(uvicorn.Server):
    """A server on a socket that is already bound; signals stay with whoever starts it."""

    def __init__(self, app: ASGIApp, bound: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                headers=[("Server", SERVER)],
                proxy_headers=False,
                timeout_graceful_shutdown=5,
            ),
        )
        self._bound = bound

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signal handlers alone."""
        yield

    async def run_until_stopped(self) -> None:
        """Serve until `should_exit` is set."""
        await self.serve(sockets=[self._bound])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, port 0 for any. Raises HostConfigurationError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it only where the protocol is named
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise HostConfigurationError(
            f"Found port {port} of {host} unusable ({error.strerror}), expected to listen there. "
            "Stop what uses it, or take another one with --port.",
        ) from error
    bound.setblocking(False)  # noqa: FBT003 -- the standard library's own signature
    return bound


def bind_rpc() -> socket.socket:
    """The client endpoint's socket: 17071 as on the real host, else any free port."""
    try:
        return bind("127.0.0.1", RPC_PORT)
    except HostConfigurationError:
        return bind("127.0.0.1", 0)
