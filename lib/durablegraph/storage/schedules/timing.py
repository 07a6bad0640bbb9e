"""At which times a schedule starts runs: decisions only, on values and `now`.

Cron expressions mean what they mean to Debian's cron, daylight saving included: a job at a fixed hour that the clocks
skip runs when they have been put forward, and one whose hour comes twice runs at the first; what runs every so many
minutes or hours follows real time.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from durablegraph.errors import InvalidRequest
from durablegraph.model.records import ScheduleRecord

_FIELDS: Final = 5
_LONGEST: Final = 200


def check(cron: str | None, timezone: str, at: datetime | None) -> None:
    """Raise 422 unless this says when: one of `cron` and `at`, and a time zone that exists."""
    if (cron is None) == (at is None):
        raise InvalidRequest(
            f"cron is {cron!r} and at is {at and at.isoformat()!r}: give one of them, cron for a run again and again, "
            "at for a single one",
            status=422,
        )
    zone = _zone(timezone)
    if cron is not None:
        _iterator(cron, datetime(2000, 1, 1, tzinfo=zone))


def next_after(schedule: ScheduleRecord, moment: datetime) -> datetime | None:
    """The first time after `moment` at which a run is due, in UTC; None when there is none any more."""
    found = schedule.at if schedule.cron is None else _next_of_cron(schedule.cron, schedule.timezone, moment)
    if found is None or found <= moment or (schedule.end_time is not None and found > schedule.end_time):
        return None
    return found


def latest_due(schedule: ScheduleRecord, now: datetime) -> datetime:
    """The last time until `now` at which a run was due, at least the schedule's `next_run_at`, which it must have.

    It is looked for from `now` backwards in stretches, so that a schedule of every minute costs no more after a year.
    """
    first = schedule.next_run_at
    if first is None or first > now:
        raise ValueError(f"found next_run_at {first} at {now}, expected a time that has come")
    stretch = timedelta(hours=1)
    while now - stretch > first:
        found = next_after(schedule, now - stretch)
        if found is not None and found <= now:
            return _last(schedule, found, now)
        stretch *= 4
    return _last(schedule, first, now)


def _last(schedule: ScheduleRecord, found: datetime, now: datetime) -> datetime:
    following = next_after(schedule, found)
    while following is not None and following <= now:
        found, following = following, next_after(schedule, following)
    return found


def _next_of_cron(cron: str, timezone: str, moment: datetime) -> datetime | None:
    """Strictly after `moment`: within an hour that comes twice the iterator may begin at the first of the two."""
    for local in _iterator(cron, moment.astimezone(_zone(timezone))):
        if (found := local.astimezone(UTC)) > moment:
            return found
    return None


def _iterator(cron: str, start: datetime) -> CronSim:
    if len(cron) > _LONGEST or len(cron.split()) != _FIELDS:
        raise InvalidRequest(
            f"cron {cron[:80]!r} has {len(cron.split())} fields: give {_FIELDS}, minute, hour, day of month, month and "
            "day of week, such as '0 9 * * MON-FRI'",
            status=422,
        )
    try:
        return CronSim(cron, start)
    except CronSimError as error:
        raise InvalidRequest(
            f"cron {cron!r} is not understood ({error}): give minute, hour, day of month, month and day of week, such "
            "as '0 9 * * MON-FRI'",
            status=422,
        ) from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:  # a folder, a path that leads out, a name that nobody has
        raise InvalidRequest(
            f"there is no time zone {name[:80]!r}: give a name of the IANA database, such as 'Europe/Berlin' or 'UTC'",
            status=422,
        ) from error
