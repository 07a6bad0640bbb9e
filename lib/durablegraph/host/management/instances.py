"""Endpoints of instances: status, listing, events, terminate, suspend, resume, rewind, restart, purge."""

import base64
import binascii
from collections.abc import Awaitable, Callable

from durablegraph.host.hub import newtonsoft
from durablegraph.host.hub.client import HubClient, InstanceNotFound, WrongStatus
from durablegraph.host.hub.listing import Query
from durablegraph.host.hub.state import RuntimeStatus
from durablegraph.host.hub.wiretime import parse_date_query
from durablegraph.host.management.exchange import (
    ManagementRequest,
    ManagementResponse,
    as_json,
    bad_argument,
    broken,
    empty,
    exception,
    message,
)
from durablegraph.host.management.projection import DuplicateEvent, history_members, status_members
from durablegraph.host.management.starting import StartRoutes

Handler = Callable[[ManagementRequest], Awaitable[ManagementResponse]]
_TOKEN = "x-ms-continuation-token"  # noqa: S105 -- a header's name
_WAITING = {"Retry-After": "5"}


class InstanceRoutes:
    """Everything below ``instances``."""

    def __init__(self, client: HubClient, starting: StartRoutes) -> None:
        self._client = client
        self._handlers: dict[tuple[str, int, str], Handler] = {
            ("GET", 0, ""): self._list,
            ("DELETE", 0, ""): self._purge_many,
            ("GET", 1, ""): self._status,
            ("DELETE", 1, ""): self._purge,
            ("POST", 3, "raiseevent"): self._raise,
            ("POST", 2, "terminate"): self._control,
            ("POST", 2, "suspend"): self._control,
            ("POST", 2, "resume"): self._control,
            ("POST", 2, "rewind"): self._rewind,
            ("POST", 2, "restart"): starting.restart,
        }

    def route(self, method: str, parts: list[str]) -> Handler | None:
        """The handler for the parts after ``instances``, None when there is none."""
        operation = parts[1].lower() if len(parts) > 1 else ""
        return self._handlers.get((method, len(parts), operation))

    # -- reading ---------------------------------------------------------------------------------------------------
    async def _status(self, request: ManagementRequest) -> ManagementResponse:
        instance_id = request.parts[1]
        status = self._client.status(instance_id)
        if status is None:
            return empty(404)
        show_input = request.flag("showInput", default=True)
        members = status_members(status, show_input=show_input)
        if request.flag("showHistory", default=False) and status.runtime_status is not RuntimeStatus.PENDING:
            show_output = request.flag("showHistoryOutput", default=False)
            try:
                members["historyEvents"] = history_members(
                    self._client.history(instance_id), show_input=show_input, show_output=show_output
                )
            except DuplicateEvent as error:
                return bad_argument(str(error))
        if not status.runtime_status.ended:
            return as_json(202, members, {"Location": request.url, **_WAITING})
        failed = status.runtime_status is RuntimeStatus.FAILED and request.flag(
            "returnInternalServerErrorOnFailure", default=False
        )
        return as_json(500 if failed else 200, members)

    async def _list(self, request: ManagementRequest) -> ManagementResponse:
        start_id = _start_id(request.headers.get(_TOKEN, ""))
        if start_id is None:
            return as_json(200, [], {_TOKEN: ""})
        page = self._client.page(
            Query(
                prefix=request.parameter("instanceIdPrefix") or "",
                created_from=parse_date_query(request.parameter("createdTimeFrom") or ""),
                created_to=parse_date_query(request.parameter("createdTimeTo") or ""),
                statuses=tuple(_statuses(request)),
                top=max(request.number("top", 100), 0),
                start_id=start_id,
            )
        )
        show_input = request.flag("showInput", default=True)
        token = "" if page.next_id is None else base64.b64encode(page.next_id.encode()).decode()
        return as_json(
            200, [status_members(status, show_input=show_input) for status in page.statuses], {_TOKEN: token}
        )

    # -- writing ---------------------------------------------------------------------------------------------------
    async def _raise(self, request: ManagementRequest) -> ManagementResponse:
        instance_id, name = request.parts[1], request.parts[3]
        status = self._client.status(instance_id)
        if status is None:
            return empty(404)
        if status.runtime_status.ended:
            return empty(410)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return message(400, "Only application/json request content is supported")
        try:
            text = newtonsoft.one_value(request.text())
        except newtonsoft.JsonError as error:
            return exception(400, "Invalid JSON content", str(error), f"Newtonsoft.Json.{error.kind}")
        return await _tell(self._client.raise_event(instance_id, name, text))

    async def _control(self, request: ManagementRequest) -> ManagementResponse:
        instance_id, operation = request.parts[1], request.parts[2].lower()
        tell = {"terminate": self._client.terminate, "suspend": self._client.suspend, "resume": self._client.resume}[
            operation
        ]
        return await _tell(tell(instance_id, request.parameter("reason") or None))

    async def _rewind(self, request: ManagementRequest) -> ManagementResponse:
        instance_id = request.parts[1]
        try:
            await self._client.rewind(instance_id, request.parameter("reason") or None)
        except InstanceNotFound:
            return as_json(404, f'No orchestration with instance ID "${instance_id}" found.')
        except WrongStatus as error:
            return as_json(412, str(error))
        return empty(202)

    async def _purge(self, request: ManagementRequest) -> ManagementResponse:
        try:
            await self._client.purge(request.parts[1])
        except InstanceNotFound:
            return empty(404)
        except WrongStatus as error:
            return as_json(412, str(error))
        return as_json(200, {"instancesDeleted": 1})

    async def _purge_many(self, request: ManagementRequest) -> ManagementResponse:
        start = parse_date_query(request.parameter("createdTimeFrom") or "")
        if start is None:
            return as_json(400, "Please provide value for 'createdTimeFrom' parameter.")
        end = parse_date_query(request.parameter("createdTimeTo") or "")
        deleted = await self._client.purge_between(start, end, _statuses(request))
        return as_json(200, {"instancesDeleted": deleted}) if deleted else empty(404)


async def _tell(told: Awaitable[None]) -> ManagementResponse:
    """202 when it was told; 404, 410 or 500 as the instance's status has it."""
    try:
        await told
    except InstanceNotFound:
        return empty(404)
    except WrongStatus as error:
        return empty(410) if error.status.ended else broken(str(error))
    return empty(202)


def _statuses(request: ManagementRequest) -> list[RuntimeStatus]:
    """Names that are no statuses, or in another case, are ignored."""
    known = {status.value: status for status in RuntimeStatus}
    return [known[name] for name in request.parameters("runtimeStatus") if name in known]


def _start_id(token: str) -> str | None:
    """Where a page begins; None for a token that is not one of ours."""
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
