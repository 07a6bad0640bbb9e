"""Which ids operations get, and what holds an orchestration back: the rules of the extension's replay."""

import pytest

from durablegraph.host.hub import commands as c
from durablegraph.host.hub.failures import Failure
from durablegraph.host.hub.state import RuntimeStatus
from tests.support.hub_script import Scripted, activity, again, child, event, every, first, retried, timer

BOOM = Failure("boom", "{}")


def test_each_action_waits_for_the_one_before_it():
    hub = Scripted()
    hub.start()
    hub.turn(activity("work"), activity("other"))
    assert hub.open_activities() == ["work#0"]
    hub.end_activity(0)
    hub.turn(activity("work"), activity("other"))
    assert hub.open_activities() == ["other#1"]


def test_a_retry_takes_a_timer_id_on_failure_and_a_task_id_when_it_fires():
    hub = Scripted()
    hub.start()
    fan = every(retried(interval=3000), retried("other", interval=1000), activity("work"))
    hub.turn(fan)
    assert hub.open_activities() == ["work#0", "other#1", "work#2"]
    hub.end_activity(1, failure=BOOM)
    hub.turn(fan)
    hub.end_activity(0, failure=BOOM)
    hub.turn(fan)
    hub.advance(1)
    hub.turn(fan)
    hub.advance(2)
    hub.turn(fan)
    assert [item for item in hub.history() if item[0] in {4, 10}] == [
        (4, 0),
        (4, 1),
        (4, 2),
        (10, 3),
        (10, 4),
        (4, 5),
        (4, 6),
    ]


def test_after_the_last_failed_attempt_one_more_timer_passes_before_the_failure_counts():
    hub = Scripted()
    hub.start()
    hub.turn(retried(attempts=1))
    hub.end_activity(0, failure=BOOM)
    hub.turn(retried(attempts=1))
    assert hub.instance().status is RuntimeStatus.RUNNING
    hub.advance(1)
    request = hub.begin()
    assert request.request.count('"EventType":11') == 1


def test_wait_all_waits_for_the_slow_sibling_of_a_failure():
    hub = Scripted()
    hub.start()
    both = every(activity("work"), activity("other"))
    hub.turn(both)
    hub.end_activity(0, failure=BOOM)
    hub.turn(both, activity("work"))
    assert hub.open_activities() == ["other#1"], "the next activity must not be scheduled yet"
    hub.end_activity(1)
    hub.turn(both, activity("work"))
    assert hub.open_activities() == ["work#2"]


def test_wait_any_goes_on_with_the_first_and_keeps_the_others():
    hub = Scripted()
    hub.start()
    race = first(activity("work"), activity("other"))
    hub.turn(race)
    hub.end_activity(1)
    hub.turn(race, activity("work"))
    assert hub.open_activities() == ["work#0", "work#2"]


@pytest.mark.parametrize("open_task", [activity("work"), timer(5), child()], ids=["activity", "timer", "child"])
def test_a_return_takes_effect_only_when_what_was_scheduled_has_ended(open_task):
    hub = Scripted()
    hub.start()
    race = first(open_task, activity("other"))
    hub.turn(race)
    hub.end_activity(1)
    hub.turn(race, isDone=True, output="early")
    assert hub.instance().status is RuntimeStatus.RUNNING


@pytest.mark.parametrize("open_wait", [event("Never"), timer(5, cancelled=True)], ids=["event", "cancelled timer"])
def test_an_open_event_wait_or_a_cancelled_timer_holds_nothing_back(open_wait):
    hub = Scripted()
    hub.start()
    hub.turn(every(open_wait) if open_wait["actionType"] == 5 else first(open_wait, activity("other")))
    if open_wait["actionType"] == 6:
        hub.end_activity(0)
        hub.turn(first(open_wait, activity("other")), isDone=True, output=1)
    else:
        hub.do(c.Raise("i", "X", "1"))
        hub.turn(every(open_wait), isDone=True, output=1)
    assert hub.instance().status is RuntimeStatus.COMPLETED


def test_a_cancelled_timer_keeps_its_id():
    hub = Scripted()
    hub.start()
    hub.turn(first(event(), timer(5)))
    hub.do(c.Raise("i", "Go", "1"))
    hub.turn(first(event(), timer(5, cancelled=True)), activity("work"))
    assert hub.open_activities() == ["work#1"]


def test_continue_as_new_waits_for_what_is_open_too():
    hub = Scripted()
    hub.start()
    race = first(activity("work"), activity("other"))
    hub.turn(race)
    before = hub.instance().execution_id
    hub.end_activity(1)
    hub.turn(race, again(), isDone=True)
    assert hub.instance().execution_id == before
    hub.end_activity(0)
    hub.turn(race, again(), isDone=True)
    assert hub.instance().execution_id != before


def test_the_newest_waiter_of_a_name_gets_the_event_and_names_have_no_case():
    hub = Scripted()
    hub.start()
    hub.turn(every(event("A"), event("a")))
    hub.do(c.Raise("i", "A", "1"))
    hub.turn(every(event("A"), event("a")), activity("work"))
    assert hub.open_activities() == []
    hub.do(c.Raise("i", "a", "2"))
    hub.turn(every(event("A"), event("a")), activity("work"))
    assert hub.open_activities() == ["work#0"]


def test_an_event_that_came_early_is_kept_for_the_wait():
    hub = Scripted()
    hub.start()
    hub.turn(activity("work"))
    hub.do(c.Raise("i", "Go", "1"))
    hub.turn(activity("work"))
    hub.end_activity(0)
    hub.turn(activity("work"), event(), activity("other"))
    assert hub.open_activities() == ["other#1"]


def test_an_unregistered_activity_leaves_the_instance_running_without_an_id():
    hub = Scripted()
    hub.start()
    hub.turn(activity("missing"))
    assert hub.types() == [12, 0, 13]
    assert hub.instance().status is RuntimeStatus.RUNNING


def test_schema_zero_gives_a_list_for_each_yield():
    hub = Scripted()
    hub.start()
    request = hub.begin()
    hub.do(c.TurnAnswered("i", request.token, {"isDone": False, "actions": [[activity("work"), activity("other")]]}))
    hub.end_activity(1)
    request = hub.begin()
    hub.do(
        c.TurnAnswered(
            "i",
            request.token,
            {"isDone": False, "actions": [[activity("work"), activity("other")], [activity("work")]]},
        )
    )
    assert hub.open_activities() == ["work#0", "work#2"]


CHANGED = "Was a change made to the orchestrator code after this instance had already started running?"

PAST = "an activity task with sequence number 0 named 'work'"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (
            activity("other"),
            (
                f"{PAST}, but the current orchestration replay instead scheduled an activity task "
                f"named 'other' with this sequence number.  {CHANGED}"
            ),
        ),
        (
            timer(5),
            (
                f"{PAST}, but the current orchestration replay instead produced a "
                f"CreateTimerOrchestratorAction action with this sequence number. {CHANGED}"
            ),
        ),
        (
            event(),
            f"{PAST}, but the current replay execution hasn't (yet?) scheduled this task. {CHANGED}",
        ),
    ],
    ids=["name", "kind", "missing"],
)
def test_code_that_changed_its_mind_fails_with_the_engines_own_text(now, expected):
    hub = Scripted()
    hub.start()
    hub.turn(activity("work"))
    hub.end_activity(0)
    instance = hub.turn(now)
    assert instance.status is RuntimeStatus.FAILED
    assert (
        instance.output
        == f"Non-Deterministic workflow detected: A previous execution of this orchestration scheduled {expected}"
    )


def test_what_a_failing_turn_scheduled_still_runs():
    hub = Scripted()
    hub.start()
    hub.turn(activity("work"))
    hub.end_activity(0)
    hub.turn(activity("other"))
    assert hub.open_activities() == ["other#0"]


def test_an_answer_that_cannot_be_read_fails_the_instance_and_not_the_hub():
    hub = Scripted()
    hub.start()
    instance = hub.turn({"actionType": 0})
    assert instance.status is RuntimeStatus.FAILED
    assert "cannot be read" in (instance.output or "")


def test_more_actions_than_the_limit_fail_the_instance():
    from durablegraph.host.hub.options import DurableOptions

    hub = Scripted(DurableOptions(max_actions=2))
    hub.start()
    instance = hub.turn(every(activity(), activity()), activity())
    assert instance.status is RuntimeStatus.FAILED
    assert "Maximum amount of orchestration actions (2)" in (instance.output or "")
