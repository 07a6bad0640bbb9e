"""A worker as the host uses it: durable clients supplied, ends of calls traced, deaths of workers shown."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

from durablegraph.host.front.binding import ClientBinding
from durablegraph.host.invocation import (
    Binding,
    Datum,
    FunctionIndex,
    Invocation,
    InvocationResult,
    InvocationTimedOut,
    Worker,
    WorkerExited,
)
from durablegraph.host.tracing import TraceFile

_log = logging.getLogger("durablegraph.host")
_CLIENT_TYPES = {"durableclient", "orchestrationclient"}


class HostedWorker:
    """Wraps a worker; `index` is the one that calls are completed by and changes with a reload."""

    def __init__(self, worker: Worker, client: ClientBinding, trace: TraceFile | None) -> None:
        self._worker = worker
        self._client = client
        self._trace = trace
        self._clients: Mapping[str, tuple[Binding, ...]] = {}
        self._now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def start(self) -> FunctionIndex:
        """Start the worker."""
        return await self._worker.start()

    def serve(self, index: FunctionIndex) -> None:
        """Take calls for the functions of this index."""
        self._clients = {
            function.name: tuple(each for each in function.bindings if each.type.lower() in _CLIENT_TYPES)
            for function in index.functions
        }

    def invoke(self, call: Invocation, *, timeout: float | None) -> asyncio.Future[InvocationResult]:
        """Run one call, as the worker does."""
        return self.invoke_from(call, timeout=timeout, origin=None)

    def invoke_from(
        self, call: Invocation, *, timeout: float | None, origin: str | None
    ) -> asyncio.Future[InvocationResult]:
        """Run one call; durable clients build their links on `origin`, the address that the caller used."""
        call = self._with_clients(call, origin)
        answer = asyncio.ensure_future(self._worker.invoke(call, timeout=timeout))
        answer.add_done_callback(partial(self._note, call, self._now()))
        return answer

    async def stop(self) -> None:
        """Stop the worker."""
        await self._worker.stop()

    def _with_clients(self, call: Invocation, origin: str | None) -> Invocation:
        bindings = self._clients.get(call.function)
        if not bindings:
            return call
        inputs = dict(call.inputs)
        for binding in bindings:
            text = self._client.text(
                origin,
                hub=binding.settings.get("taskHub"),
                connection=binding.settings.get("connectionName"),
            )
            inputs.setdefault(binding.name, Datum("string", text))
        return Invocation(call.id, call.function, call.kind, inputs, call.instance_id, call.traceparent)

    def _note(self, call: Invocation, began: datetime, answer: asyncio.Future[InvocationResult]) -> None:
        """Shows and traces how a call ended."""
        if answer.cancelled():
            return
        error = answer.exception()
        if isinstance(error, WorkerExited):
            _log.error("'%s' failed: %s", call.function, error)
        elif isinstance(error, InvocationTimedOut):
            _log.error("'%s' ran longer than functionTimeout allows; its worker was ended", call.function)
        if self._trace is not None and (error is None or isinstance(error, WorkerExited)):
            self._trace.invocation(call, error or answer.result(), began, self._now())
