"""Histories recorded as files, and orchestrators that answer them."""

import json
from pathlib import Path

import pytest

from durablegraph.testing import NotDeterministic, assert_replays, record_history

SAMPLES = Path(__file__).parent / "samples"
HISTORIES = Path(__file__).parents[2] / "fixtures" / "histories"
CODE = """
import azure.durable_functions as df

app = df.DFApp()

@app.orchestration_trigger(context_name="context")
def order(context):
    {status}
    first = yield context.call_activity("reserve", context.get_input())
    yield context.call_activity("{second}", first)
    return {result}

@app.activity_trigger(input_name="what")
def reserve(what: str) -> str:
    return what

@app.activity_trigger(input_name="what")
def charge(what: str) -> str:
    return what

@app.activity_trigger(input_name="what")
def bill(what: str) -> str:
    return what
"""


@pytest.fixture
def shop(durable_app, tmp_path):
    """Opens a shop whose orchestrator was deployed in some version."""

    def opened(second="charge", result="'done'", status="pass"):
        folder = tmp_path / f"{second}{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "host.json").write_text('{"version": "2.0"}')
        (folder / "function_app.py").write_text(CODE.format(second=second, result=result, status=status))
        return durable_app(folder)

    return opened


@pytest.fixture
def stored(shop, tmp_path):
    """The history of an order in the first version."""
    app = shop()
    app.record_history(app.orchestrate("order", "tea"), tmp_path / "order.json")
    return tmp_path / "order.json"


def test_every_turn_is_stored_with_its_answer(stored):
    turns = json.loads(stored.read_text())
    assert len(turns) == 3
    assert [turn["answer"]["isDone"] for turn in turns] == [False, False, True]


def test_the_same_orchestrator_answers_its_history(shop, stored):
    shop().assert_replays(stored)


def test_another_activity_in_its_place_is_named(shop, stored):
    with pytest.raises(
        NotDeterministic, match=r"turn 2: operation 2 was CALL_ACTIVITY 'charge'.*now CALL_ACTIVITY 'bill'"
    ):
        shop(second="bill").assert_replays(stored)


def test_another_result_is_named(shop, stored):
    with pytest.raises(NotDeterministic, match="turn 3: the operations are the same, but output was 'done', is 'sold'"):
        shop(result="'sold'").assert_replays(stored)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (
            "if len(context.histories) < 6: return 'early'",
            "after 4 of .* it went on with CALL_ACTIVITY 'reserve'.* ends now",
        ),
        (
            "if len(context.histories) < 6: yield context.call_activity('bill', 1)",
            "after 4 of .* now CALL_ACTIVITY 'bill'",
        ),
    ],
    ids=["ends", "does something else"],
)
def test_a_beginning_that_is_answered_otherwise_is_named_though_the_end_is_not(shop, stored, status, told):
    stored.write_text(json.dumps(json.loads(stored.read_text())[-1:]))
    with pytest.raises(NotDeterministic, match=told):
        shop(status=status).assert_replays(stored)


def test_an_orchestrator_that_fails_on_a_history_is_named(shop, stored):
    with pytest.raises(NotDeterministic, match=r"was CALL_ACTIVITY 'reserve'.*is now nothing"):
        shop(status="1 / 0").assert_replays(stored)


def test_a_failure_is_a_history_too(shop, tmp_path):
    app = shop(result="1 / 0")
    run = app.orchestrate("order", "tea")
    record_history(app, run, tmp_path / "failed.json")
    app.assert_replays(tmp_path / "failed.json")
    with pytest.raises(NotDeterministic):
        shop().assert_replays(tmp_path / "failed.json")


def test_an_orchestrator_that_is_gone_is_told_with_those_that_are_there(stored, samples):
    with pytest.raises(LookupError, match=r"orchestrator function 'order'.*ask_for_approval"):
        samples.assert_replays(stored)


def test_what_was_never_run_cannot_be_recorded(samples, tmp_path):
    with pytest.raises(LookupError, match="no turns of 'nothing'"):
        samples.record_history("nothing", tmp_path / "none.json")
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(ValueError, match="found no turns"):
        samples.assert_replays(tmp_path / "none.json")


@pytest.mark.parametrize("file", sorted(HISTORIES.glob("*.json")), ids=lambda file: file.stem)
def test_the_orchestrator_of_graphs_answers_every_history_that_is_kept(graphs_app, file):
    assert_replays(file, app=graphs_app)


@pytest.fixture(scope="module")
def graphs_app():
    from durablegraph.testing import DurableApp

    with DurableApp(graphs={"none": object()}) as app:
        yield app
