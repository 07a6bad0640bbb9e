"""The comparison of transcripts: equal where they are, and a difference where a host says something else."""

import copy
import json

import pytest

from tests.host.places import given
from tests.host.plugin import CAN, CANNOT, NEEDS_FOLDER, reason
from tests.host.scenarios import MAY_DIFFER, failing, table
from tests.host.transcripts import Compared, compare, differences, visible
from tests.support.drive import ROOT
from tests.support.recorded import expectation, recorded_names

RECORDED = expectation("s01_chain")["strict"]


def transcript(status=200, output="done", child="x7"):
    """A raw transcript, as the driver writes it."""
    return {
        "name": "s99_made_up",
        "about": "made up",
        "run": "ab12",
        "labels": {f"s99-a-{child}": "a"},
        "turns": [],
        "steps": [
            {
                "kind": "http",
                "t": 0.1,
                "request": {"method": "GET", "path": f"/x/s99-a-{child}"},
                "response": {"status": status, "headers": {"retry-after": "10"}, "body": None},
            }
        ],
        "final": {f"s99-a-{child}": {"runtimeStatus": "Completed", "output": output, "historyEvents": []}},
    }


def test_transcripts_that_differ_in_ids_and_times_alone_are_equal():
    found = compare("s99_made_up", transcript(), transcript(child="q9"), recorded=False)
    assert found.equal
    assert found.recording is None


@pytest.mark.parametrize("changed", [transcript(status=202), transcript(output="other")])
def test_another_status_or_output_is_a_difference(changed):
    found = compare("s99_made_up", changed, transcript(), recorded=False)
    assert found.embedded
    assert not found.equal
    assert failing([found]) == ["s99_made_up"]


def test_a_header_or_a_history_event_that_is_missing_is_a_difference():
    headless, shorter = transcript(), copy.deepcopy(RECORDED)
    headless["steps"][0]["response"]["headers"] = {}
    assert compare("s99_made_up", headless, transcript(), recorded=False).embedded
    del shorter["instances"]["auto"]["final"]["historyEvents"][1]
    assert differences(visible(RECORDED, "strict"), visible(RECORDED, "strict")) == ()
    (length, *_) = differences(visible(RECORDED, "strict"), visible(shorter, "strict"))
    assert "historyEvents" in length


def test_turns_and_names_of_children_are_left_to_hosts_with_a_trace():
    shown = json.dumps(visible(RECORDED, "strict"))
    assert '"turns"' not in shown
    assert "<a:0>" not in json.dumps(visible({"steps": ["<a:0>"], "instances": {"a:0": {"final": 1}}}, "loose"))


def test_a_loose_history_has_one_order_whatever_its_childrens_ids_are():
    recorded = expectation("s33_two_level")["loose"]
    others = copy.deepcopy(recorded)
    others["instances"]["a"]["final"]["historyEvents"].reverse()
    assert differences(visible(recorded, "loose"), visible(others, "loose")) == ()
    others["instances"]["a"]["final"]["historyEvents"][0]["Result"] = 6
    assert differences(visible(recorded, "loose"), visible(others, "loose")) != ()


def test_a_scenario_that_may_differ_is_shown_and_does_not_count():
    assert set(MAY_DIFFER) <= recorded_names()
    excused = Compared("s03_timer", ("late",), None)
    assert failing([excused]) == []
    assert "does not count" in table([excused])


def test_several_addresses_may_be_given():
    assert [place.url for place in given({"FUNCTIONS_HOST": "http://a:1/, http://b:2"})] == ["http://a:1", "http://b:2"]
    assert given({}) == []


@pytest.mark.parametrize(
    ("node", "fixtures", "folder", "why"),
    [
        ("tests/e2e/test_crash.py::test_a", [], True, "kills"),
        ("tests/e2e/test_catalogue.py::test_a", ["host_of_two"], True, "two worker processes"),
        ("tests/e2e/test_catalogue.py::test_a", ["host"], False, NEEDS_FOLDER),
        ("tests/e2e/test_catalogue.py::test_a", ["host"], True, None),
        ("tests/e2e/test_supervision.py::test_a_purged_instance_ends", ["host"], False, None),
        ("tests/host/test_runs.py::test_a", [], False, None),
    ],
)
def test_what_cannot_run_on_a_host_that_is_there_is_skipped_with_a_reason(node, fixtures, folder, why):
    found = reason(node, fixtures, folder=folder)
    assert found is None if why is None else why in found


def test_cases_with_something_in_memory_need_a_host_that_was_just_started():
    node = "tests/e2e/test_catalogue.py::test_a[store]"
    assert "FUNCTIONS_FRESH" in (reason(node, ["host"], folder=True) or "")
    assert reason(node, ["host"], folder=True, fresh=True) is None


def test_of_every_module_of_the_e2e_suite_it_is_known_whether_it_needs_a_host_of_its_own():
    modules = {file.name for file in (ROOT / "tests" / "e2e").glob("test_*.py")}
    assert modules - set(CANNOT) == set(CAN)


def test_what_a_case_left_outside_of_its_thread_is_not_met_by_its_second_run():
    second = "tests/host/test_runs.py::test_a_run_equals_a_plain_run[expense_approval]"
    assert "has run it already" in (reason(second, ["tmp_path"], folder=True, fresh=True) or "")
    assert reason(second, ["tmp_path"], folder=False, fresh=True) is None


def test_a_scenario_whose_values_are_times_is_compared_with_nothing():
    found = compare("s03b_timers", transcript(output="497"), transcript(output="489"), recorded=False)
    assert (found.recording, found.embedded) == (None, None)


def test_children_whose_ids_are_the_hosts_own_are_compared_in_any_order():
    def parent(**results):
        document = transcript()
        events = [
            {"EventType": 9, "InstanceId": f"<a:{child[1:]}>", "Result": result} for child, result in results.items()
        ]
        (label,) = document["final"]
        document["final"][label]["historyEvents"] = events
        return document

    assert compare("s99_made_up", parent(_1=1, _2=10), parent(_1=10, _2=1), recorded=False).equal
    assert not compare("s99_made_up", parent(_1=1, _2=10), parent(_1=1, _2=11), recorded=False).equal


@pytest.mark.parametrize(("second", "good"), [("done", True), ("other", False)])
def test_a_scenario_that_differs_is_judged_by_a_second_run_of_its_own(monkeypatch, tmp_path, second, good):
    from tests.host import __main__ as command
    from tests.host.scenarios import Target

    asked = []

    def drive(_target, _which, only):
        asked.append(tuple(only))
        return {"s99_made_up": transcript(output=second if "-j" in only else "other")}

    monkeypatch.setattr(command, "drive", drive)
    monkeypatch.setattr(command, "embedded", lambda *_: {"s99_made_up": transcript()})
    assert command.scenarios(Target("http://127.0.0.1:1", tmp_path), "main", ["s99"], tmp_path) is good
    assert asked == [("s99",), ("-j", "1", "s99_made_up")]
