"""Events for tests, and everything that a log holds."""

from typing import Any

from durablegraph.storage.events import Event, EventLogs, EventsGone


def told(number: int, *, by: str = "w", step: str = "c1", data: Any = None) -> Event:
    """The event with this number of an execution."""
    return Event(f"{by}-{number}", "updates", {"n": number} if data is None else data, step=step, by=by)


async def everything(logs: EventLogs, run: str = "run", after: int = 0, limit: int = 1000) -> list[tuple[int, Event]]:
    """All events after an offset, page by page."""
    found: list[tuple[int, Event]] = []
    while True:
        page = await logs.read(run, found[-1][0] if found else after, limit)
        found += page.events
        if not page.more:
            return found


async def first_kept(logs: EventLogs, run: str = "run") -> int:
    """The first offset that a log still holds."""
    try:
        return (await logs.read(run)).events[0][0]
    except EventsGone as error:
        return error.first
