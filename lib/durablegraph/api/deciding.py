"""What a caller may do to a run: answer it, cancel, terminate, suspend, resume, restart and purge it."""

import uuid

from durablegraph.api.bodies import read_json
from durablegraph.api.context import Call
from durablegraph.api.http import ApiResponse
from durablegraph.api.reading import load_run
from durablegraph.api.starting import launch
from durablegraph.errors import Conflict, Gone, InvalidRequest, InvariantBroken
from durablegraph.model.assign import assign, digest
from durablegraph.model.names import ANSWER_EVENTS, CANCEL_EVENT, RESUME_EVENT
from durablegraph.model.records import RunRecord
from durablegraph.model.status import RunStatus
from durablegraph.storage import lifecycle

_LONGEST_REASON = 1000


async def raise_event(call: Call) -> ApiResponse:
    """POST /runs/{run}/events/{event}: store the answer first, exactly one winner, then ring the doorbell."""
    event = call.request.path["event"]
    if event not in ANSWER_EVENTS:
        raise InvalidRequest(f"there is no event {event!r}: raise one of {list(ANSWER_EVENTS)}", code="unknown_event")
    body = read_json(call.request, call.services.settings)
    record = await load_run(call)
    if record.status is not RunStatus.INTERRUPTED:
        return await _repeated(call, record, body)
    wait = await call.services.runs.wait(record.run_id, record.wait)
    if wait is None:
        raise InvariantBroken(f"run {record.run_id!r} waits, but what for is not stored")
    missing = await lifecycle.give(call.services.runs, record, wait, body, now=call.now)
    if not missing:
        await call.instances.ring(record.run_id, RESUME_EVENT)
    return ApiResponse(202, {"id": record.run_id, "accepted": True, "waiting_for": missing})


async def _repeated(call: Call, record: RunRecord, body: object) -> ApiResponse:
    """The first one's result, when the run has already taken this very answer."""
    wait = await call.services.runs.wait(record.run_id, record.wait) if record.wait else None
    if wait is not None:
        stored = await call.services.runs.answers(record.run_id, record.wait)
        try:
            given = assign(wait, body)
        except (Conflict, InvalidRequest):
            given = {}
        if given and all(key in stored and stored[key].digest == digest(value) for key, value in given.items()):
            return ApiResponse(202, {"id": record.run_id, "accepted": True, "waiting_for": []})
    if record.status.ended:
        raise Gone(f"run {record.run_id!r} has ended as {record.status.value}: it takes no answers", code="run_ended")
    raise Conflict(
        f"run {record.run_id!r} is {record.status.value} and waits for nothing: poll it until it is interrupted",
        code="nothing_pending",
    )


async def cancel(call: Call) -> ApiResponse:
    """POST /runs/{run}/cancel: stop at the next super-step boundary, or at once while waiting."""
    record = await _live(call)
    await lifecycle.request_cancel(call.services.runs, record, call.now)
    await call.instances.ring(record.run_id, CANCEL_EVENT)
    return ApiResponse(202, {"id": record.run_id})


async def terminate(call: Call) -> ApiResponse:
    """POST /runs/{run}/terminate: end the run now; a super-step in flight may still commit."""
    record = await _live(call)
    await lifecycle.end(call.services.runs, record, RunStatus.TERMINATED, call.now)
    await call.instances.terminate(record.run_id, _reason(call))
    return ApiResponse(202)


async def suspend(call: Call) -> ApiResponse:
    """POST /runs/{run}/suspend: hold the run after the super-step in flight."""
    record = await _live(call)
    await call.instances.suspend(record.run_id, _reason(call))
    return ApiResponse(202)


async def resume(call: Call) -> ApiResponse:
    """POST /runs/{run}/resume: let a suspended run go on."""
    record = await _live(call)
    await call.instances.resume(record.run_id, _reason(call))
    return ApiResponse(202)


async def restart(call: Call) -> ApiResponse:
    """POST /runs/{run}/restart: a new run with the same request, on the same thread."""
    record = await load_run(call)
    request = await call.services.runs.request(record.run_id)
    if request is None:
        raise InvariantBroken(f"run {record.run_id!r} has no stored request")
    return await launch(call, request.model_copy(update={"run_id": uuid.uuid4().hex, "created_at": call.now}))


async def purge(call: Call) -> ApiResponse:
    """DELETE /runs/{run}: forget an ended run and its instance's history; the thread and its checkpoints stay."""
    record = await load_run(call)
    if not record.status.ended:
        raise Conflict(
            f"run {record.run_id!r} is {record.status.value}: cancel or terminate it, then purge it", code="run_active"
        )
    await call.instances.purge(record.run_id)
    await call.services.runs.delete(record)
    return ApiResponse(200, {"instancesDeleted": 1})


async def _live(call: Call) -> RunRecord:
    record = await load_run(call)
    if record.status.ended:
        raise Gone(f"run {record.run_id!r} has already ended as {record.status.value}", code="run_ended")
    return record


def _reason(call: Call) -> str:
    return call.request.query.get("reason", "")[:_LONGEST_REASON]
