"""The client's way to the service."""

import pytest
from aiohttp import web

from durablegraph.storage.connections import string_connection
from durablegraph.storage.opening import open_store

FAR = "AccountName=account;AccountKey=AAAA;BlobEndpoint=http://storage.invalid/account"


async def test_requests_go_through_the_proxy_that_the_environment_names(
    unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str | None]] = []

    async def carry(request: web.BaseRequest) -> web.Response:
        seen.append((request.path, request.headers.get("Host")))
        return web.Response(status=404, headers={"x-ms-error-code": "BlobNotFound"})

    runner = web.ServerRunner(web.Server(carry))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_tcp_port}")
    store = open_store(string_connection(FAR, container="container"))
    try:
        assert await store.get("key") is None
    finally:
        await store.aclose()
        await runner.cleanup()
    assert seen == [("/account/container/key", "storage.invalid")]
