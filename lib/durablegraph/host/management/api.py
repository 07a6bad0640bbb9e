"""Routes of the durable API. Anything that is not one of them is 404 without a body, wrong verbs included."""

from collections.abc import Awaitable, Callable

from durablegraph.host.hub.dispatcher import HubStopped
from durablegraph.host.hub.taskhub import TaskHub
from durablegraph.host.management.entities import EntityRoutes
from durablegraph.host.management.exchange import ManagementRequest, ManagementResponse, broken, empty
from durablegraph.host.management.instances import InstanceRoutes
from durablegraph.host.management.links import Links
from durablegraph.host.management.starting import StartRoutes

Handler = Callable[[ManagementRequest], Awaitable[ManagementResponse]]


class ManagementApi:
    """The API of one hub, for the public webhooks and for the client's local endpoint alike."""

    def __init__(self, hub: TaskHub, system_key: str) -> None:
        """`system_key` goes into the links of responses; checking keys is the front's business."""
        options = hub.options
        self._hub_name, self._connection_name = options.hub_name, options.connection_name
        links = Links(options.hub_name, options.connection_name, system_key)
        self._starting = StartRoutes(hub.client, links)
        self._instances = InstanceRoutes(hub.client, self._starting)
        self._entities = EntityRoutes(hub.client)

    async def respond(self, request: ManagementRequest) -> ManagementResponse:
        """Answer one request. Never raises for what a caller sends; 503 when the hub is not running."""
        if any("/" in part for part in request.parts):
            return empty(404)  # an encoded slash is decoded before the real host's router sees the path
        connection = request.parameter("connection")
        if connection is not None and connection.lower() != self._connection_name.lower():
            return broken(f"Unable to resolve the Azure Storage connection named '{connection}'.")
        hub = request.parameter("taskHub")
        if hub is not None and hub.lower() != self._hub_name.lower():
            return empty(404)
        handler = self._route(request)
        try:
            return empty(404) if handler is None else await handler(request)
        except HubStopped:
            return empty(503)

    def _route(self, request: ManagementRequest) -> Handler | None:
        match (request.method.upper(), request.parts[0].lower() if request.parts else "", list(request.parts[1:])):
            case ("POST", "orchestrators", [_] | [_, _]):
                return self._starting.start
            case (method, "instances", parts):
                return self._instances.route(method, parts)
            case (method, "entities", parts):
                return self._entities.route(method, parts)
            case ("POST", "makeprimary", []):
                return _primary
        return None


async def _primary(_: ManagementRequest) -> ManagementResponse:
    """One host is always the primary."""
    return empty(200)
