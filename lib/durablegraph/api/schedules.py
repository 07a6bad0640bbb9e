"""Schedules over HTTP: make, list, read, change and delete them, and start a run of one now."""

import uuid
from datetime import UTC, datetime
from typing import Any

from durablegraph.api.bodies import parse, read_json
from durablegraph.api.context import Call
from durablegraph.api.firing import run_of
from durablegraph.api.http import ApiResponse
from durablegraph.api.listing import cursor_of, filter_of, limit_of, position_of
from durablegraph.api.resources import RunStart, SchedulePatch, ScheduleStart
from durablegraph.api.starting import check_graph, keyed, launch, request_of
from durablegraph.errors import Conflict, InvalidRequest, InvariantBroken, NotFound
from durablegraph.model.assign import digest
from durablegraph.model.records import RunRequest, ScheduleRecord
from durablegraph.model.status import ScheduleStatus
from durablegraph.storage.documents import Versioned
from durablegraph.storage.schedules.timing import check, next_after

_FRESH = {"Cache-Control": "no-store"}
_TIMING = {"cron", "timezone", "at", "end_time"}
_ASKED = {
    "input", "command", "config", "context", "metadata", "recursion_limit",
    "interrupt_before", "interrupt_after", "stream_mode", "stream_subgraphs",
}  # fmt: skip


async def create_schedule(call: Call) -> ApiResponse:
    """POST /schedules: 201; the same Idempotency-Key and body give the same schedule."""
    body, now = read_json(call.request, call.services.settings), call.now
    wanted = parse(ScheduleStart, body)
    request = await _checked(call, wanted.graph, wanted.run, now)
    status = ScheduleStatus.ENABLED if wanted.enabled else ScheduleStatus.PAUSED
    schedule = ScheduleRecord(
        schedule_id=await _id(call, digest(["schedule", body])),
        graph=wanted.graph,
        status=status,
        thread_id=request.thread_id or None,
        cron=wanted.cron,
        timezone=wanted.timezone,
        at=_moment(wanted.at),
        end_time=_moment(wanted.end_time),
        catch_up=wanted.catch_up,
        request=call.services.schedules.new_request_name(),
        metadata=wanted.metadata,
        created_at=now,
        updated_at=now,
    )
    check(schedule.cron, schedule.timezone, schedule.at)
    first = _first(schedule, now)
    schedule = schedule.model_copy(update={"next_run_at": first if wanted.enabled else None})
    await call.services.schedules.create(schedule, request)
    found = await _load(call, schedule.schedule_id)
    location = {"Location": f"{call.links.base}/schedules/{schedule.schedule_id}"}
    return await _answer(call, found, status=201, headers=location)


async def list_schedules(call: Call) -> ApiResponse:
    """GET /schedules: newest first; all filters given must hold."""
    query = call.request.query
    wanted, after = filter_of(query, ScheduleStatus), position_of(query, "schedules")
    page = await call.services.schedules.search(wanted, after=after, limit=limit_of(query))
    body = {"schedules": [shown(one) for one in page.records], "next": cursor_of("schedules", page.next)}
    return ApiResponse(200, body, _FRESH)


async def get_schedule(call: Call) -> ApiResponse:
    """GET /schedules/{schedule}: its ETag is what If-Match takes."""
    return await _answer(call, await _load(call, call.request.path["schedule"]))


async def change_schedule(call: Call) -> ApiResponse:
    """PATCH /schedules/{schedule}: only the version that If-Match names, where it is given."""
    found, now = await _load(call, call.request.path["schedule"]), call.now
    wanted = parse(SchedulePatch, read_json(call.request, call.services.settings))
    given = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    if nulls := sorted(name for name, value in given.items() if value is None and name != "end_time"):
        raise InvalidRequest(f"{nulls} are null: leave out what is not to be changed", status=422)
    request, facts = None, {name: given[name] for name in given.keys() & {"timezone", "catch_up", "metadata"}}
    if wanted.run is not None:
        request = await _checked(call, found.value.graph, wanted.run, now)
        facts |= {"thread_id": request.thread_id or None, "request": call.services.schedules.new_request_name()}
    for name, other in (("cron", "at"), ("at", "cron")):
        facts |= {name: _plain(given[name]), other: given.get(other)} if name in given else {}
    facts |= {"end_time": _moment(wanted.end_time)} if "end_time" in given else {}

    def change(current: ScheduleRecord) -> ScheduleRecord:
        changed = current.model_copy(update={**facts, "updated_at": now})
        return _timed(current, changed, wanted, now) if given.keys() & {*_TIMING, "enabled"} else changed

    change(found.value)  # a body that cannot be obeyed is refused before anything is stored
    etag = _matching(call, found)
    await call.services.schedules.change(found.value.schedule_id, change, now, etag=etag, request=request)
    return await _answer(call, await _load(call, found.value.schedule_id))


async def delete_schedule(call: Call) -> ApiResponse:
    """DELETE /schedules/{schedule}: all that is stored about it; the runs that it started stay."""
    found = await _load(call, call.request.path["schedule"])
    await call.services.schedules.delete(found.value.schedule_id, call.now, etag=_matching(call, found))
    return ApiResponse(204)


async def trigger_schedule(call: Call) -> ApiResponse:
    """POST /schedules/{schedule}/trigger: a run now, whatever its status; its own times stay as they are."""
    found, now = await _load(call, call.request.path["schedule"]), call.now
    stored = await call.services.schedules.request(found.value)
    if stored is None:
        raise InvariantBroken(f"what the runs of schedule {found.value.schedule_id!r} are asked for is not stored")
    request = run_of(found.value, stored, uuid.uuid4().hex, now, now)
    if key := call.request.headers.get("idempotency-key"):
        request = await keyed(call, request, key, digest(["trigger", found.value.schedule_id]))
    return await launch(call, request)


def shown(schedule: ScheduleRecord, request: RunRequest | None = None) -> dict[str, Any]:
    """A schedule as callers see it."""
    told = schedule.model_dump(mode="json", exclude={"schedule_id", "request"})
    last = {"at": told.pop("last_run_at"), "id": told.pop("last_run_id")}
    run = request.model_dump(mode="json", include=_ASKED, exclude_defaults=True) if request else None
    return {"id": schedule.schedule_id, **told, "last_run": last if last["id"] else None, "run": run}


async def _answer(
    call: Call, found: Versioned[ScheduleRecord], *, status: int = 200, headers: dict[str, str] | None = None
) -> ApiResponse:
    body = shown(found.value, await call.services.schedules.request(found.value))
    return ApiResponse(status, body, {**_FRESH, "ETag": _tag(found.etag), **(headers or {})})


async def _load(call: Call, schedule_id: str) -> Versioned[ScheduleRecord]:
    found = await call.services.schedules.load(schedule_id)
    if found is None:
        raise NotFound(
            f"there is no schedule {schedule_id[:80]!r}; list them with GET /api/schedules", code="schedule_not_found"
        )
    return found


async def _checked(call: Call, graph: str, run: RunStart, now: datetime) -> RunRequest:
    """What each run is asked for; raises 404 or 422 as the start of such a run would."""
    await check_graph(call, graph, run)
    return request_of(graph, run, "", now, own_thread="")


async def _id(call: Call, body_digest: str) -> str:
    """A new id, or the one that was given to the Idempotency-Key."""
    key, new = call.request.headers.get("idempotency-key"), uuid.uuid4().hex
    if not key:
        return new
    schedule_id, same = await call.services.runs.claim_key(f"schedule {key}", new, body_digest)
    if not same:
        raise InvalidRequest(
            f"the Idempotency-Key {key[:80]!r} belongs to another request, schedule {schedule_id}: use a new key",
            code="idempotency_key_reused",
            status=422,
        )
    return schedule_id


def _timed(current: ScheduleRecord, changed: ScheduleRecord, wanted: SchedulePatch, now: datetime) -> ScheduleRecord:
    """The next time of a schedule whose times, or whether it has any, a caller changes."""
    check(changed.cron, changed.timezone, changed.at)
    if wanted.enabled is False or (wanted.enabled is None and current.status is ScheduleStatus.PAUSED):
        return changed.model_copy(update={"status": ScheduleStatus.PAUSED, "next_run_at": None})
    fresh = {"status": ScheduleStatus.ENABLED, "next_run_at": _first(changed, now)}
    return changed.model_copy(update={**fresh, **({"failures": 0, "reason": None} if wanted.enabled else {})})


def _first(schedule: ScheduleRecord, now: datetime) -> datetime:
    first = next_after(schedule, now)
    if first is None:
        when = f"cron {schedule.cron!r}" if schedule.at is None else f"at {schedule.at.isoformat()}"
        until = f" until {schedule.end_time.isoformat()}" if schedule.end_time else ""
        raise InvalidRequest(
            f"{when} gives no time after now, {now.isoformat()}{until}: give a time to come", status=422
        )
    return first


def _matching(call: Call, found: Versioned[ScheduleRecord]) -> str | None:
    """The version that the caller wants to change, None for any; raises 412 when it is not the current one."""
    wanted = call.request.headers.get("if-match")
    if wanted is None or wanted.strip() == "*":
        return None
    if _tag(found.etag) not in [tag.strip() for tag in wanted.split(",")]:
        raise Conflict(
            f"schedule {found.value.schedule_id!r} is not the version {wanted[:80]!r} any more: read it again, and "
            "repeat the change",
            code="schedule_changed",
            status=412,
        )
    return found.etag


def _tag(etag: str) -> str:
    """A store's etag as HTTP writes it."""
    return f'"{digest(etag)[:32]}"'


def _plain(value: Any) -> Any:
    return _moment(value) if isinstance(value, datetime) else value


def _moment(given: datetime | None) -> datetime | None:
    """In UTC, to the second."""
    return None if given is None else given.astimezone(UTC).replace(microsecond=0)
