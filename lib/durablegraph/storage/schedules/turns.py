"""What becomes of a schedule when a time of its has come: decisions only, on values.

Every function takes the time `at` that was due and lets the schedule go on to the next one; a schedule that somebody
else has let go on meanwhile is returned as it is.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from durablegraph.model.records import ScheduleRecord
from durablegraph.model.status import ScheduleStatus
from durablegraph.storage.schedules.timing import next_after

MOST_FAILURES: Final = 5
"""Runs in a row that could not be started after which a schedule is paused."""
LATE: Final = timedelta(minutes=5)
"""A time that is longer ago was missed."""
_LONGEST_REASON: Final = 500


def is_left_out(schedule: ScheduleRecord, at: datetime, now: datetime) -> bool:
    """Whether no run is to be started for a time that was missed."""
    return schedule.catch_up == "none" and now - at > LATE


def postponed(schedule: ScheduleRecord, due: datetime, latest: datetime) -> ScheduleRecord:
    """Of all the times that were missed only the latest counts."""
    return schedule if schedule.next_run_at != due else schedule.model_copy(update={"next_run_at": latest})


def began(schedule: ScheduleRecord, at: datetime, run_id: str) -> ScheduleRecord:
    """A run was started for this time."""
    return _moved(schedule, at, {"last_run_at": at, "last_run_id": run_id, "failures": 0, "reason": None})


def left_out(schedule: ScheduleRecord, at: datetime) -> ScheduleRecord:
    """No run was to be started for this time any more."""
    return _moved(schedule, at, {"reason": f"{at.isoformat()} was missed: no tick came in time"})


def skipped(schedule: ScheduleRecord, at: datetime, reason: str) -> ScheduleRecord:
    """The thread was busy at this time."""
    return _moved(schedule, at, {"skipped": schedule.skipped + 1, "reason": _told(at, reason)})


def failed(schedule: ScheduleRecord, at: datetime, reason: str) -> ScheduleRecord:
    """No run could be started for this time; too often in a row, and the schedule is paused."""
    failures = schedule.failures + 1
    moved = _moved(schedule, at, {"failures": failures, "reason": _told(at, reason)})
    if moved is schedule or failures < MOST_FAILURES or moved.status is not ScheduleStatus.ENABLED:
        return moved
    return moved.model_copy(update={"status": ScheduleStatus.PAUSED, "next_run_at": None})


def _moved(schedule: ScheduleRecord, at: datetime, facts: dict[str, Any]) -> ScheduleRecord:
    if schedule.next_run_at != at:
        return schedule
    following = next_after(schedule, at)
    ended = {"status": ScheduleStatus.ENDED} if following is None else {}
    return schedule.model_copy(update={"next_run_at": following, **ended, **facts})


def _told(at: datetime, reason: str) -> str:
    return f"{at.isoformat()}: {reason}"[:_LONGEST_REASON]
