"""Starting, ending, holding and repeating instances, as the recordings have it."""

import json

import pytest

from durablegraph.host.hub import commands as c
from durablegraph.host.hub.failures import Failure
from durablegraph.host.hub.options import DurableOptions, VersionFailure, VersionMatch
from durablegraph.host.hub.state import RuntimeStatus
from tests.support.hub_script import Scripted, activity, again, call, child, event, signal, timer


def test_the_first_request_shows_the_start_and_later_ones_mark_it_played():
    hub = Scripted()
    hub.start(input='{"a": 1}')
    request = json.loads(hub.begin().request)
    assert [(item["EventType"], item["IsPlayed"]) for item in request["history"]] == [(12, False), (0, False)]
    assert (request["input"], request["isReplaying"], request["upperSchemaVersionNew"]) == ({"a": 1}, False, 3)
    hub.do(c.TurnAnswered("i", 1, {"isDone": False, "schemaVersion": 2, "actions": [[activity()]]}))
    hub.end_activity(0)
    request = json.loads(hub.begin().request)
    played = [(item["EventType"], item["IsPlayed"]) for item in request["history"]]
    assert played == [(12, False), (0, True), (4, False), (13, False), (12, False), (5, False)]
    assert request["isReplaying"]


def test_a_completed_instance_has_its_output_and_tells_nobody():
    hub = Scripted()
    hub.start()
    instance = hub.turn(isDone=True, output={"x": [1, None]})
    assert (instance.status, instance.output) == (RuntimeStatus.COMPLETED, '{"x":[1,null]}')


def test_messages_to_an_ended_instance_are_dropped():
    hub = Scripted()
    hub.start()
    hub.turn(isDone=True)
    assert hub.do(c.Raise("i", "Go", "1")).changes == []


def test_continue_as_new_begins_at_once_with_a_history_that_ends_a_turn():
    hub = Scripted()
    hub.start()
    hub.turn(event(), instance_id="i")
    hub.do(c.Raise("i", "Go", "1"))
    hub.turn(event(), again('{"n": 1}'), isDone=True, output="ignored")
    request = json.loads(hub.begin().request)
    assert [(item["EventType"], item["IsPlayed"]) for item in request["history"]] == [
        (12, False),
        (0, False),
        (13, False),
    ]
    assert (request["input"], request["isReplaying"]) == ('{"n": 1}', False)


def test_events_that_came_with_the_last_turn_are_carried_into_the_next_execution():
    hub = Scripted()
    hub.start()
    hub.turn(event("A"))
    hub.do(c.Raise("i", "A", "1"))
    hub.do(c.Raise("i", "B", "2"))
    hub.turn(event("A"), again(), isDone=True)
    assert [item["EventType"] for item in json.loads(hub.begin().request)["history"]] == [12, 0, 15, 13]


def test_events_that_nobody_awaited_before_are_lost_by_continue_as_new():
    hub = Scripted()
    hub.start()
    hub.turn(event("A"))
    hub.do(c.Raise("i", "B", "early"))
    hub.turn(event("A"))
    hub.do(c.Raise("i", "A", "1"))
    hub.turn(event("A"), again(), isDone=True)
    assert [item["EventType"] for item in json.loads(hub.begin().request)["history"]] == [12, 0, 13]


def test_the_custom_status_outlives_continue_as_new_until_the_next_turn_without_one():
    hub = Scripted()
    hub.start()
    hub.turn(again(), isDone=True, customStatus={"round": 0})
    hub.turn(event())
    assert hub.instance().custom_status == '{"round":0}'
    hub.do(c.Raise("i", "X", "1"))
    hub.turn(event())
    assert hub.instance().custom_status is None


@pytest.mark.parametrize(("length", "status"), [(8701, RuntimeStatus.RUNNING), (8702, RuntimeStatus.FAILED)])
def test_the_custom_status_may_have_sixteen_kilobytes(length, status):
    hub = Scripted()
    hub.start()
    assert hub.turn(event(), customStatus="s" * length).status is status


def test_terminating_cuts_through_open_work_and_keeps_the_reason_as_output():
    hub = Scripted()
    hub.start()
    hub.turn(activity())
    hub.do(c.Terminate("i", "because"))
    instance = hub.turn(activity())
    assert (instance.status, instance.output) == (RuntimeStatus.TERMINATED, "because")
    hub.end_activity(0)
    assert hub.types() == [12, 0, 4, 13, 12, 3, 1, 13]


def test_a_suspended_instance_takes_messages_but_schedules_nothing_until_it_is_resumed():
    hub = Scripted()
    hub.start()
    hub.turn(event())
    hub.do(c.Suspend("i", "pause"))
    hub.turn(event())
    assert (hub.instance().status, hub.instance().output) == (RuntimeStatus.SUSPENDED, "pause")
    hub.do(c.Raise("i", "Go", "1"))
    hub.turn(event(), activity())
    assert hub.open_activities() == []
    hub.do(c.Resume("i", "go on"))
    hub.turn(event(), activity())
    assert hub.open_activities() == ["work#0"]
    assert (hub.instance().status, hub.instance().output) == (RuntimeStatus.RUNNING, "go on")


def test_a_suspended_instance_can_be_terminated():
    hub = Scripted()
    hub.start()
    hub.turn(event())
    hub.do(c.Suspend("i", None))
    hub.turn(event())
    hub.do(c.Terminate("i", "x"))
    assert hub.turn(event()).status is RuntimeStatus.TERMINATED


def test_a_child_reports_to_its_parent_and_is_named_by_execution_and_id():
    hub = Scripted()
    parent = hub.start()
    hub.turn(child())
    child_id = f"{parent.execution_id}:0"
    request = json.loads(hub.begin(child_id).request)
    assert request["parentInstanceId"] == "i"
    hub.do(c.TurnAnswered(child_id, 2, {"isDone": True, "schemaVersion": 2, "actions": [[]], "output": 5}))
    assert hub.turn(child(), activity()).history[-3].members["Result"] == "5"


def test_a_terminated_child_gives_its_parent_the_reason_without_details():
    hub = Scripted()
    hub.start()
    hub.turn(child(instance_id="kid"))
    hub.turn(event(), instance_id="kid")
    hub.do(c.Terminate("kid", "stop"))
    hub.turn(event(), instance_id="kid")
    told = json.loads(hub.begin().request)["history"][-1]
    assert (told["EventType"], told["Reason"], told["Details"]) == (9, "stop", None)


def test_a_child_id_that_is_running_is_replaced():
    hub = Scripted()
    hub.start(instance_id="kid", name="child")
    hub.turn(event(), instance_id="kid")
    hub.start()
    hub.turn(child(instance_id="kid"))
    assert hub.instance("kid").parent is not None
    assert hub.is_due("kid")


def test_an_orchestrator_that_raised_fails_with_the_label_it_wrote():
    hub = Scripted()
    hub.start()
    hub.fail_turn('Exception: bad\n\n$OutOfProcData$:{"isDone":false,"schemaVersion":2,"actions":[[]],"error":"bad"}')
    assert hub.instance().output == "Orchestrator function 'parent' failed: bad"


def test_a_failure_whose_state_says_done_is_not_taken_as_state():
    hub = Scripted()
    hub.start()
    hub.fail_turn('Exception: bad\n\n$OutOfProcData$:{"isDone":true,"schemaVersion":2,"actions":[[]],"error":"bad"}')
    assert (hub.instance().output or "").startswith(
        "Orchestrator function 'parent' failed: One or more errors occurred. (Result: Failure\n"
    )


def test_a_worker_that_dies_in_a_turn_fails_the_instance():
    hub = Scripted()
    hub.start()
    request = hub.begin()
    hub.do(c.TurnAnswered("i", request.token, lost="python exited with code 137 (0x89)"))
    assert "python exited with code 137 (0x89)" in (hub.instance().output or "")


def test_a_turn_that_took_too_long_is_tried_again_with_the_same_messages():
    hub = Scripted()
    hub.start()
    request = hub.begin()
    hub.do(c.TurnAbandoned("i", request.token))
    assert [item["EventType"] for item in json.loads(hub.begin().request)["history"]] == [12, 0]


def test_the_answer_of_an_abandoned_turn_is_ignored():
    hub = Scripted()
    hub.start()
    late = hub.begin()
    hub.do(c.TurnAbandoned("i", late.token))
    hub.do(c.TurnAnswered("i", late.token, {"isDone": True, "schemaVersion": 2, "actions": [[]]}))
    assert hub.instance().status is RuntimeStatus.PENDING


def test_rewinding_blanks_the_failure_and_schedules_the_same_id_again():
    hub = Scripted()
    hub.start()
    hub.turn(activity())
    hub.end_activity(0, failure=Failure("boom", "{}"))
    hub.fail_turn(
        'Exception: boom\n\n$OutOfProcData$:{"isDone":false,"schemaVersion":2,"actions":[['
        + json.dumps(activity())
        + ']],"error":"boom"}'
    )
    assert hub.instance().status is RuntimeStatus.FAILED
    hub.do(c.Rewind("i", "again"))
    request = json.loads(hub.begin().request)
    assert [item["EventType"] for item in request["history"]] == [12, 0, 17, 13, 12, 17, 17, 13, 12, 17]
    assert [item["Data"] for item in request["history"] if item["EventType"] == 17] == [None, None, None, "again"]
    hub.do(
        c.TurnAnswered(
            "i", hub.machine.state.last_token, {"isDone": False, "schemaVersion": 2, "actions": [[activity()]]}
        )
    )
    assert hub.open_activities() == ["work#0"]


def test_a_timer_fires_at_its_time_or_early_by_the_fraction_of_a_second():
    exact, early = Scripted(), Scripted(DurableOptions())
    for hub in (exact, early):
        hub.start()
        hub.now = hub.now.replace(microsecond=1000)
        hub.turn(timer(3))
    early.advance(2)
    exact.advance(2)
    assert early.is_due()
    assert not exact.is_due()
    exact.advance(1)
    assert exact.is_due()


def test_timers_fire_in_the_order_of_their_times():
    hub = Scripted()
    hub.start()
    both = {"actionType": 12, "compoundActions": [timer(9), timer(3)]}
    hub.turn(both)
    hub.advance(60)
    fired = [item["TimerId"] for item in json.loads(hub.begin().request)["history"] if item["EventType"] == 11]
    assert fired == [1, 0]


def test_an_entity_takes_its_messages_in_order_and_answers_its_callers():
    hub = Scripted()
    hub.start()
    hub.turn(signal(), call())
    (batch,) = [effect for effect in hub.do(c.BeginBatch("@counter@k")).effects if isinstance(effect, c.RunBatch)]
    request = json.loads(batch.request)
    assert [(item["name"], item["input"], item["isSignal"]) for item in request["batch"]] == [
        ("add", '"5"', True),
        ("get", '"null"', False),
    ]
    results = [{"isError": False, "result": "5"}, {"isError": False, "result": "5"}]
    hub.do(c.BatchEnded("@counter@k", {"entityExists": True, "entityState": "5", "results": results, "signals": []}))
    answer = json.loads(hub.begin().request)["history"][-1]
    assert (answer["EventType"], json.loads(answer["Input"])["result"]) == (15, "5")


def test_a_signal_to_an_unknown_entity_fails_the_orchestration():
    hub = Scripted()
    hub.start()
    assert "is not an entity function" in (hub.turn(signal("missing")).output or "")


def test_an_unknown_orchestrator_is_accepted_and_fails_with_the_known_names():
    hub = Scripted()
    hub.start("missing")
    hub.do(c.BeginTurn("i"))
    assert "The following are the known orchestrator functions: 'parent', 'child'." in (hub.instance().output or "")


def test_a_rejected_version_waits_and_keeps_its_events():
    hub = Scripted(DurableOptions(default_version="1.0"))
    hub.start(version="2.0")
    assert not hub.is_due()
    assert hub.instance().status is RuntimeStatus.PENDING


def test_a_version_mismatch_can_fail_the_instance_instead():
    hub = Scripted(
        DurableOptions(default_version="1.0", version_match=VersionMatch.STRICT, version_failure=VersionFailure.FAIL)
    )
    hub.start(version="2.0")
    hub.do(c.BeginTurn("i"))
    assert hub.instance().output == "VersionMismatch: Orchestration version did not comply with Worker Versioning"


def test_inputs_are_stored_in_history_only_when_asked_for():
    hub = Scripted(DurableOptions(store_inputs=True))
    hub.start()
    hub.turn(activity(given='{"a": 1}'))
    assert hub.instance().history[2].members["Input"] == '["{\\"a\\": 1}"]'


def test_what_was_produced_in_the_very_turn_of_a_suspend_waits_for_the_resume():
    hub = Scripted()
    hub.start()
    hub.turn(event())
    hub.do(c.Raise("i", "Go", "1"))
    hub.do(c.Suspend("i", "x"))
    hub.turn(event(), activity())
    assert hub.open_activities() == []
    hub.do(c.Resume("i", "x"))
    hub.turn(event(), activity())
    assert hub.open_activities() == ["work#0"]
    assert hub.types().count(4) == 1
