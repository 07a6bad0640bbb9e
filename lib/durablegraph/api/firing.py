"""The tick of the schedules: start the runs that are due, and complete what was broken off.

The id of a run follows from its schedule and the time it was due, so two workers, or a tick after one that died, start
one run. The order is: the run, the record that goes on to the next time, its entries; wherever a process dies, the next
tick finds the entry that was due and goes on.
"""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Final

from durablegraph.api.instances import Instances
from durablegraph.api.starting import bring
from durablegraph.errors import Conflict, DurableGraphError, InvariantBroken, StaleHead, TransientError
from durablegraph.model.records import RunRequest, ScheduleRecord
from durablegraph.services import Services
from durablegraph.storage.documents import Versioned
from durablegraph.storage.parallel import in_parallel
from durablegraph.storage.schedules import Due, turns
from durablegraph.storage.schedules.timing import latest_due

log = logging.getLogger(__name__)

SLICE: Final = 200
SECONDS: Final = 40.0
"""After this a tick takes no further slice; what is left is due at the next one."""
MEMBER: Final = "schedule_id"
"""In the metadata and the configurable of every run."""


class Outcome(StrEnum):
    """What became of an entry that was due."""

    STARTED = "started"
    SKIPPED = "skipped"
    FAILED = "failed"
    LEFT_OUT = "left out"
    MENDED = "mended"
    POSTPONED = "left to the next tick"


async def fire(
    services: Services,
    instances: Instances,
    now: datetime,
    *,
    limit: int = SLICE,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Counter[Outcome]:
    """Start what is due, `limit` entries at a time; counts by outcome. Nothing due: one listing and nothing else."""
    began, counts, after = clock(), Counter[Outcome](), None
    while True:
        entries = await services.schedules.due(now, after=after, limit=limit)
        counts.update(await in_parallel(entries, partial(_attend, services, instances, now=now)))
        if len(entries) < limit or clock() - began >= seconds:
            return counts
        after = entries[-1].key


def run_id_of(schedule_id: str, at: datetime) -> str:
    """The id of the run that is due at this time."""
    return hashlib.sha256(f"{schedule_id} {at.astimezone(UTC).isoformat()}".encode()).hexdigest()[:32]


def run_of(schedule: ScheduleRecord, request: RunRequest, run_id: str, at: datetime, now: datetime) -> RunRequest:
    """The request of one run of a schedule; without a thread of the schedule's, its own has the run's id."""
    given = dict(request.config.get("configurable") or {})
    told = {MEMBER: schedule.schedule_id, "scheduled_at": at.isoformat()}
    return request.model_copy(
        update={
            "run_id": run_id,
            "thread_id": schedule.thread_id or run_id,
            "config": {**request.config, "configurable": {**given, **told}},
            "metadata": {**request.metadata, MEMBER: schedule.schedule_id},
            "created_at": now,
        }
    )


async def _attend(services: Services, instances: Instances, due: Due, *, now: datetime) -> Outcome:
    """One entry; whatever happens to it, the others have their turn."""
    try:
        return await _carry_out(services, instances, due, now)
    except TransientError as error:
        log.warning("schedule %s has its turn at the next tick: %s", due.schedule_id, error)
    except Exception:
        log.exception("schedule %s could not go on; the next tick tries again", due.schedule_id)
    return Outcome.POSTPONED


async def _carry_out(services: Services, instances: Instances, due: Due, now: datetime) -> Outcome:
    schedules = services.schedules
    found = await schedules.load(due.schedule_id)
    if found is None or found.value.next_run_at is None or schedules.due_of(found.value) != due:
        await schedules.mend(due)
        return Outcome.MENDED
    at, latest = found.value.next_run_at, latest_due(found.value, now)
    if latest > at and await services.runs.request(run_id_of(due.schedule_id, at)) is None:
        moved = await schedules.go_on(due, found, partial(turns.postponed, due=at, latest=latest))
        own = schedules.due_of(moved) if moved else None
        return await _carry_out(services, instances, own, now) if own else Outcome.MENDED
    outcome, change = await _turn(services, instances, found, at, now)
    await schedules.go_on(due, found, change)
    return outcome


async def _turn(
    services: Services, instances: Instances, found: Versioned[ScheduleRecord], at: datetime, now: datetime
) -> tuple[Outcome, Callable[[ScheduleRecord], ScheduleRecord]]:
    """Start the run that is due; the result also says what becomes of the schedule by it."""
    if turns.is_left_out(found.value, at, now):
        return Outcome.LEFT_OUT, partial(turns.left_out, at=at)
    schedule, run_id = found.value, run_id_of(found.value.schedule_id, at)
    try:
        request = await services.runs.request(run_id) or run_of(
            schedule, await _request(services, found), run_id, at, now
        )
        await bring(services, instances, request, now)
    except TransientError:
        raise
    except Conflict as error:
        log.info("schedule %s: %s", schedule.schedule_id, error)
        return Outcome.SKIPPED, partial(turns.skipped, at=at, reason=str(error))
    except Exception as error:  # whatever it is, it is told on the record, and ends in a pause
        log.exception("schedule %s could not start its run of %s", schedule.schedule_id, at.isoformat())
        reason = str(error) if isinstance(error, DurableGraphError) else f"{type(error).__name__}, see the log"
        return Outcome.FAILED, partial(turns.failed, at=at, reason=reason)
    return Outcome.STARTED, partial(turns.began, at=at, run_id=run_id)


async def _request(services: Services, found: Versioned[ScheduleRecord]) -> RunRequest:
    request = await services.schedules.request(found.value)
    if request is not None:
        return request
    current = await services.schedules.load(found.value.schedule_id)
    if current is None or current.value.request != found.value.request:
        raise StaleHead(f"the schedule {found.value.schedule_id!r} was changed meanwhile")
    raise InvariantBroken("what the runs are asked for is not stored; change `run` of the schedule")
