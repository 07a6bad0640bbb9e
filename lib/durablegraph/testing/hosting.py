"""One life of the embedded host, in memory: hub, HTTP front and worker on one event loop, without a socket."""

import json
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from durablegraph.host.front.admin import AdminApi
from durablegraph.host.front.binding import ClientBinding
from durablegraph.host.front.exchange import origin, public_url
from durablegraph.host.front.functions import FunctionTable
from durablegraph.host.front.keys import KeyRing
from durablegraph.host.front.server import Front
from durablegraph.host.hosted import HostedWorker
from durablegraph.host.hub.options import DurableOptions
from durablegraph.host.hub.taskhub import TaskHub
from durablegraph.host.invocation import (
    Datum,
    FunctionIndex,
    FunctionInfo,
    HttpRequestData,
    Invocation,
    InvocationError,
    InvocationResult,
    InvocationTimedOut,
    WorkerExited,
)
from durablegraph.host.management.api import ManagementApi
from durablegraph.host.management.exchange import ManagementRequest
from durablegraph.host.preparation import Prepared
from durablegraph.host.timers.due import Due, TimerStatus, read_timer, request_text
from durablegraph.host.worker.in_process import InProcessWorker
from durablegraph.testing.clock import LoopClock
from durablegraph.testing.journaling import Record
from durablegraph.testing.lives import KeptJournal, Life
from durablegraph.testing.worker import Deliveries, WatchedWorker

_KEY = "testkey"
_CLIENTS = {"durableclient", "orchestrationclient"}


@dataclass(frozen=True, slots=True)
class Setting:
    """What all lives of one app share. `listen` opens the loopback port, which clients in functions call."""

    prepared: Prepared
    keys: KeyRing
    clock: LoopClock
    record: Record
    deliveries: Deliveries
    parallel: int
    listen: Callable[[], Awaitable[None]]


class MemoryHost:
    """Serves one life of the app. `start` once, `stop` once."""

    def __init__(self, setting: Setting, life: Life) -> None:
        self._setting, self._life = setting, life
        self._bare = InProcessWorker(setting.prepared.script)
        self.worker = WatchedWorker(self._bare, life, setting.record, setting.deliveries)
        self._hosted = HostedWorker(self.worker, self._binding(), None)
        self._began = time.monotonic()
        self._admin = AdminApi(setting.keys, self._trigger, lambda: time.monotonic() - self._began, uuid.uuid4().hex)
        self.front = self._make_front()
        self.index = FunctionIndex(())
        self._hub: TaskHub | None = None
        self._management: ManagementApi | None = None

    @property
    def hub(self) -> TaskHub:
        """The task hub, once started."""
        if self._hub is None:
            raise RuntimeError("The host has not started: wait for start() first.")
        return self._hub

    async def load(self) -> FunctionIndex:
        """Import the app. Raises AppLoadError."""
        self.index = await self._hosted.start()
        self._hosted.serve(self.index)
        table = FunctionTable(self.index, self._setting.prepared.settings.http.route_prefix)
        self.front.table = self._admin.table = table
        self._admin.index, self._admin.state = self.index, "Running"
        return self.index

    async def start(self, left: bytes | None) -> None:
        """Go on with what an earlier life left."""
        options = _options(self._setting)
        journal = KeptJournal.of(options.hub_name, self._life, left)
        self._hub = TaskHub.open(
            journal, worker=_Calls(self), index=self.index, options=options, clock=self._setting.clock
        )
        self._management = ManagementApi(self._hub, _KEY)
        await self._hub.start()

    async def stop(self) -> None:
        """End this life; whatever is in flight is forgotten."""
        if self._hub is not None:
            await self._hub.stop()
        await self._hosted.stop()

    async def call(self, call: Invocation, caller_origin: str | None = None) -> InvocationResult:
        """Run one function; a function with a durable client finds its endpoint listening."""
        function = next((each for each in self.index.functions if each.name == call.function), None)
        if function is not None and any(binding.type.lower() in _CLIENTS for binding in function.bindings):
            await self._setting.listen()
        timeout = self._setting.prepared.settings.function_timeout
        return await self._hosted.invoke_from(call, timeout=timeout, origin=caller_origin)

    async def ask(self, call: Invocation) -> InvocationResult:
        """Call a function past the record and the crashes: nothing of this app follows from it."""
        return await self._bare.invoke(call, timeout=None)

    async def respond(self, request: Request, parts: list[str]) -> Response:
        """Answer a management request; `parts` are the decoded path segments below the endpoint's own path."""
        if self._management is None:
            return Response(status_code=503)
        given = ManagementRequest(
            method=request.method,
            parts=parts,
            query=QueryParams(request.scope["query_string"]).multi_items(),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.body(),
            origin=origin(request),
            url=public_url(request),
        )
        answer = await self._management.respond(given)
        response = Response(answer.body, status_code=answer.status)
        for name, value in answer.headers.items():
            response.headers[name] = value
        return response

    def find(self, name: str, kind: str) -> FunctionInfo:
        """A function of this kind by its own or its durable name. Raises LookupError that lists what there is."""
        known = [each for each in self.index.functions if each.kind == kind]
        for each in known:
            if name.lower() in {each.name.lower(), each.durable_name.lower()}:
                return each
        broken = self.index.errors.get(name)
        told = f" It did not load: {broken}" if broken else ""
        names = ", ".join(each.durable_name for each in known) or "none"
        raise LookupError(f"Found no {kind} function {name!r}, expected one of: {names}.{told}")

    async def run_timer(self, function: FunctionInfo, now: datetime) -> InvocationResult:
        """Run a timer function as if it were due."""
        prepared = self._setting.prepared
        timer = read_timer(function, prepared.environment, prepared.zone)
        text = json.dumps(request_text(timer, Due(now, past_due=False), TimerStatus(now, now, now)))
        return await self.call(
            Invocation(str(uuid.uuid4()), function.name, "timer", {timer.binding: Datum("json", text)})
        )

    def _binding(self) -> ClientBinding:
        prepared = self._setting.prepared
        return ClientBinding(
            hub=prepared.durable.hub_name,
            connection=prepared.durable.connection_name,
            system_key=_KEY,
            rpc_url=f"http://127.0.0.1:{prepared.port}/durabletask/",
            origin=f"http://localhost:{prepared.port}",
        )

    def _make_front(self) -> Front:
        return Front(
            settings=self._setting.prepared.settings.http,
            keys=self._setting.keys,
            admin=self._admin,
            webhook=self.respond,
            call=self._call_http,
            enable_auth=False,
            home_page=False,
        )

    async def _call_http(self, function: FunctionInfo, request: HttpRequestData, asked_at: str) -> InvocationResult:
        call = Invocation(
            id=str(uuid.uuid4()),
            function=function.name,
            kind="http",
            inputs={function.trigger.name: Datum("http", request)},
            traceparent=request.headers.get("traceparent"),
        )
        try:
            return await self.call(call, asked_at)
        except (WorkerExited, InvocationTimedOut) as error:
            return InvocationResult(error=InvocationError(str(error), ""))

    async def _trigger(self, function: FunctionInfo, given: Any) -> bool:
        if function.kind == "timer":
            await self.run_timer(function, self._setting.clock.now())
            return True
        if function.kind != "activity":
            return False
        text = given if isinstance(given, str) else json.dumps(given)
        inputs = {function.trigger.name: Datum("string", text)}
        await self.call(Invocation(str(uuid.uuid4()), function.name, "activity", inputs))
        return True


class _Calls:
    """The worker as the hub calls it: through the host, which opens its door for functions with a client."""

    def __init__(self, host: MemoryHost) -> None:
        self._host = host

    async def start(self) -> FunctionIndex:
        """The host loads the app."""
        return self._host.index

    async def invoke(self, call: Invocation, *, timeout: float | None) -> InvocationResult:  # noqa: ASYNC109 -- the contract's word
        """Run one call within the host's own limit, which is the same."""
        del timeout
        return await self._host.call(call)

    async def stop(self) -> None:
        """The host stops the worker."""


def _options(setting: Setting) -> DurableOptions:
    """The app's options; timers fire exactly when they are due, and so many calls run at once as the test wants."""
    options = setting.prepared.durable
    room = setting.parallel
    return replace(options, timers_fire_early=False, max_activities=room, max_orchestrators=room, max_entities=room)


def listening(present: Callable[[], MemoryHost], rpc: Callable[[Any, Any, Any], Awaitable[None]]) -> Any:
    """The ASGI app of the loopback port: the durable client's endpoint, and the front of the present life."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/durabletask"):
            await rpc(scope, receive, send)
        else:
            await present().front(scope, receive, send)

    return app


def folder_environment(settings: dict[str, str], hub: str) -> dict[str, str]:
    """This process's environment with a test's settings over it; each super-step starts from the store by default."""
    environment = {
        "DURABLEGRAPH_STICKY_SECONDS": "0",
        **os.environ,
        **{name: str(value) for name, value in settings.items()},
    }
    environment.setdefault(hub, "durablegraph")
    return environment
