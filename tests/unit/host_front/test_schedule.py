import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from durablegraph.host.timers.schedule import ScheduleError, parse_schedule

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)  # a Wednesday


def at(text, moment=NOON, zone=UTC):
    found = parse_schedule(text).after(moment, zone)
    return found and found.isoformat().removesuffix("+00:00").removeprefix("2026-")


@pytest.mark.parametrize(
    ("text", "next_"),
    [
        ("0 */5 * * * *", "03-04T12:05:00"),
        ("*/10 * * * * *", "03-04T12:00:10"),
        ("30 0 12 * * *", "03-04T12:00:30"),
        ("0 0 12 * * *", "03-05T12:00:00"),
        ("0 0 9-17/4 * * *", "03-04T13:00:00"),
        ("0 30 9 * * 1-5", "03-05T09:30:00"),
        ("0 0 0 * * sun", "03-08T00:00:00"),
        ("0 0 0 * * Monday,Fri", "03-06T00:00:00"),
        ("0 0 0 1 * *", "04-01T00:00:00"),
        ("0 0 0 1 JAN *", "2027-01-01T00:00:00"),
        ("0 0 0 13 * 5", "03-13T00:00:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 5/20 * * * *", "03-04T12:05:00"),
        ("5 * * * *", "03-04T12:05:00"),
        ("00:01:30", "03-04T12:01:30"),
        ("1.00:00:00", "03-05T12:00:00"),
    ],
)
def test_the_next_occurrence_of(text, next_):
    assert at(text) == next_


def test_a_day_must_fit_both_day_fields():
    friday = parse_schedule("0 0 0 13 * 5").after(datetime(2026, 3, 14, tzinfo=UTC))
    assert friday == datetime(2026, 11, 13, tzinfo=UTC)


def test_an_occurrence_at_the_moment_itself_is_past():
    assert at("0 0 12 * * *", NOON - timedelta(microseconds=1)) == "03-04T12:00:00"
    assert at("0 0 12 * * *", NOON) == "03-05T12:00:00"


def test_a_schedule_follows_its_time_zone_over_a_change_of_clocks():
    berlin = ZoneInfo("Europe/Berlin")
    schedule = parse_schedule("0 0 9 * * *")
    winter = schedule.after(datetime(2026, 3, 28, 0, tzinfo=UTC), berlin)
    summer = schedule.after(datetime(2026, 3, 28, 12, tzinfo=UTC), berlin)
    assert (winter, summer) == (datetime(2026, 3, 28, 8, tzinfo=UTC), datetime(2026, 3, 29, 7, tzinfo=UTC))


def test_an_hourly_schedule_skips_no_hour_and_repeats_none_when_clocks_go_back():
    berlin = ZoneInfo("Europe/Berlin")
    schedule = parse_schedule("0 0 * * * *")
    moment, seen = datetime(2026, 10, 24, 22, 30, tzinfo=UTC), []
    for _ in range(6):
        moment = schedule.after(moment, berlin)
        seen.append(moment)
    assert all(later > earlier for earlier, later in itertools.pairwise(seen))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "* * *",
        "60 * * * * *",
        "* * * * 13 *",
        "* * * * * 7",
        "*/0 * * * * *",
        "5-1 * * * * *",
        "25:00:00",
        "5",
    ],
)
def test_what_is_no_schedule_is_refused_with_an_explanation(text):
    with pytest.raises(ScheduleError, match="was not recognized as a valid cron expression or timespan"):
        parse_schedule(text)


def test_a_schedule_that_never_occurs_is_refused():
    with pytest.raises(ScheduleError, match="never occurs"):
        parse_schedule("0 0 0 30 2 *")
