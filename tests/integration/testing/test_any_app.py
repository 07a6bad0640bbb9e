"""Durable apps that know nothing of graphs, tested in memory: the textbook patterns."""

import importlib
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from durablegraph.testing import NotDeterministic, Stuck, WrongEnd

SAMPLES = Path(__file__).parent / "samples"


def notes():
    """What the sample app's present process has noted."""
    return importlib.import_module("ledger").notes


def test_an_approval_that_nobody_gives_is_escalated_after_72_hours(samples):
    run = samples.orchestrate("ask_for_approval", {"manager": "kim"})
    samples.clock.advance(hours=71, minutes=59)
    assert (run.status, notes()) == ("Running", ["asked kim"])
    samples.clock.advance(minutes=1)
    assert run.output == "escalated past kim"
    assert notes() == ["asked kim", "escalated"]


def test_an_approval_in_time_wins_and_leaves_no_timer(samples):
    run = samples.orchestrate("ask_for_approval", {"manager": "kim"}).until_waiting_for("Approval")
    assert run.waits_for[0] == "the event 'Approval'"
    assert run.raise_event("Approval", "kim").output == "approved by kim"
    assert samples.clock.next_due is None
    assert "escalate" not in [call.name for call in samples.activities]


def test_a_monitor_looks_until_the_job_is_done(samples):
    began = samples.clock.now
    run = samples.orchestrate("monitor", {"done_at_look": 7}).until_end()
    assert run.output == 7
    assert samples.clock.now - began == timedelta(minutes=60)


def test_an_eternal_loop_does_a_round_each_night(samples):
    run = samples.orchestrate("nightly", {"round": 1})
    samples.clock.advance(days=3)
    assert notes() == ["cleaned 1", "cleaned 2", "cleaned 3"]
    assert run.status == "Running"
    assert run.terminate("enough").error == "enough"


def test_the_end_of_an_eternal_loop_is_not_waited_for_for_ever(samples):
    run = samples.orchestrate("nightly", {"round": 1})
    with pytest.raises(Stuck, match=r"within 5 days.*'nightly'.*waits for: the time"):
        run.until_end(within=timedelta(days=5))
    assert len(notes()) == 5


def test_an_entity_keeps_its_state(samples):
    account = samples.entity("account", "ada")
    assert account.state is None
    account.signal("add", 5)
    assert samples.orchestrate("transfer", [10, 20]).output == 35
    assert account.state == 35


def test_a_starter_is_asked_over_http_and_answers_durables_links(samples):
    answer = samples.request("POST", "/api/start/ask_for_approval", json={"manager": "kim"})
    assert answer.status_code == 202
    run = samples.orchestration(answer.json()["id"])
    status = samples.request("GET", answer.json()["statusQueryGetUri"])
    assert (status.status_code, status.json()["runtimeStatus"]) == (202, "Running")
    samples.request("POST", answer.json()["sendEventPostUri"].replace("{eventName}", "Approval"), json="kim")
    assert run.output == "approved by kim"


def test_a_timer_function_runs_when_it_is_triggered(samples):
    samples.trigger("sweep")
    assert notes() == ["swept"]


def test_an_activity_can_be_called_by_itself(samples):
    assert samples.activity("escalate", {"manager": "kim"}) == "escalated past kim"
    with pytest.raises(WrongEnd, match="the bank is closed"):
        samples.activity("charge", {"failures": 9})


def test_retries_pause_on_the_apps_clock(samples):
    began = samples.clock.now
    run = samples.orchestrate("fragile", {"failures": 2}).until_end()
    assert run.output == "charged 3"
    assert samples.clock.now - began >= timedelta(minutes=2)


def test_a_failure_is_told_when_the_output_is_asked_for(samples):
    run = samples.orchestrate("fragile", {"failures": 3}).until_end()
    assert run.status == "Failed"
    assert "the bank is closed" in run.error
    with pytest.raises(WrongEnd, match=r"'fragile'.*is Failed.*the bank is closed"):
        _ = run.output


def test_a_stuck_orchestration_says_what_it_waits_for(samples):
    run = samples.orchestrate("waiting_for_two").raise_event("First", 1)
    with pytest.raises(Stuck, match=r"waits for: the event 'Second'\."):
        run.until_end()
    assert run.raise_event("Second", 2).output == [1, 2]


def test_a_stuck_parent_says_what_its_child_waits_for(samples):
    run = samples.orchestrate("parent", {"manager": "kim"})
    assert any("'ask_for_approval'" in line and "the event 'Approval'" in line for line in run.waits_for)


def test_a_held_orchestration_does_not_go_on_before_it_is_resumed(samples):
    run = samples.orchestrate("waiting_for_two").suspend()
    run.raise_event("First", 1).raise_event("Second", 2)
    assert run.status == "Suspended"
    with pytest.raises(Stuck, match="goes on when it is resumed"):
        run.until_end()
    assert run.resume().output == [1, 2]


def test_chance_in_an_orchestrator_is_named(samples):
    with pytest.raises(NotDeterministic, match=r"'gambler' gave two answers.*CALL_ACTIVITY 'clean' with"):
        samples.orchestrate("gambler")


def test_an_event_that_never_comes_is_not_the_one_that_is_waited_for(samples):
    run = samples.orchestrate("ask_for_approval", {"manager": "kim"})
    with pytest.raises(WrongEnd, match="never waited for 'Approvals'"):
        run.until_waiting_for("Approvals")


def test_unknown_names_are_answered_with_the_known_ones(samples):
    with pytest.raises(LookupError, match=r"orchestrator function 'ask'.*ask_for_approval, monitor"):
        samples.orchestrate("ask")
    with pytest.raises(LookupError, match=r"entity function 'a'.*account"):
        samples.entity("a", "b")


def test_an_app_of_others_has_no_storage_of_ours_and_no_runs(samples):
    with pytest.raises(LookupError, match="none of durablegraph's triggers"):
        samples.storage.fail()
    with pytest.raises(LookupError, match="use orchestrate"):
        samples.start("graph")


def test_the_clock_starts_where_the_test_says(durable_app):
    start = datetime(2024, 2, 28, 12, tzinfo=UTC)
    app = durable_app(SAMPLES, now=start)
    run = app.orchestrate("nightly", {"round": 1})
    assert run.waits_for == ["the time 2024-02-29T12:00:00Z"]
    with pytest.raises(ValueError, match="time does not go back"):
        app.clock.advance(days=-1)


def test_the_process_is_the_tests_own_again_when_the_app_is_closed(durable_app):
    before = dict(os.environ), Path.cwd(), list(sys.path), set(sys.modules)
    app = durable_app(SAMPLES, settings={"PLACE": "here"})
    assert app.activity("here", 0) == str(SAMPLES)
    assert os.environ["PLACE"] == "here"
    app.close()
    assert (dict(os.environ), Path.cwd(), list(sys.path)) == before[:3]
    assert {"function_app", "ledger"}.isdisjoint(sys.modules)


async def test_an_async_test_may_use_it_too(samples):
    run = samples.orchestrate("ask_for_approval", {"manager": "kim"})
    assert run.raise_event("Approval", "kim").output == "approved by kim"


@pytest.mark.parametrize(("parallel", "present"), [(1, [1, 1, 1]), (3, [3, 3, 3])])
def test_activities_run_one_by_one_unless_the_test_says_else(durable_app, parallel, present):
    app = durable_app(SAMPLES, parallel=parallel)
    assert app.orchestrate("fan_out").output == present


def test_an_activity_that_does_not_end_is_named(durable_app):
    app = durable_app(SAMPLES, limit=0.3)
    with pytest.raises(
        Stuck, match=r"did not end within 0\.3 s of real time\. Running: activity 'sleep' of instance i\."
    ):
        app.orchestrate("sleeper", 3600, instance_id="i")
    assert app.orchestration("i").waits_for == ["the activity 'sleep'"]


def test_a_crash_ends_an_activity_that_does_not_end(durable_app):
    app = durable_app(SAMPLES, limit=0.3)
    with pytest.raises(Stuck):
        app.orchestrate("sleeper", 3600, instance_id="i")
    with pytest.raises(Stuck, match="activity 'sleep'"):
        app.crash()
    assert [call.name for call in app.activities] == ["sleep", "sleep"]
