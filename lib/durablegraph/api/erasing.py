"""Erasing a thread on request, and the slices of the sweep that the timer makes."""

from collections import Counter
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Protocol, runtime_checkable

from durablegraph.api.context import Call
from durablegraph.api.http import ApiResponse
from durablegraph.api.instances import Instances
from durablegraph.errors import InvalidRequest, NotFound
from durablegraph.model.records import RunRecord
from durablegraph.model.status import RunStatus
from durablegraph.services import Services
from durablegraph.storage import lifecycle
from durablegraph.storage.retention import Erased, Span, retain
from durablegraph.storage.retention import erase_thread as erase

_REASON = "its thread is erased"
_ITEMS_A_SLICE = 5_000
"""Expired items, and as many cached results, that one slice removes at most."""


@runtime_checkable
class _Expiring(Protocol):
    """A store of ours whose values end by their age; one of somebody else's looks after itself."""

    async def sweep(self, now: datetime, *, limit: int) -> int: ...


async def erase_thread(call: Call) -> ApiResponse:
    """DELETE /threads/{thread}: everything about it, its runs and the schedules that name it, verified by listing.

    The id may be used again. Schedules go once nothing refuses the erasure; what one of them started meanwhile is
    erased too.
    """
    thread_id, services = call.request.path["thread"], call.services

    async def stop(run: RunRecord) -> None:
        await lifecycle.end(services.runs, run, RunStatus.TERMINATED, call.now)
        await call.instances.terminate(run.run_id, _REASON)

    retention = await services.retention(call.instances.purge)
    forced = stop if _forced(call) else None
    counts = Counter({"runs": 0, "objects": 0})
    schedules = await services.schedules.of_thread(thread_id)
    with suppress(NotFound) if schedules else nullcontext():
        counts.update(_counts(await erase(retention, thread_id, call.now, stop=forced)))
    for schedule_id in schedules:
        counts["schedules"] += await services.schedules.delete(schedule_id, call.now)
    if schedules:
        with suppress(NotFound):
            counts.update(_counts(await erase(retention, thread_id, call.now, stop=forced)))
    return ApiResponse(200, {"thread_id": thread_id, "erased": counts})


def _counts(erased: Erased | None) -> dict[str, int]:
    return {"runs": erased.runs, "objects": erased.objects} if erased else {}


def _forced(call: Call) -> bool:
    given = call.request.query.get("force", "false")
    if given not in {"true", "false"}:
        raise InvalidRequest(f"force={given!r}: give true or false")
    return given == "true"


async def sweep(services: Services, instances: Instances, now: datetime, span: Span | None = None) -> str:
    """The next slice of a sweep, and expired items and cached results; the result tells of it in one line."""
    retention = await services.retention(instances.purge, strict=False)
    report = await retain(retention, now, span)
    stores: tuple[object, ...] = (services.kept.items, services.kept.node_cache)
    expired = [await store.sweep(now, limit=_ITEMS_A_SLICE) for store in stores if isinstance(store, _Expiring)]
    done = "no round is due, or another call is at it" if report is None else report.line()
    return f"{done}; {sum(expired)} expired items and cached results"
