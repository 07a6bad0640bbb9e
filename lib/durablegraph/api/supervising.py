"""Reconcile a run with the Durable instance that carries it.

An instance can die though its run is fine (a worker killed inside an orchestrator turn fails it for good), and
terminate or purge through Durable's own door never reach our code. No run is lost or stuck because its instance is:
every read of a live run reconciles it, and a timer does for those that nobody reads.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial
from typing import Final, assert_never

from durablegraph.api.instances import Instances, InstanceView
from durablegraph.errors import Conflict
from durablegraph.model.messages import Ticket
from durablegraph.model.names import RESUME_EVENT
from durablegraph.model.records import RunFailure, RunRecord
from durablegraph.model.status import RunStatus
from durablegraph.services import Services
from durablegraph.storage import lifecycle
from durablegraph.storage.events import created
from durablegraph.storage.indexes import Mark
from durablegraph.storage.parallel import in_parallel

log = logging.getLogger(__name__)

CURSOR_KEY = "supervisor/cursor"
QUIET = timedelta(minutes=10)
_MARKS: Final = 5000
"""Marks that one pass reads at most: what Azure lists in one request."""


class Cure(Enum):
    """What a run needs."""

    NOTHING = auto()
    START = auto()
    """Its instance was never started: its starter died, or the task hub did not answer."""
    REVIVE = auto()
    """Its instance has ended and the run has not: another instance goes on from the committed head."""
    GIVE_UP = auto()
    """It was revived as often as allowed."""
    TERMINATE = auto()
    """Somebody terminated or purged the instance through Durable's own door."""


def diagnose(record: RunRecord, view: InstanceView | None, max_revivals: int) -> Cure:
    """What a run that has not ended needs, given its instance as the task hub sees it."""
    if view is None:
        return Cure.START if record.status is RunStatus.PENDING else Cure.TERMINATE
    match view.runtime_status:
        case "Terminated" | "Canceled":
            return Cure.TERMINATE
        case "Failed" | "Completed":
            return Cure.REVIVE if record.instances <= max_revivals else Cure.GIVE_UP
        case _:
            return Cure.NOTHING


async def reconcile(services: Services, instances: Instances, record: RunRecord, now: datetime) -> RunRecord:
    """The run's record after it was given what it needs; nothing is done for a run that has ended."""
    if record.status.ended:
        return record
    view = await instances.view(record.run_id)
    found = await services.runs.load(record.run_id)  # again: it may have ended since `record` was read
    if found is None or found.value.status.ended:
        return found.value if found else record
    return await _treat(services, instances, found.value, view, now)


async def _treat(
    services: Services, instances: Instances, record: RunRecord, view: InstanceView | None, now: datetime
) -> RunRecord:
    match diagnose(record, view, services.settings.max_revivals):
        case Cure.NOTHING:
            return record
        case Cure.START:
            return await _start(services, instances, record, now)
        case Cure.REVIVE:
            return await _revive(services, instances, record, view, now)
        case Cure.GIVE_UP:
            failure = RunFailure(type="InstanceFailed", message=_lost(record, view))
            return await lifecycle.end(services.runs, record, RunStatus.FAILED, now, failure=failure)
        case Cure.TERMINATE:
            log.warning("run %s was terminated or purged through the task hub", record.run_id)
            return await lifecycle.end(services.runs, record, RunStatus.TERMINATED, now)
        case never:
            assert_never(never)


async def _start(services: Services, instances: Instances, record: RunRecord, now: datetime) -> RunRecord:
    """Complete what the starter began, in its order: the claim of the thread, the event log, the instance.

    A run whose thread was given to another one since then was never accepted: it fails and says why. That waits for as
    long as its starter may be alive, which would refuse it itself.
    """
    try:
        await lifecycle.claim(services.runs, record, now)
    except Conflict as busy:
        if now - record.created_at < lifecycle.UNBORN:
            return record
        failure = RunFailure(type="ThreadBusy", message=f"It was never started: {busy}")
        return await lifecycle.end(services.runs, record, RunStatus.FAILED, now, failure=failure)
    request = await services.request(record.run_id)
    if record.streams and request is not None:
        await services.events.begin(record.run_id, created(request))
    await _launch(services, instances, record)
    return record


async def _revive(
    services: Services, instances: Instances, record: RunRecord, view: InstanceView | None, now: datetime
) -> RunRecord:
    """Count the attempt first, so that a crash here cannot make the number of attempts unbounded."""
    log.warning("run %s: %s Another instance goes on from its last commit.", record.run_id, _lost(record, view))

    def change(current: RunRecord) -> RunRecord:
        if current.status.ended or current.instances != record.instances:
            return current
        return current.model_copy(update={"instances": current.instances + 1, "updated_at": now})

    changed = await services.runs.change(record.run_id, change) or record
    if not changed.status.ended and changed.instances == record.instances + 1:
        await _launch(services, instances, changed)
    return changed


async def _launch(services: Services, instances: Instances, record: RunRecord) -> None:
    ticket = Ticket(run_id=record.run_id, cut=services.settings.steps_per_execution)
    await instances.start(record.run_id, ticket.to_json())


def _lost(record: RunRecord, view: InstanceView | None) -> str:
    state = view.runtime_status if view else "gone"
    return f"Its Durable instance (number {record.instances}) is {state} though the run has not ended."


async def supervise(services: Services, instances: Instances, now: datetime, *, limit: int = 200) -> int:
    """Reconcile the next `limit` live runs, in turn over calls, and mend what was broken off.

    The result is how many were looked at. A run that waits is looked at every ten minutes, and passed over until then,
    so that ten thousand of them neither cost much nor keep the others waiting. What cannot be looked at is logged, and
    does not keep the others waiting either.
    """
    services.quiet = {run: until for run, until in services.quiet.items() if until > now}  # those of ended runs, too
    cursor = await services.objects.get(CURSOR_KEY)
    page = await services.runs.marks(start_after=cursor.data.decode() if cursor else None, limit=_MARKS)
    due = [mark for mark in page if not _is_quiet(services, mark)]
    await in_parallel(_by_run(due[:limit]), partial(_attend, services, instances, now))
    if len(due) > limit:
        await services.objects.put(CURSOR_KEY, due[limit - 1].key.encode())
    elif len(page) == _MARKS:
        await services.objects.put(CURSOR_KEY, page[-1].key.encode())
    elif cursor is not None:
        await services.objects.delete(CURSOR_KEY)
    return len(due[:limit])


def _by_run(marks: Sequence[Mark]) -> list[list[Mark]]:
    """The marks of a run together: a process that died between two of them left both."""
    found: dict[str, list[Mark]] = {}
    for mark in marks:
        found.setdefault(mark.run.run_id if mark.run else mark.key, []).append(mark)
    return list(found.values())


async def _attend(services: Services, instances: Instances, now: datetime, marks: Sequence[Mark]) -> None:
    """Mend what the marks of a run stand for, in turn: together, each would write the same."""
    try:
        record = [await services.runs.mend(mark, now) for mark in marks][-1]
        if record is not None:
            await _look(services, instances, record, now)
    except Exception:  # whatever it is, it must not stop the supervision of every other run
        log.exception("%s could not be looked at; the next round tries again", marks[0].key)


def _is_quiet(services: Services, mark: Mark) -> bool:
    run = mark.run
    return run is not None and run.status is RunStatus.INTERRUPTED and run.run_id in services.quiet


async def _look(services: Services, instances: Instances, record: RunRecord, now: datetime) -> None:
    record = await reconcile(services, instances, record, now)
    if record.status.ended:
        services.quiet.pop(record.run_id, None)
    elif record.status is RunStatus.INTERRUPTED:
        services.quiet[record.run_id] = now + QUIET
        wait = await services.runs.wait(record.run_id, record.wait)
        if wait and await lifecycle.answers(services.runs, record.run_id, wait) is not None:
            await instances.ring(record.run_id, RESUME_EVENT)  # whoever stored the answer died before it could ring
