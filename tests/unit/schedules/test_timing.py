"""When a schedule is due: cron, time zones, daylight saving, ends, and times that were missed."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durablegraph.errors import InvalidRequest
from durablegraph.storage.schedules.timing import check, latest_due, next_after

from .schedules import at, record


def following(cron, zone, after, count):
    schedule, moment, found = record(cron=cron, timezone=zone), at(after), []
    for _ in range(count):
        moment = next_after(schedule, moment)
        found.append(moment.isoformat())
    return found


def test_a_time_of_day_is_meant_in_its_zone_and_follows_the_clocks_there():
    assert following("0 9 * * *", "Europe/Berlin", "2026-03-27T12:00:00+00:00", 3) == [
        "2026-03-28T08:00:00+00:00",
        "2026-03-29T07:00:00+00:00",
        "2026-03-30T07:00:00+00:00",
    ]


def test_an_hour_that_does_not_exist_runs_when_the_clocks_have_been_put_forward_once():
    assert following("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00+00:00", 3) == [
        "2026-03-28T01:30:00+00:00",
        "2026-03-29T01:00:00+00:00",  # 03:00 there
        "2026-03-30T00:30:00+00:00",
    ]


def test_an_hour_that_comes_twice_runs_once_at_the_first():
    assert following("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+00:00", 2) == [
        "2026-10-25T00:30:00+00:00",
        "2026-10-26T01:30:00+00:00",
    ]


def test_within_the_hour_that_comes_again_the_first_of_both_is_over():
    assert following("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00+00:00", 1) == ["2026-10-26T01:30:00+00:00"]


def test_what_runs_every_half_hour_follows_real_time_over_both_changes():
    for day in ("2026-03-29", "2026-10-25"):
        found = [at(text) for text in following("*/30 * * * *", "Europe/Berlin", f"{day}T00:00:00+00:00", 6)]
        assert {after - before for before, after in pairwise(found)} == {timedelta(minutes=30)}


def test_nothing_is_due_after_the_end_and_a_single_time_comes_once():
    ends = record(end_time=at("2026-01-05T10:00:00Z"))
    assert next_after(ends, at("2026-01-05T09:59:59Z")) == at("2026-01-05T10:00:00Z")
    assert next_after(ends, at("2026-01-05T10:00:00Z")) is None
    once = record(cron=None, at=at("2026-01-05T10:00:00Z"))
    assert next_after(once, at("2026-01-05T09:00:00Z")) == at("2026-01-05T10:00:00Z")
    assert next_after(once, at("2026-01-05T10:00:00Z")) is None
    assert latest_due(once.model_copy(update={"next_run_at": once.at}), at("2027-01-01T00:00:00Z")) == once.at


@pytest.mark.parametrize(
    ("cron", "zone", "moment", "words"),
    [
        ("61 * * * *", "UTC", None, "'61 * * * *' is not understood (Bad minute): give minute, hour"),
        ("0 0 30 2 *", "UTC", None, "Bad day-of-month"),
        ("0 0 0 * * *", "UTC", None, "has 6 fields: give 5"),
        ("@daily", "UTC", None, "has 1 fields"),
        ("", "UTC", None, "has 0 fields"),
        ("9" * 5000 + " * * * *", "UTC", None, "has 5 fields"),
        ("0 9 * * *", "Europe/Bielefeld", None, "no time zone 'Europe/Bielefeld': give a name of the IANA"),
        ("0 9 * * *", "Europe", None, "no time zone"),
        ("0 9 * * *", "../../etc/passwd", None, "no time zone"),
        ("0 9 * * *", "", None, "no time zone"),
        ("0 9 * * *", "\0", None, "no time zone"),
        (None, "UTC", None, "give one of them"),
        ("0 9 * * *", "UTC", datetime(2026, 1, 1, tzinfo=UTC), "give one of them"),
    ],
)
def test_what_says_no_time_is_refused_and_told_how_to_say_one(cron, zone, moment, words):
    with pytest.raises(InvalidRequest) as refused:
        check(cron, zone, moment)
    assert words in str(refused.value)
    assert refused.value.status == 422


@settings(max_examples=60, deadline=None)
@given(
    cron=st.sampled_from(
        ["*/7 * * * *", "30 2 * * *", "0 */5 * * *", "15 1,2,3 * * SUN", "0 0 L * *", "* 2 29 3 *", "0 9 25 10 *"]
    ),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe"]),
    start=st.integers(0, 335 * 24 * 60).map(lambda minutes: at("2025-12-01T00:00:00Z") + timedelta(minutes=minutes)),
    missed=st.timedeltas(timedelta(), timedelta(days=60)),
)
def test_the_latest_missed_time_is_the_last_of_all_that_were_due(cron, zone, start, missed):
    schedule = record(cron=cron, timezone=zone)
    first = next_after(schedule, start)
    schedule, now = schedule.model_copy(update={"next_run_at": first}), first + missed
    expected = first
    while (after := next_after(schedule, expected)) is not None and after <= now:
        assert after > expected
        expected = after
    assert latest_due(schedule, now) == expected


def test_a_year_of_missed_minutes_is_not_counted_minute_by_minute(monkeypatch):
    from durablegraph.storage.schedules import timing

    asked = []
    real = timing.next_after
    monkeypatch.setattr(timing, "next_after", lambda *given: asked.append(1) or real(*given))
    schedule = record(cron="* * * * *", next_run_at=at("2025-01-05T09:00:00Z"))
    assert latest_due(schedule, at("2026-01-05T09:00:30Z")) == at("2026-01-05T09:00:00Z")
    assert len(asked) < 100
