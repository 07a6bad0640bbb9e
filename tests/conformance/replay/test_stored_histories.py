"""The orchestrator never changes its mind: replayed from stored histories by the SDK it gives the stored answers."""

import json
from pathlib import Path

import pytest

from orchestrators.run_graph import blueprint

HISTORIES = Path(__file__).parents[2] / "fixtures" / "histories"
FILES = sorted(HISTORIES.glob("*.json"))


@pytest.fixture(scope="module")
def orchestrator():
    import azure.durable_functions as df

    app = df.DFApp()
    app.register_functions(blueprint)
    (function,) = app.get_functions()
    return function.get_user_function()


def answered(orchestrator, request):
    return json.loads(orchestrator(json.dumps(request)))


def test_there_are_histories_of_every_kind_of_run():
    kinds = {"answered", "breakpoint", "cancelled", "cut", "doubled_bell", "failed", "raw_answer", "straight"}
    assert kinds <= {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_turn_of_a_stored_history_is_answered_as_it_was(orchestrator, file):
    turns = json.loads(file.read_text())
    assert turns
    for turn in turns:
        assert answered(orchestrator, turn["request"]) == turn["answer"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_prefix_of_a_stored_history_begins_the_stored_answer(orchestrator, file):
    """What was decided after some turns is never taken back after more."""
    turns = json.loads(file.read_text())
    for turn in turns:
        history = turn["request"]["history"]
        ends = [at for at, event in enumerate(history) if event["EventType"] == 12 and at]
        whole = turn["answer"]["actions"][0]
        for end in ends:
            early = answered(orchestrator, {**turn["request"], "history": history[:end]})["actions"][0]
            assert _without_cancellation(early) == _without_cancellation(whole[: len(early)])


def test_no_stored_request_or_answer_carries_a_users_value_or_grows():
    for file in FILES:
        for turn in json.loads(file.read_text()):
            assert len(json.dumps(turn["request"])) < 64 * 1024
            assert len(json.dumps(turn["answer"].get("customStatus"))) < 1024


def _without_cancellation(actions):
    """Actions without the one member that later turns may change."""
    return json.loads(json.dumps(actions).replace('"isCanceled": true', '"isCanceled": false'))
