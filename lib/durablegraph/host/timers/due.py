"""What a timer does next, decided from its schedule, its last known status and the time. Nothing is done here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from durablegraph.host.invocation import FunctionInfo
from durablegraph.host.settings import resolve_percent
from durablegraph.host.timers.schedule import Schedule, parse_schedule

_SHORTEST_MONITORED = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TimerStatus:
    """What is remembered between two runs of the host."""

    last: datetime
    next: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer trigger. A schedule shorter than a minute is not monitored, as on the real host: missed runs are lost."""

    function: str
    binding: str
    schedule: Schedule
    zone: tzinfo
    run_on_startup: bool
    monitored: bool


@dataclass(frozen=True, slots=True)
class Due:
    """When the timer runs next; `past_due` when that moment lies before the host's start."""

    at: datetime
    past_due: bool


def read_timer(function: FunctionInfo, environment: Mapping[str, str], zone: tzinfo) -> Timer:
    """The timer of a timer-triggered function. Raises ScheduleError or HostConfigurationError."""
    settings = function.trigger.settings
    text = resolve_percent(str(settings.get("schedule") or ""), environment, f"schedule of {function.name}")
    schedule = parse_schedule(text)
    return Timer(
        function=function.name,
        binding=function.trigger.name,
        schedule=schedule,
        zone=zone,
        run_on_startup=bool(settings.get("runOnStartup")),
        monitored=settings.get("useMonitor", True) is not False and not _is_frequent(schedule),
    )


def first_run(timer: Timer, status: TimerStatus | None, now: datetime) -> Due | None:
    """When the timer runs first after a start of the host: at once if it missed a run or wants to run on start."""
    if timer.monitored and status is not None:
        missed = timer.schedule.after(status.last, timer.zone)
        if missed is not None and missed <= now:
            return Due(now, past_due=True)
    if timer.run_on_startup:
        return Due(now, past_due=False)
    return next_run(timer, status.last if timer.monitored and status is not None else now, now)


def waiting_status(timer: Timer, due: Due, now: datetime) -> TimerStatus | None:
    """What to remember before the first run: the next start counts what it missed from here."""
    return TimerStatus(now, due.at, now) if timer.monitored and due.at > now else None


def next_run(timer: Timer, last: datetime, now: datetime) -> Due | None:
    """When the timer runs after a run at `last`; occurrences that passed meanwhile count once."""
    at = timer.schedule.after(last, timer.zone)
    if at is not None and at < now:
        at = timer.schedule.after(now, timer.zone)
    return None if at is None else Due(at, past_due=False)


def status_after(timer: Timer, ran: datetime, following: Due | None) -> TimerStatus | None:
    """What to remember after a run."""
    return TimerStatus(ran, following.at, ran) if timer.monitored and following else None


def request_text(timer: Timer, due: Due, status: TimerStatus | None) -> dict[str, Any]:
    """What the function receives."""
    shown = status and {
        "Last": _moment(status.last),
        "Next": _moment(status.next),
        "LastUpdated": _moment(status.updated),
    }
    return {
        "IsPastDue": due.past_due,
        "ScheduleStatus": shown,
        "Schedule": {"AdjustForDST": timer.schedule.adjusts_for_daylight},
    }


def _is_frequent(schedule: Schedule) -> bool:
    first = schedule.after(datetime(2024, 1, 1, tzinfo=UTC))
    second = first and schedule.after(first)
    return first is not None and second is not None and second - first < _SHORTEST_MONITORED


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
