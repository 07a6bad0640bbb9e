""".NET TimeSpan texts, as host.json and timer schedules hold them: ``[d.]hh:mm[:ss[.fraction]]``."""

import re
from datetime import timedelta

_SHAPE = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})"
    r"(?::(?P<seconds>\d{1,2})(?:\.(?P<fraction>\d{1,7}))?)?",
)
_MOST_HOURS = 23
_MOST_SIXTIETHS = 59


def parse_timespan(text: str) -> timedelta | None:
    """The duration that the text names, or None when it names none (a bare number means days to .NET)."""
    if re.fullmatch(r"-?\d+", text):
        return timedelta(days=int(text))
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds = (int(found[name] or 0) for name in ("hours", "minutes", "seconds"))
    if hours > _MOST_HOURS or minutes > _MOST_SIXTIETHS or seconds > _MOST_SIXTIETHS:
        return None
    length = timedelta(
        days=int(found["days"] or 0),
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        microseconds=int((found["fraction"] or "0").ljust(7, "0")) // 10,
    )
    return -length if found["sign"] else length


def format_timespan(length: timedelta) -> str:
    """The constant .NET format of a non-negative duration: ``[d.]hh:mm:ss[.fffffff]``."""
    hours, rest = divmod(length.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    days = f"{length.days}." if length.days else ""
    fraction = f".{length.microseconds:06d}0" if length.microseconds else ""
    return f"{days}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"
