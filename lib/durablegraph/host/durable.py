"""The durable part of a host: its task hub, and the HTTP door to it."""

from starlette.requests import Request
from starlette.responses import Response

from durablegraph.host.hub.taskhub import TaskHub
from durablegraph.host.invocation import FunctionIndex, Worker
from durablegraph.host.preparation import Prepared

_NOT_RUNNING = 503


class Durable:
    """Owns the hub. Before `start` and after `stop` requests are answered 503."""

    def __init__(self, prepared: Prepared, worker: Worker) -> None:
        self._options = prepared.durable
        self._path = prepared.options.state / f"hub-{prepared.durable.hub_name}.db"
        self._worker = worker
        self._hub: TaskHub | None = None

    async def start(self, index: FunctionIndex) -> None:
        """Open the hub for these functions and go on with what is unfinished there. Raises HostError."""
        self._hub = TaskHub.open(self._path, worker=self._worker, index=index, options=self._options)
        await self._hub.start()

    def use(self, index: FunctionIndex) -> None:
        """Take the functions of a reloaded app."""
        if self._hub is not None:
            self._hub.use(index)

    async def stop(self, drain_seconds: float) -> None:
        """Begin nothing more, let what runs end within the time, stop; the rest runs again after the next start."""
        del drain_seconds
        hub, self._hub = self._hub, None
        if hub is not None:
            await hub.stop()

    async def respond(self, request: Request, parts: list[str]) -> Response:
        """Answer a management request; `parts` are the decoded path segments below the endpoint's own path."""
        del request, parts
        return Response(status_code=_NOT_RUNNING)
