"""Runs the app's timers and remembers when they ran, so that a run missed while the host was down is made up once."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from durablegraph.host.timers.due import (
    Due,
    Timer,
    TimerStatus,
    first_run,
    next_run,
    request_text,
    status_after,
    waiting_status,
)

_log = logging.getLogger("durablegraph.host.timers")
_LONGEST_NAP = 60.0

CallTimer = Callable[[Timer, str], Awaitable[None]]


class TimerStatuses:
    """The statuses of all timers in one JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._statuses: dict[str, TimerStatus] = {}
        if path.is_file():
            stored = json.loads(path.read_text(encoding="utf-8"))
            self._statuses = {
                name: TimerStatus(**{key: datetime.fromisoformat(text) for key, text in members.items()})
                for name, members in stored.items()
            }

    def get(self, function: str) -> TimerStatus | None:
        """What is known of this function's timer."""
        return self._statuses.get(function)

    def put(self, function: str, status: TimerStatus) -> None:
        """Remember, durably."""
        self._statuses[function] = status
        document = {
            name: {key: value.isoformat() for key, value in asdict(each).items()}
            for name, each in self._statuses.items()
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_suffix(".new")
        scratch.write_text(json.dumps(document, indent=2), encoding="utf-8")
        scratch.replace(self._path)


class TimerRunner:
    """One task for each timer; a timer never overlaps itself."""

    def __init__(self, statuses: TimerStatuses, call: CallTimer) -> None:
        self._statuses = statuses
        self._call = call
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, timers: Sequence[Timer]) -> None:
        """Begin waiting."""
        for timer in timers:
            self._tasks.add(asyncio.create_task(self._run(timer), name=f"timer {timer.function}"))

    async def stop(self) -> None:
        """Stop waiting; a run that has begun goes on in its worker."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def trigger(self, timer: Timer) -> None:
        """Run the timer now, by hand."""
        due = Due(datetime.now(UTC), past_due=False)
        await self._call(timer, json.dumps(request_text(timer, due, self._statuses.get(timer.function))))

    async def _run(self, timer: Timer) -> None:
        now = datetime.now(UTC)
        known = self._statuses.get(timer.function)
        due = first_run(timer, known, now)
        if known is None and due is not None and (waiting := waiting_status(timer, due, now)):
            self._statuses.put(timer.function, waiting)
        while due is not None:
            await _sleep_until(due.at)
            shown = self._statuses.get(timer.function) if timer.monitored else None
            await self._call(timer, json.dumps(request_text(timer, due, shown)))
            ran, due = due, next_run(timer, due.at, datetime.now(UTC))
            if status := status_after(timer, ran.at, due):
                self._statuses.put(timer.function, status)
        _log.warning("Timer of '%s' has no further occurrence", timer.function)


async def _sleep_until(moment: datetime) -> None:
    """In naps, so that a clock that was set or a machine that slept is noticed."""
    while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 -- time is what it waits for
        await asyncio.sleep(min(left, _LONGEST_NAP))
