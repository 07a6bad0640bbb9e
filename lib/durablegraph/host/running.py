"""One host: its worker, its hub, its front and its timers, started in order and stopped in reverse."""

import asyncio
import json
import logging
import os
import time
import uuid
from dataclasses import replace
from typing import Any

from durablegraph.host.app.loading import enter
from durablegraph.host.durable import Durable
from durablegraph.host.errors import HostConfigurationError
from durablegraph.host.front.admin import AdminApi
from durablegraph.host.front.binding import ClientBinding
from durablegraph.host.front.functions import FunctionTable
from durablegraph.host.front.keys import DURABLE_SYSTEM_KEY, KeyRing
from durablegraph.host.front.listening import Listener, bind_rpc
from durablegraph.host.front.server import Front, Rpc, with_cors
from durablegraph.host.hosted import HostedWorker
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
from durablegraph.host.preparation import Prepared, state_identity
from durablegraph.host.timers.due import Timer, read_timer
from durablegraph.host.timers.runner import TimerRunner, TimerStatuses
from durablegraph.host.timers.schedule import ScheduleError
from durablegraph.host.tracing import TraceFile
from durablegraph.host.worker.child import ChildWorker
from durablegraph.host.worker.in_process import InProcessWorker
from durablegraph.host.worker.pool import WorkerPool

_log = logging.getLogger("durablegraph.host")
_OPEN_KEY = "testkey"
"""What links carry while no keys are asked for: a fixed word, so that links stay good over restarts."""


class FunctionsHost:
    """Runs one app until stopped. Everything it holds is on one event loop."""

    def __init__(self, prepared: Prepared) -> None:
        """Must be called on the event loop; nothing is started yet."""
        options = prepared.options
        self.prepared = prepared
        self._keys = KeyRing.open(options.state / "secrets.json")
        self._link_key = self._keys.system[DURABLE_SYSTEM_KEY] if options.enable_auth else _OPEN_KEY
        self._rpc_socket = bind_rpc()
        self._trace = TraceFile(options.trace) if options.trace else None
        self._pool = _pool(prepared) if prepared.workers else None
        self._worker = HostedWorker(
            self._pool or InProcessWorker(prepared.script),
            self._client_binding(),
            self._trace,
        )
        self._durable = Durable(prepared, self._worker, self._link_key)
        began = time.monotonic()
        self._admin = AdminApi(
            self._keys, self._trigger, lambda: time.monotonic() - began, state_identity(options.state)
        )
        self._front = self._make_front()
        self._timers = TimerRunner(TimerStatuses(options.state / "timers.json"), self._call_timer)
        self._timer_functions: dict[str, Timer] = {}
        self._listeners = [
            Listener(with_cors(self._front, prepared.local.cors), prepared.bound),
            Listener(Rpc(self._durable.respond, self._trace), self._rpc_socket),
        ]
        self._serving: list[asyncio.Task[None]] = []
        self.index = FunctionIndex(())

    @property
    def errors(self) -> dict[str, str]:
        """A text for each function that is not served."""
        return {**self.index.errors, **self._front.table.errors}

    @property
    def table(self) -> FunctionTable:
        """The HTTP functions that are served."""
        return self._front.table

    @property
    def keys(self) -> KeyRing:
        """The host's keys."""
        return self._keys

    @property
    def failure(self) -> BaseException | None:
        """What keeps the host from going on: its hub could not write. None while all is well."""
        return self._durable.failure

    async def start(self) -> None:
        """Load the app and begin. Raises HostError; `stop` then undoes what was begun."""
        if self._pool is None:
            enter(self.prepared.script.parent, os.environ, self.prepared.environment)
        self._apply(await self._worker.start())
        self._serving = [asyncio.create_task(each.run_until_stopped(), name="listener") for each in self._listeners]
        await self._durable.start(self.index)
        self._start_timers()
        self._admin.state = "Running"

    async def reload(self) -> None:
        """Take the app's files as they are now; AppLoadError leaves everything as it was. Runs in flight go on."""
        if self._pool is None:
            raise HostConfigurationError("The app runs in the host's own process, which cannot load it anew. Restart.")
        index = await self._pool.reload(self.prepared.options.drain_seconds)
        await self._timers.stop()
        self._apply(index)
        self._durable.use(self.index)
        self._start_timers()

    async def stop(self) -> None:
        """Stop taking work, let what runs end within the drain time, end everything."""
        self._admin.state = "Stopping"
        await self._timers.stop()
        public, rpc = self._listeners
        public.should_exit = True
        await asyncio.gather(*self._serving[:1], return_exceptions=True)
        await self._durable.stop(self.prepared.options.drain_seconds)
        rpc.should_exit = True
        await asyncio.gather(*self._serving[1:], return_exceptions=True)
        await self._worker.stop()
        for bound in (self.prepared.bound, self._rpc_socket):
            bound.close()
        if self._trace is not None:
            self._trace.close()

    def _apply(self, index: FunctionIndex) -> None:
        disabled = _disabled(index, self.prepared.environment)
        self.index = index
        self._worker.serve(index)
        table = FunctionTable(index, self.prepared.settings.http.route_prefix)
        self._front.table, self._front.disabled = table, disabled
        self._admin.index, self._admin.table = index, table
        errors = dict(index.errors)
        self._timer_functions = {}
        for function in index.functions:
            if function.kind == "timer" and function.name.lower() not in disabled:
                try:
                    timer = read_timer(function, self.prepared.environment, self.prepared.zone)
                except (ScheduleError, HostConfigurationError) as error:
                    errors[function.name] = str(error)
                else:
                    self._timer_functions[function.name] = timer
        self.index = replace(index, errors=errors)

    def _start_timers(self) -> None:
        self._timers.start(list(self._timer_functions.values()))

    def _client_binding(self) -> ClientBinding:
        address = self._rpc_socket.getsockname()
        return ClientBinding(
            hub=self.prepared.durable.hub_name,
            connection=self.prepared.durable.connection_name,
            system_key=self._link_key,
            rpc_url=f"http://127.0.0.1:{address[1]}/durabletask/",
            origin=f"http://localhost:{self.prepared.port}",
        )

    def _make_front(self) -> Front:
        environment = self.prepared.environment
        return Front(
            settings=self.prepared.settings.http,
            keys=self._keys,
            admin=self._admin,
            webhook=self._durable.respond,
            call=self._call_http,
            enable_auth=self.prepared.options.enable_auth,
            home_page=environment.get("AzureWebJobsDisableHomepage", "").lower() not in {"true", "1"},
        )

    async def _call_http(self, function: FunctionInfo, request: HttpRequestData, origin: str) -> InvocationResult:
        call = Invocation(
            id=str(uuid.uuid4()),
            function=function.name,
            kind="http",
            inputs={function.trigger.name: Datum("http", request)},
            traceparent=request.headers.get("traceparent"),
        )
        return await self._finish(call, origin)

    async def _call_timer(self, timer: Timer, text: str) -> None:
        call = Invocation(str(uuid.uuid4()), timer.function, "timer", {timer.binding: Datum("json", text)})
        await self._finish(call, None)

    async def _finish(self, call: Invocation, origin: str | None) -> InvocationResult:
        """The result of a call; a worker that died or timed out is a failure without text."""
        timeout = self.prepared.settings.function_timeout
        try:
            return await self._worker.invoke_from(call, timeout=timeout, origin=origin)
        except (WorkerExited, InvocationTimedOut) as error:
            return InvocationResult(error=InvocationError(str(error), ""))

    async def _trigger(self, function: FunctionInfo, given: Any) -> bool:
        """Start a function by hand, as the admin API may; False for kinds that cannot be started so."""
        if timer := self._timer_functions.get(function.name):
            await self._timers.trigger(timer)
            return True
        if function.kind != "activity":
            return False
        text = given if isinstance(given, str) else json.dumps(given)
        call = Invocation(str(uuid.uuid4()), function.name, "activity", {function.trigger.name: Datum("string", text)})
        await self._finish(call, None)
        return True


def _pool(prepared: Prepared) -> WorkerPool:
    return WorkerPool(lambda: ChildWorker(prepared.script, prepared.environment), prepared.workers)


def _disabled(index: FunctionIndex, environment: dict[str, str] | Any) -> frozenset[str]:
    """Names, in lower case, of functions that ``AzureWebJobs.<name>.Disabled`` switches off."""
    on = {name.lower() for name, value in environment.items() if value.lower() in {"true", "1"}}
    return frozenset(
        function.name.lower()
        for function in index.functions
        if {f"azurewebjobs.{function.name.lower()}.disabled", f"azurewebjobs_{function.name.lower()}_disabled"} & on
    )
