"""Two answers of an orchestrator, compared in words."""

import json

from durablegraph.testing.differences import change_of_mind, first_difference, operations, state_of
from durablegraph.testing.journaling import ActivityCall, Record, Turn


def call(name, given="1"):
    return {"actionType": 0, "functionName": name, "input": given}


def timer(at, *, cancelled=False):
    return {"actionType": 5, "fireAt": at, "isCanceled": cancelled}


def turn(*actions, **state):
    return Turn("{}", json.dumps({"actions": [list(actions)], "isDone": False, **state}))


def test_the_same_answers_are_no_change_of_mind():
    assert change_of_mind("f", turn(call("a")), turn(call("a"))) is None


def test_another_operation_is_named_with_its_place():
    told = change_of_mind("f", turn(call("a"), call("b")), turn(call("a"), call("c")))
    assert "'f' gave two answers" in told
    assert "Operation 2 was first CALL_ACTIVITY 'b' with 1, then CALL_ACTIVITY 'c' with 1" in told


def test_another_status_or_error_is_named_too():
    assert "customStatus" in change_of_mind("f", turn(customStatus=1), turn(customStatus=2))
    failed = Turn("{}", None, 'Exception: no$OutOfProcData$:{"actions": [[]], "isDone": false}')
    assert "the error Exception: no" in change_of_mind("f", turn(), failed)


def test_compound_operations_are_compared_one_by_one():
    either = {"actionType": 11, "compoundActions": [call("a"), timer("2026")]}
    assert operations(state_of(turn(either))) == [call("a"), timer("2026")]


def test_a_timer_that_was_cancelled_later_is_the_same_timer():
    assert first_difference([timer("2026")], [timer("2026", cancelled=True)]) is None
    assert first_difference([timer("2026")], []) == (0, "CREATE_TIMER '2026'", "nothing")


def test_an_activitys_input_is_shown_as_the_value_that_was_given():
    assert ActivityCall("a", "i", '{"n": 1}').input == {"n": 1}
    assert ActivityCall("a", "i", '"{\\"n\\": 1}"').input == {"n": 1}
    assert ActivityCall("a", "i", '"text"').input == "text"


def test_turns_that_take_too_much_memory_are_given_up_but_for_the_last():
    record = Record()
    long = Turn("x" * (40 * 1024 * 1024), "{}")
    record.add("i", long)
    assert (record.too_long, len(record.turns["i"])) == (set(), 1)
    record.add("i", long)
    assert (record.too_long, len(record.turns["i"])) == ({"i"}, 1)
