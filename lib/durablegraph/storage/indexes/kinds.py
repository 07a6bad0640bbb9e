"""What lists show of runs, threads and schedules, and where their entries stand."""

from typing import Final

from durablegraph.model.records import Listed, RunRecord, ScheduleRecord, ThreadRecord
from durablegraph.model.status import RunStatus, ScheduleStatus, ThreadStatus
from durablegraph.storage.indexes.index import Kind, Record

_LONGEST_MESSAGE: Final = 500
_LISTED: Final = frozenset(Listed.model_fields) | {"run_id", "thread_id", "step", "next", "error"}
_NOT_LISTED: Final = {name: field.default for name, field in RunRecord.model_fields.items() if name not in _LISTED}


def _brief_run(run: RunRecord) -> RunRecord:
    error = run.error
    if error is not None and len(error.message) > _LONGEST_MESSAGE:
        error = error.model_copy(update={"message": error.message[:_LONGEST_MESSAGE] + "…"})
    return run.model_copy(update={**_NOT_LISTED, "error": error})


def _shorter_run(run: RunRecord) -> RunRecord:
    return run.model_copy(update={"metadata": {}, "next": (), "error": None})


def _brief_thread(thread: ThreadRecord) -> ThreadRecord:
    return thread.model_copy(update={"turn": 0})


def _brief_schedule(schedule: ScheduleRecord) -> ScheduleRecord:
    """What filters compare: the rest changes with every run, and is read where a list shows it."""
    return ScheduleRecord(
        schedule_id=schedule.schedule_id,
        graph=schedule.graph,
        status=schedule.status,
        thread_id=schedule.thread_id,
        metadata=schedule.metadata,
        created_at=schedule.created_at,
        updated_at=schedule.created_at,
    )


def _without_metadata(record: Record) -> Record:
    return record.model_copy(update={"metadata": {}})


RUNS: Final = Kind(
    name="runs",
    model=RunRecord,
    statuses=tuple(RunStatus),
    live=frozenset(status for status in RunStatus if not status.ended),
    brief=_brief_run,
    shorter=_shorter_run,
    at_work=(RunStatus.PENDING, RunStatus.RUNNING),
    usual=RunStatus.COMPLETED,
    ends=frozenset(status for status in RunStatus if status.ended),
    former=("live/runs/pending/",),
    by_thread=True,
)

THREADS: Final = Kind(
    name="threads",
    model=ThreadRecord,
    statuses=tuple(ThreadStatus),
    live=frozenset(),
    brief=_brief_thread,
    shorter=_without_metadata,
    at_work=(ThreadStatus.BUSY,),
    usual=ThreadStatus.IDLE,
)

SCHEDULES: Final = Kind(
    name="schedules",
    model=ScheduleRecord,
    statuses=tuple(ScheduleStatus),
    live=frozenset(),
    brief=_brief_schedule,
    shorter=_without_metadata,
    by_thread=True,
)
