"""Schedules in the embedded host, in memory, on a clock that the test moves."""

import operator
from datetime import UTC, datetime
from typing import Annotated

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from durablegraph.testing import HostDied, after_commit, after_write, before_commit, before_write

FRIDAY = datetime(2026, 3, 27, 12, 0, 1, tzinfo=UTC)
"""Two days before the clocks go forward in Berlin."""


class State(TypedDict, total=False):
    out: Annotated[list[str], operator.add]


def compiled(node):
    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder.compile()


@pytest.fixture
def app(durable_app):
    graphs = {
        "report": compiled(lambda _: {"out": ["written"]}),
        "ask": compiled(lambda _: {"out": [interrupt("go on?")]}),
    }
    return durable_app(graphs=graphs, now=FRIDAY)


def made(app, graph="report", **members):
    answer = app.request("POST", "/api/schedules", json={"graph": graph, **members})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def runs(app, schedule):
    found = app.request("GET", "/api/runs", params={"metadata.schedule_id": schedule}).json()["runs"]
    return [(run["created_at"], run["status"]) for run in reversed(found)]


def pass_hours(app, hours):
    for _ in range(hours):
        app.clock.advance(hours=1)
        app.trigger("fire_schedules")


def test_nine_in_the_morning_is_nine_in_the_morning_before_and_after_the_clocks_change(app):
    schedule = made(app, cron="0 9 * * *", timezone="Europe/Berlin", run={"input": {"out": []}})
    pass_hours(app, 72)
    assert runs(app, schedule) == [
        ("2026-03-28T08:00:01+00:00", "completed"),
        ("2026-03-29T07:00:01+00:00", "completed"),
        ("2026-03-30T07:00:01+00:00", "completed"),
    ]
    shown = app.request("GET", f"/api/schedules/{schedule}").json()
    assert shown["next_run_at"] == "2026-03-31T07:00:00Z"
    run = app.request("GET", f"/api/runs/{shown['last_run']['id']}").json()
    assert run["output"] == {"out": ["written"]}


def test_a_run_that_still_waits_on_the_thread_makes_the_next_time_a_skip(app):
    schedule = made(app, "ask", cron="0 * * * *", run={"thread_id": "case-7", "input": {"out": []}})
    pass_hours(app, 3)
    assert runs(app, schedule) == [("2026-03-27T13:00:01+00:00", "interrupted")]
    shown = app.request("GET", f"/api/schedules/{schedule}").json()
    assert (shown["skipped"], shown["failures"], shown["status"]) == (2, 0, "enabled")
    assert "thread 'case-7' is busy" in shown["reason"]


def test_a_run_now_and_a_single_time(app):
    once = made(app, at="2026-03-27T14:30:00+01:00", run={"input": {"out": []}})
    app.request("POST", f"/api/schedules/{once}/trigger")
    assert runs(app, once) == [("2026-03-27T12:00:01+00:00", "completed")]
    pass_hours(app, 3)
    assert runs(app, once)[1:] == [("2026-03-27T14:00:01+00:00", "completed")]
    assert app.request("GET", f"/api/schedules/{once}").json()["status"] == "ended"


def test_a_host_that_dies_after_a_tick_starts_no_second_run_for_the_time(app):
    schedule = made(app, "ask", cron="0 * * * *", run={"input": {"out": []}})
    pass_hours(app, 1)
    app.crash()
    app.trigger("fire_schedules")
    assert runs(app, schedule) == [("2026-03-27T13:00:01+00:00", "interrupted")]
    pass_hours(app, 1)
    assert [status for _, status in runs(app, schedule)] == ["interrupted"] * 2


@pytest.mark.parametrize(
    "moment", [before_write(1), after_write(1), after_write(3), before_commit(1), after_commit(1)], ids=str
)
def test_a_host_that_dies_in_a_tick_starts_one_run_for_the_time(app, moment):
    schedule = made(app, "ask", cron="0 * * * *", run={"input": {"out": []}})
    app.clock.advance(hours=1)
    app.crash(at=moment)
    with pytest.raises(HostDied, match="while it ran fire_schedules"):
        app.trigger("fire_schedules")
    app.trigger("fire_schedules")
    assert app.crashes == 1
    assert runs(app, schedule) == [("2026-03-27T13:00:01+00:00", "interrupted")]


def test_a_host_that_was_off_for_a_week_starts_one_run(app):
    schedule = made(app, cron="*/10 * * * *", run={"input": {"out": []}})
    app.clock.advance(days=7)
    app.trigger("fire_schedules")
    app.trigger("fire_schedules")
    assert runs(app, schedule) == [("2026-04-03T12:00:01+00:00", "completed")]
