"""The ASGI apps of the public port and of the client's own endpoint."""

import html
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from durablegraph.host.front.admin import AdminApi
from durablegraph.host.front.binding import WEBHOOK_PATH
from durablegraph.host.front.exchange import BodyTooLarge, origin, public_url, raw_path, read_request, response_of
from durablegraph.host.front.functions import HttpFunction
from durablegraph.host.front.keys import DURABLE_SYSTEM_KEY, Caller, KeyRing
from durablegraph.host.front.throttle import Throttle, TooManyRequests
from durablegraph.host.invocation import FunctionInfo, HttpRequestData, InvocationResult
from durablegraph.host.settings import CorsSettings, HttpSettings
from durablegraph.host.tracing import TraceFile, moment, parsed

_log = logging.getLogger("durablegraph.host.http")
_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404

CallFunction = Callable[[FunctionInfo, HttpRequestData, str], Awaitable[InvocationResult]]
Webhook = Callable[[Request, list[str]], Awaitable[Response]]


class Front:
    """Decides who answers a request: the home page, admin, the durable webhooks, or a function."""

    def __init__(
        self,
        *,
        settings: HttpSettings,
        keys: KeyRing,
        admin: AdminApi,
        webhook: Webhook,
        call: CallFunction,
        enable_auth: bool,
        home_page: bool,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._admin = admin
        self._webhook = webhook
        self._call = call
        self._enable_auth = enable_auth
        self._home_page = home_page
        self._throttle = Throttle(settings.max_concurrent_requests, settings.max_outstanding_requests)
        self.table = admin.table
        self.disabled: frozenset[str] = frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except Exception:  # noqa: BLE001 -- the last line of defence: shown, and answered 500
            _log.exception("%s %s failed in the host itself", request.method, request.url.path)
            response = Response(status_code=500)
        for name, value in self._settings.custom_headers.items():
            response.headers[name] = value
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        path = raw_path(request)
        parts = [unquote(part) for part in path.strip("/").split("/") if part]
        if not parts and (found := self.table.find(request.method, "")) is None:
            return self._home(request)
        lower = path.lower()
        if parts and parts[0].lower() == "admin":
            return await self._respond_admin(request, parts[1:])
        if lower == WEBHOOK_PATH or lower.startswith(f"{WEBHOOK_PATH}/"):
            return await self._respond_webhook(request)
        found = self.table.find(request.method, path)
        if found is None:
            return Response(status_code=_NOT_FOUND)
        return await self._respond_function(request, *found)

    def _caller(self, request: Request) -> Caller:
        if not self._enable_auth:
            return Caller(admin=True)
        return self._keys.caller(request.headers.get("x-functions-key") or request.query_params.get("code"))

    async def _respond_admin(self, request: Request, parts: list[str]) -> Response:
        open_to_all = [part.lower() for part in parts] == ["host", "ping"]
        if not open_to_all and not self._caller(request).admin:
            return Response(status_code=_UNAUTHORISED)
        return await self._admin.respond(request, parts)

    async def _respond_webhook(self, request: Request) -> Response:
        caller = self._caller(request)
        if not (caller.admin or caller.system == DURABLE_SYSTEM_KEY):
            return Response(status_code=_FORBIDDEN if caller.known else _UNAUTHORISED)
        return await self._webhook(request, path_parts(raw_path(request)[len(WEBHOOK_PATH) :]))

    async def _respond_function(self, request: Request, found: HttpFunction, values: dict[str, str]) -> Response:
        name = found.function.name
        if name.lower() in self.disabled:
            return Response(status_code=_NOT_FOUND)
        if not self._caller(request).may_call(name, found.level):
            return Response(status_code=_UNAUTHORISED)
        try:
            async with self._throttle.place():
                result = await self._call(found.function, await read_request(request, values), origin(request))
        except TooManyRequests:
            return Response(status_code=429, headers={"X-FUNCTION-SCALEOUT": "1"})
        except BodyTooLarge:
            return Response(status_code=413)
        response = response_of(result)
        _log.debug("%s %s -> %s %s", request.method, request.url.path, name, response.status_code)
        return response

    def _home(self, request: Request) -> Response:
        if not self._home_page or request.method not in {"GET", "HEAD"}:
            return Response(status_code=204 if not self._home_page else _NOT_FOUND)
        shown = [f"{', '.join(sorted(each.methods)) or 'any'} /{each.route.template}" for each in self.table.functions]
        rows = "".join(f"<li><code>{html.escape(each)}</code></li>" for each in shown)
        return HTMLResponse(
            "<!doctype html><title>Functions host</title><h1>Your Functions app is up and running</h1>"
            f"<ul>{rows}</ul><p><a href='/admin/host/status'>status</a></p>",
        )


class Rpc:
    """The client's own endpoint: the webhooks below /durabletask, on loopback, without keys."""

    def __init__(self, webhook: Webhook, trace: TraceFile | None) -> None:
        self._webhook = webhook
        self._trace = trace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        first, *parts = path_parts(raw_path(request)) or [""]
        try:
            response = (
                await self._webhook(request, parts) if first.lower() == "durabletask" else Response(status_code=404)
            )
        except Exception:  # noqa: BLE001 -- the last line of defence: shown, and answered 500
            _log.exception("%s %s failed in the host itself", request.method, request.url.path)
            response = Response(status_code=500)
        if self._trace is not None:
            self._trace.rpc(await _rpc_row(request, response))
        await response(scope, receive, send)


async def _rpc_row(request: Request, response: Response) -> dict[str, Any]:
    sent = (await request.body()).decode("utf-8", "replace")
    answered = bytes(response.body).decode("utf-8", "replace")
    return {
        "t": moment(datetime.now(UTC)),
        "method": request.method,
        "url": public_url(request),
        "body": parsed(sent) if sent else None,
        "status": response.status_code,
        "location": response.headers.get("location"),
        "response": parsed(answered) if answered else None,
    }


def path_parts(path: str) -> list[str]:
    """The decoded segments of a raw path; slashes at its ends say nothing."""
    return [unquote(part) for part in path.strip("/").split("/")] if path.strip("/") else []


def with_cors(app: ASGIApp, cors: CorsSettings) -> ASGIApp:
    """`app` answering browsers of the origins that local.settings.json allows."""
    if not cors.origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=cors.origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["*"],
        allow_credentials=cors.credentials,
    )
