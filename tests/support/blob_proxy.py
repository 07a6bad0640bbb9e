"""An HTTP proxy before Azurite that counts requests and, by a script, loses answers or gives its own."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web


@dataclass(frozen=True, slots=True)
class Pass:
    """The request is carried out and answered."""


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The request is carried out, and the connection breaks before the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The request never reaches the service; this is the answer."""

    status: int
    code: str
    headers: tuple[tuple[str, str], ...] = ()


Step = Pass | LoseAnswer | Answer


@dataclass(slots=True)
class BlobProxy:
    """What came by, as (method, path with query), and what happens to the next requests; then all pass."""

    port: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)
    script: deque[Step] = field(default_factory=deque)

    @property
    def methods(self) -> list[str]:
        """The methods of the requests seen."""
        return [method for method, _ in self.seen]


@asynccontextmanager
async def blob_proxy(azurite_port: int) -> AsyncIterator[BlobProxy]:
    """A proxy on a free port of this machine, on the running event loop."""
    proxy = BlobProxy()
    unsigned = ["Content-Type", "Accept", "Accept-Encoding", "User-Agent"]  # to add one would break the signature
    async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=unsigned) as session:

        async def carry(request: web.Request) -> web.StreamResponse:
            proxy.seen.append((request.method, request.path_qs))
            step = proxy.script.popleft() if proxy.script else Pass()
            body = await request.read()
            if isinstance(step, Answer):
                return web.Response(status=step.status, headers={"x-ms-error-code": step.code, **dict(step.headers)})
            url = f"http://127.0.0.1:{azurite_port}{request.raw_path}"
            async with session.request(request.method, url, headers=request.headers, data=body or None) as answer:
                content = await answer.read()
            if isinstance(step, LoseAnswer):
                assert request.transport is not None
                request.transport.abort()
            kept = {name: value for name, value in answer.headers.items() if name not in _OF_ONE_CONNECTION}
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("Content-Length", "0")
            return web.Response(status=answer.status, headers=kept, body=content)

        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", carry)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.port = runner.addresses[0][1]
        try:
            yield proxy
        finally:
            await runner.cleanup()


_OF_ONE_CONNECTION = {"Transfer-Encoding", "Connection", "Keep-Alive", "Content-Length", "Date", "Server"}
