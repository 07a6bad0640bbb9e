"""Points in time as .NET writes them into JSON: UTC with ``Z``, fractional digits without trailing zeros."""

from datetime import UTC, datetime
from functools import lru_cache

_SHORTEST_WITH_TIME = 10


@lru_cache(16)  # the events of one step have one time
def iso(moment: datetime) -> str:
    """``2026-11-21T10:11:02.12473Z``; `moment` must be aware."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def iso_offset(moment: datetime) -> str:
    """The same with ``+00:00``, which .NET uses for DateTimeOffset values."""
    return iso(moment)[:-1] + "+00:00"


def seconds_iso(moment: datetime) -> str:
    """Second precision, as the status API shows times."""
    return iso(moment.replace(microsecond=0))


def parse(text: str) -> datetime:
    """Reads what `iso` and the Python SDK write; a text without an offset is taken as UTC. ValueError otherwise."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_date_query(text: str) -> datetime | None:
    """A date of a query string, or None when it is not one (the real API ignores such values)."""
    try:
        return parse(text.strip().replace(" ", "+") if len(text) > _SHORTEST_WITH_TIME else text.strip())
    except ValueError:
        return None
