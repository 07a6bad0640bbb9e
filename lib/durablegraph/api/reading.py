"""The read side: runs and threads as they are stored, never by asking the orchestrator."""

from typing import Any

from durablegraph.api.context import Call
from durablegraph.api.http import ApiResponse
from durablegraph.api.instances import InstanceView
from durablegraph.api.listing import cursor_of, filter_of, limit_of, position_of
from durablegraph.api.pauses import pauses
from durablegraph.api.supervising import reconcile
from durablegraph.errors import InvalidRequest, NotFound
from durablegraph.model.names import RUN_ORCHESTRATOR
from durablegraph.model.records import RunFailure, RunRecord
from durablegraph.model.status import RunStatus, durable_status
from durablegraph.storage import lifecycle

SHOWN_FAILURES = 10
"""Failed tasks of a run that are shown."""

HEALED_AFTER = 0.5
"""Seconds that a run is waited for before it is reconciled with its instance: most runs have ended by then."""

REDACTED = "The node raised an exception; its text is in the log"


async def load_run(call: Call, *, heal: bool = True) -> RunRecord:
    """The run that the path names, reconciled with its instance; raises 404."""
    run_id = call.request.path["run"]
    found = await call.services.runs.load(run_id)
    if found is None:
        raise NotFound(f"there is no run {run_id!r}; list them with GET /api/runs", code="run_not_found")
    if not heal:
        return found.value
    return await _reconciled(call, found.value)


async def get_run(call: Call) -> ApiResponse:
    """GET /runs/{run}: always 200; with `?wait=` it answers as soon as the run has ended or waits for an answer."""
    seconds = _seconds(call)
    record = await load_run(call, heal=not seconds)
    if seconds:
        record = await _until_settled(call, record, seconds)
    return ApiResponse(200, await shown(call, record), {"Cache-Control": "no-store"})


async def get_status(call: Call) -> ApiResponse:
    """GET /runs/{run}/status: Durable's polling protocol, 202 with Location until the run has ended, then 200."""
    record = await load_run(call)
    view = None if record.status.ended else await call.instances.view(record.run_id)
    run = await shown(call, record)
    body = {
        "instanceId": record.run_id,
        "name": RUN_ORCHESTRATOR,
        "runtimeStatus": _runtime_status(record, view),
        "customStatus": {"status": run["status"], "step": run["step"], "next": run["next"]},
        "createdTime": _seconds_precise(run["created_at"]),
        "lastUpdatedTime": _seconds_precise(run["updated_at"]),
        **{
            name: run[name]
            for name in ("output", "status", "step", "next", "interrupts", "error", "thread_id", "graph")
        },
    }
    if record.status.ended:
        return ApiResponse(200, body, {"Cache-Control": "no-store"})
    headers = {"Location": call.links.run(record.run_id, "/status"), "Retry-After": "1", "Cache-Control": "no-store"}
    return ApiResponse(202, body, headers)


async def list_runs(call: Call) -> ApiResponse:
    """GET /runs: newest first; all filters given must hold."""
    query = call.request.query
    wanted, after = filter_of(query, RunStatus), position_of(query, "runs")
    page = await call.services.runs.search(wanted, after=after, limit=limit_of(query))
    runs = [await shown(call, record, brief=True) for record in page.records]
    return ApiResponse(200, {"runs": runs, "next": cursor_of("runs", page.next)}, {"Cache-Control": "no-store"})


async def shown(call: Call, record: RunRecord, *, brief: bool = False) -> dict[str, Any]:
    """A run as callers see it; `brief` leaves out what needs further reads."""
    step, next_ = record.step, list(record.next)
    if record.status is RunStatus.RUNNING and not brief:
        step, next_ = await _head(call, record)
    return {
        "id": record.run_id,
        "thread_id": record.thread_id,
        "graph": record.graph,
        "status": record.status.value,
        "step": step,
        "next": next_,
        "interrupts": [] if brief else await _interrupts(call, record),
        "output": await call.services.runs.output(record.run_id)
        if record.status is RunStatus.COMPLETED and not brief
        else None,
        "error": _error(call, record),
        "failed_tasks": None if brief else await _failed_tasks(call, record),
        "metadata": record.metadata,
        "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
    }


async def _interrupts(call: Call, record: RunRecord) -> list[dict[str, Any]]:
    if record.status is not RunStatus.INTERRUPTED:
        return []
    wait = await call.services.runs.wait(record.run_id, record.wait)
    if wait is None:
        return []
    stored = await call.services.runs.answers(record.run_id, record.wait)
    return [{**item.model_dump(mode="json"), "answered": item.id in stored} for item in wait.interrupts]


async def _head(call: Call, record: RunRecord) -> tuple[int | None, list[str]]:
    """Step and next nodes of a running run, from the thread's head."""
    snapshot = await call.services.state(record.graph, record.thread_id)
    return (snapshot.metadata or {}).get("step"), list(snapshot.next)


def _error(call: Call, record: RunRecord) -> dict[str, Any] | None:
    return None if record.error is None else _failure(call, record.error)


def _failure(call: Call, failure: RunFailure) -> dict[str, Any]:
    error = failure.model_dump()
    return error if call.services.settings.show_errors else {**error, "message": REDACTED}


async def _failed_tasks(call: Call, record: RunRecord) -> dict[str, Any] | None:
    """The tasks that the run went on without."""
    if not record.tasks_failed:
        return None
    keys = await call.services.runs.failures(record.run_id)
    first = await call.services.runs.failures_at(keys[:SHOWN_FAILURES])
    return {"count": len(keys), "first": [_failure(call, each) for each in first]}


def _runtime_status(record: RunRecord, view: InstanceView | None) -> str:
    if view is not None and view.runtime_status == "Suspended":
        return "Suspended"
    return durable_status(record.status)


async def _until_settled(call: Call, record: RunRecord, seconds: float) -> RunRecord:
    """Read again, after changes and less and less often, until the run has ended, waits, or the time is up.

    The run is reconciled with its instance once: when settled, when it has been waited for in vain for a moment, or
    at the end. It may have gone on meanwhile, so one that seemed settled is looked at again after that.
    """
    waited, healed = 0.0, False
    with call.services.runs.changes(record.run_id) as changed:
        for pause in pauses(seconds):
            while await _settled(call, record):
                if healed:
                    return record
                record, healed = await _reconciled(call, record), True
            await changed.pause(pause)
            waited += pause
            heal = waited >= HEALED_AFTER and not healed
            record = await load_run(call, heal=heal)
            healed = healed or heal
    return record if healed else await _reconciled(call, record)


async def _reconciled(call: Call, record: RunRecord) -> RunRecord:
    return await reconcile(call.services, call.instances, record, call.now)


async def _settled(call: Call, record: RunRecord) -> bool:
    """Whether nothing changes before somebody acts: the run has ended, or waits for an answer that nobody gave yet."""
    if record.status is not RunStatus.INTERRUPTED:
        return record.status.ended
    wait = await call.services.runs.wait(record.run_id, record.wait)
    return wait is not None and await lifecycle.answers(call.services.runs, record.run_id, wait) is None


def _seconds(call: Call) -> float:
    text = call.request.query.get("wait")
    if not text:
        return 0
    return float(number(text, "wait", 0, call.services.settings.max_wait_seconds))


def number(text: str | None, name: str, default: int, largest: int) -> int:
    """A query parameter that is a whole number; raises 400 for anything else."""
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) > largest:
        raise InvalidRequest(f"{name}={text!r}: give a whole number from 0 to {largest}")
    return int(text)


def _seconds_precise(iso: str) -> str:
    return iso[:19] + "Z"
