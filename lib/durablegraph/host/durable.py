"""The durable part of a host: its task hub, and the HTTP door to it."""

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from durablegraph.host.front.exchange import origin, public_url
from durablegraph.host.hub.taskhub import TaskHub
from durablegraph.host.invocation import FunctionIndex, Worker
from durablegraph.host.management.api import ManagementApi
from durablegraph.host.management.exchange import ManagementRequest
from durablegraph.host.preparation import Prepared

_NOT_RUNNING = 503


class Durable:
    """Owns the hub. Before `start` and after `stop` requests are answered 503."""

    def __init__(self, prepared: Prepared, worker: Worker, system_key: str) -> None:
        """`system_key` goes into links; the front checks it."""
        self._options = prepared.durable
        self._path = prepared.options.state / f"hub-{prepared.durable.hub_name}.db"
        self._worker = worker
        self._system_key = system_key
        self._hub: TaskHub | None = None
        self._api: ManagementApi | None = None

    async def start(self, index: FunctionIndex) -> None:
        """Open the hub for these functions and go on with what is unfinished there. Raises HostError."""
        self._hub = TaskHub.open(self._path, worker=self._worker, index=index, options=self._options)
        self._api = ManagementApi(self._hub, self._system_key)
        await self._hub.start()

    def use(self, index: FunctionIndex) -> None:
        """Take the functions of a reloaded app."""
        if self._hub is not None:
            self._hub.use(index)

    @property
    def failure(self) -> BaseException | None:
        """What stopped the hub of itself, None while it works."""
        return self._hub.failure if self._hub is not None else None

    async def stop(self, drain_seconds: float) -> None:
        """Begin nothing more, let what runs end within the time, stop; the rest runs again after the next start."""
        hub, self._hub, self._api = self._hub, None, None
        if hub is not None:
            await hub.stop(drain_seconds)

    async def respond(self, request: Request, parts: list[str]) -> Response:
        """Answer a management request; `parts` are the decoded path segments below the endpoint's own path."""
        if self._api is None:
            return Response(status_code=_NOT_RUNNING)
        answer = await self._api.respond(
            ManagementRequest(
                method=request.method,
                parts=parts,
                query=QueryParams(request.scope["query_string"]).multi_items(),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.body(),
                origin=origin(request),
                url=public_url(request),
            ),
        )
        response = Response(answer.body, status_code=answer.status)
        for name, value in answer.headers.items():
            response.headers[name] = value
        return response
