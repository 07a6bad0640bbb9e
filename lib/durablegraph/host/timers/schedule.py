"""Schedules of timer triggers: NCRONTAB with six fields (or five, seconds left out), or a TimeSpan.

Source: the timer extension and NCrontab: a day must fit the day-of-month *and* the day-of-week field. Times are UTC
unless a time zone is given.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from durablegraph.host.timespan import parse_timespan

_FIELDS = (("second", 0, 59), ("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?:(?P<star>\*)|(?P<low>[a-z0-9]+)(?:-(?P<high>[a-z0-9]+))?)(?:/(?P<step>\d+))?", re.IGNORECASE)
_SEARCH_DAYS = 366 * 9


class ScheduleError(ValueError):
    """A text that is no schedule."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed NCRONTAB expression."""

    text: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    adjusts_for_daylight = True

    def after(self, moment: datetime, zone: tzinfo = UTC) -> datetime | None:
        """The first occurrence later than `moment` (aware), in UTC; None when there is none for nine years."""
        local = moment.astimezone(zone).replace(tzinfo=None, microsecond=0)
        for day in self._matching_days(local.date()):
            for hour, minute, second in self._times(day, local):
                found = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone).astimezone(UTC)
                if found > moment:
                    return found
        return None

    def _matching_days(self, first: date) -> Iterator[date]:
        for offset in range(_SEARCH_DAYS):
            day = first + timedelta(days=offset)
            if day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays:
                yield day

    def _times(self, day: date, after: datetime) -> Iterator[tuple[int, int, int]]:
        """Times of a day, leaving out whole hours and minutes of the first day that are surely past."""
        today = day == after.date()
        for hour in self.hours:
            if today and hour < after.hour - 1:
                continue
            for minute in self.minutes:
                if today and hour == after.hour and minute < after.minute:
                    continue
                for second in self.seconds:
                    yield hour, minute, second


@dataclass(frozen=True, slots=True)
class Interval:
    """A constant interval."""

    text: str
    length: timedelta

    adjusts_for_daylight = False

    def after(self, moment: datetime, zone: tzinfo = UTC) -> datetime | None:
        """One interval later."""
        del zone
        return (moment + self.length).astimezone(UTC)


Schedule = Cron | Interval


def parse_schedule(text: str) -> Schedule:
    """A schedule from the trigger's text. Raises ScheduleError."""
    fields = text.split()
    if len(fields) == 1:
        length = parse_timespan(text) if ":" in text else None
        if length is None or length <= timedelta(0):
            raise ScheduleError(_wrong(text))
        return Interval(text, length)
    if len(fields) == len(_FIELDS) - 1:
        fields = ["0", *fields]
    if len(fields) != len(_FIELDS):
        raise ScheduleError(_wrong(text))
    second, minute, hour, day, month, weekday = (
        _field(field, *shape, text) for field, shape in zip(fields, _FIELDS, strict=True)
    )
    cron = Cron(
        text,
        tuple(sorted(second)),
        tuple(sorted(minute)),
        tuple(sorted(hour)),
        frozenset(day),
        frozenset(month),
        frozenset(weekday),
    )
    if cron.after(datetime(2024, 1, 1, tzinfo=UTC)) is None:
        raise ScheduleError(f"The schedule expression '{text}' never occurs. Correct its day and month.")
    return cron


def _wrong(text: str) -> str:
    return (
        f"The schedule expression '{text}' was not recognized as a valid cron expression or timespan string. "
        "Write six fields ({second} {minute} {hour} {day} {month} {day of week}) or hh:mm:ss."
    )


def _field(field: str, name: str, least: int, most: int, text: str) -> set[int]:
    values: set[int] = set()
    for part in field.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            raise ScheduleError(_wrong(text))
        step = int(found["step"] or 1)
        low = least if found["star"] else _value(found["low"], name, text)
        if found["star"] or (found["step"] and not found["high"]):
            high = most
        else:
            high = _value(found["high"], name, text) if found["high"] else low
        if step < 1 or not least <= low <= high <= most:
            raise ScheduleError(_wrong(text))
        values.update(range(low, high + 1, step))
    return values


def _value(word: str, name: str, text: str) -> int:
    if word.isdigit():
        return int(word)
    names = {"month": _MONTHS, "weekday": _WEEKDAYS}.get(name, ())
    for number, each in enumerate(names, start=1 if name == "month" else 0):
        if word.lower().startswith(each):
            return number
    raise ScheduleError(_wrong(text))
