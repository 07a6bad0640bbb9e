"""Starting and restarting orchestrations, and waiting for one that was just started."""

from durablegraph.host.hub import newtonsoft
from durablegraph.host.hub.client import HubClient, InstanceNotFound, WrongStatus
from durablegraph.host.hub.state import RuntimeStatus
from durablegraph.host.management.exchange import (
    ManagementRequest,
    ManagementResponse,
    as_json,
    broken,
    exception,
    message,
    raw_json,
)
from durablegraph.host.management.links import Links
from durablegraph.host.management.projection import status_members


class StartRoutes:
    """POST orchestrators/{function}/{id?}, and what restart shares with it."""

    def __init__(self, client: HubClient, links: Links) -> None:
        self._client, self.links = client, links

    async def start(self, request: ManagementRequest) -> ManagementResponse:
        """The body, if there is one, is the input; it is stored as it came."""
        text = request.text() if request.body else None
        if text is not None and (refusal := _refusal(text)) is not None:
            return refusal
        name, instance_id = request.parts[1], request.parts[2] if len(request.parts) > 2 else None  # noqa: PLR2004 -- the id is the third part
        try:
            started = await self._client.start(
                name, text, instance_id=instance_id, version=request.parameter("version")
            )
        except WrongStatus as conflict:
            return message(409, str(conflict))
        return await self.started(request, started)

    async def restart(self, request: ManagementRequest) -> ManagementResponse:
        """POST instances/{id}/restart."""
        instance_id = request.parts[1]
        try:
            started = await self._client.restart(
                instance_id, new_id=request.flag("restartWithNewInstanceId", default=True)
            )
        except InstanceNotFound:
            text = f"No instance with ID '{instance_id}' was found. (Parameter 'instanceId')"
            return exception(
                400, "InstanceId does not match a valid orchestration instance.", text, "System.ArgumentException"
            )
        except WrongStatus as conflict:
            headline = "A non-terminal instance with this instance ID already exists."
            return exception(
                409, headline, str(conflict), "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException"
            )
        return await self.started(request, started)

    async def started(self, request: ManagementRequest, instance_id: str) -> ManagementResponse:
        """The links at once, or the outcome when the caller asked to wait (`timeout`, `pollingInterval`: seconds)."""
        timeout, interval = _seconds(request, "timeout"), _seconds(request, "pollingInterval")
        if timeout is None or interval is None:
            return self.links.check_status(request.origin, instance_id)
        if interval > timeout:
            return message(400, f"Total timeout {timeout:g} should be bigger than retry timeout {interval:g}")
        try:
            status = await self._client.wait(instance_id, timeout=timeout)
        except (TimeoutError, InstanceNotFound):
            return self.links.check_status(request.origin, instance_id)
        if status.runtime_status is RuntimeStatus.COMPLETED:
            return raw_json(200, status.output or "null")
        return as_json(200, status_members(status))


def _refusal(text: str) -> ManagementResponse | None:
    """The response to a body that is not one JSON value."""
    try:
        rest = newtonsoft.read_body(text)
    except newtonsoft.JsonError as error:
        if error.kind == "JsonSerializationException":
            return broken(str(error), f"Newtonsoft.Json.{error.kind}")
        return exception(400, "Invalid JSON content", str(error), f"Newtonsoft.Json.{error.kind}")
    if not rest.strip():
        return None
    left = rest.lstrip()
    line, position = newtonsoft.place(text, len(text) - len(left))
    where = f"Path '', line {line}, position {position}."
    shown = f"Additional text encountered after finished reading JSON content: {left[0]}. {where}"
    return exception(400, "Invalid JSON content", shown, "Newtonsoft.Json.JsonReaderException")


def _seconds(request: ManagementRequest, name: str) -> float | None:
    try:
        return float(request.parameter(name) or "")
    except ValueError:
        return None
