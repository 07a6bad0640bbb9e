"""Endpoints of entities: read, list, signal, delete."""

from collections.abc import Awaitable, Callable

from durablegraph.host.hub import newtonsoft
from durablegraph.host.hub.client import EntityView, HubClient
from durablegraph.host.hub.wiretime import iso, parse_date_query
from durablegraph.host.management.exchange import (
    ManagementRequest,
    ManagementResponse,
    as_json,
    empty,
    message,
    raw_json,
)
from durablegraph.host.management.projection import parsed

Handler = Callable[[ManagementRequest], Awaitable[ManagementResponse]]


class EntityRoutes:
    """Everything below ``entities``. A key of ``$`` means the empty key."""

    def __init__(self, client: HubClient) -> None:
        self._client = client

    def route(self, method: str, parts: list[str]) -> Handler | None:
        """The handler for the parts after ``entities``, None when there is none."""
        match (method, parts):
            case ("GET", [] | [_]):
                return self._list
            case ("GET", [_, _]):
                return self._read
            case ("POST", [_, _]):
                return self._signal
            case ("DELETE", [_, _]):
                return self._delete
        return None

    async def _read(self, request: ManagementRequest) -> ManagementResponse:
        entity = self._client.entity(request.parts[1], _key(request))
        return empty(404) if entity is None else raw_json(200, entity.state or "null")

    async def _list(self, request: ManagementRequest) -> ManagementResponse:
        name = request.parts[1] if len(request.parts) > 1 else ""
        start = parse_date_query(request.parameter("lastOperationTimeFrom") or "")
        end = parse_date_query(request.parameter("lastOperationTimeTo") or "")
        found = [
            entity
            for entity in self._client.entities(name)
            if (start is None or entity.updated >= start) and (end is None or entity.updated <= end)
        ]
        fetch = request.flag("fetchState", default=False)
        shown = [_members(entity, fetch=fetch) for entity in found[: max(request.number("top", 100), 0)]]
        return as_json(200, shown, {"x-ms-continuation-token": ""})

    async def _signal(self, request: ManagementRequest) -> ManagementResponse:
        name = request.parts[1]
        if (refusal := self._client.unknown_entity(name)) is not None:
            return message(400, refusal)
        text = None
        if request.body:
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
                try:
                    text = newtonsoft.one_value(request.text())
                except newtonsoft.JsonError as error:
                    return message(400, f"Could not parse JSON content: {error}")
            else:
                text = newtonsoft.quote(request.text())
        await self._client.signal_entity(name, _key(request), request.parameter("op") or "", text)
        return empty(202)

    async def _delete(self, request: ManagementRequest) -> ManagementResponse:
        if (refusal := self._client.unknown_entity(request.parts[1])) is not None:
            return message(400, refusal)
        await self._client.signal_entity(request.parts[1], _key(request), "delete")
        return empty(202)


def _key(request: ManagementRequest) -> str:
    return "" if request.parts[2] == "$" else request.parts[2]


def _members(entity: EntityView, *, fetch: bool) -> dict[str, object]:
    state = parsed(entity.state) if fetch else None
    return {
        "entityId": {"name": entity.name, "key": entity.key},
        "lastOperationTime": iso(entity.updated),
        "state": state,
    }
