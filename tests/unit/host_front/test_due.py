from datetime import UTC, datetime, timedelta

import pytest

from durablegraph.host.errors import HostConfigurationError
from durablegraph.host.invocation import Binding, FunctionInfo
from durablegraph.host.timers.due import (
    Due,
    TimerStatus,
    first_run,
    next_run,
    read_timer,
    request_text,
    status_after,
    waiting_status,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def timer(schedule="0 0 * * * *", environment=None, **settings):
    trigger = Binding("t", "timerTrigger", "in", {"schedule": schedule, **settings})
    return read_timer(
        FunctionInfo("tick", "timer", "tick", trigger, (trigger,), is_async=False), environment or {}, UTC
    )


def ran(last):
    return TimerStatus(last, last + HOUR, last)


def test_a_new_timer_waits_for_its_first_occurrence():
    assert first_run(timer(), None, NOON) == Due(NOON + HOUR, past_due=False)


def test_a_timer_that_missed_runs_makes_up_one_at_once():
    assert first_run(timer(), ran(NOON - 5 * HOUR), NOON + HOUR / 2) == Due(NOON + HOUR / 2, past_due=True)


def test_a_restart_between_two_runs_changes_nothing():
    assert first_run(timer(), ran(NOON), NOON + HOUR / 2) == Due(NOON + HOUR, past_due=False)


def test_a_timer_may_run_on_startup():
    assert first_run(timer(runOnStartup=True), None, NOON) == Due(NOON, past_due=False)


def test_a_schedule_below_a_minute_is_not_monitored():
    quick = timer("*/10 * * * * *")
    assert quick.monitored is False
    assert first_run(quick, ran(NOON - HOUR), NOON) == Due(NOON + timedelta(seconds=10), past_due=False)
    assert status_after(quick, NOON, Due(NOON + HOUR, past_due=False)) is None


def test_monitoring_can_be_switched_off():
    assert timer(useMonitor=False).monitored is False


def test_occurrences_that_passed_during_a_long_run_are_not_made_up():
    assert next_run(timer(), NOON, NOON + 3.5 * HOUR) == Due(NOON + 4 * HOUR, past_due=False)


def test_the_first_wait_is_remembered_so_that_missing_it_shows():
    waiting = waiting_status(timer(), Due(NOON + HOUR, past_due=False), NOON)
    assert first_run(timer(), waiting, NOON + 2 * HOUR) == Due(NOON + 2 * HOUR, past_due=True)


def test_the_function_is_told_what_is_known():
    assert request_text(timer(), Due(NOON, past_due=True), ran(NOON - HOUR)) == {
        "IsPastDue": True,
        "ScheduleStatus": {
            "Last": "2026-03-04T11:00:00+00:00",
            "Next": "2026-03-04T12:00:00+00:00",
            "LastUpdated": "2026-03-04T11:00:00+00:00",
        },
        "Schedule": {"AdjustForDST": True},
    }


def test_a_schedule_may_come_from_a_setting_named_without_regard_to_case():
    assert timer("%Every%", {"EVERY": "00:30:00"}).schedule.after(NOON) == NOON + HOUR / 2


def test_a_schedule_from_a_missing_setting_says_which():
    with pytest.raises(HostConfigurationError, match="schedule of tick: found %Every%"):
        timer("%Every%")
