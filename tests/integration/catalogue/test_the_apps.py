import dataclasses

import pytest

from tests.support.apps import APPS, RULES
from tests.support.fake_model import FakeModel
from tests.support.plain import in_order, run_plainly


@pytest.fixture
def model(request, monkeypatch):
    with FakeModel(RULES[request.getfixturevalue("case").name]) as running:
        monkeypatch.setenv("FAKE_MODEL_URL", running.url)
        yield running


def comparable(run):
    return dataclasses.replace(run, ran=in_order(run.ran))


@pytest.mark.parametrize("case", APPS.values(), ids=lambda case: case.name)
async def test_an_app_ends_well_and_twice_the_same(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "first")
    called = len(model.calls)
    again = await run_plainly(case, tmp_path / "second")

    assert run.error is None
    assert (len(run.asked), len(run.stops)) == (case.asks, 0)
    assert comparable(run) == comparable(again)
    assert len(model.calls) == 2 * called >= 6


@pytest.fixture
def case(request):
    return APPS[request.param]


@pytest.mark.parametrize("case", ["deep_agent_researching"], indirect=True)
async def test_subagents_ask_at_once_and_each_gets_its_answer(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "ran")

    assert len(run.asked[0]) == 2
    assert run.values["files"]["/report.md"]["content"] == (
        "a train emits 35 g a kilometre\na plane emits 255 g a kilometre"
    )
    assert run.values["messages"][-1].text == "done: published Trains or planes"


@pytest.mark.parametrize("case", ["careful_agent"], indirect=True)
async def test_an_edited_and_a_refused_call(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "ran")
    tools = {m.name: m.text for m in run.values["messages"] if m.type == "tool"}

    assert "ran SELECT 1" in tools["run_sql"]
    assert "no mails today" in tools["send_mail"]
    assert run.values["structured_response"].rows == 3


@pytest.mark.parametrize("case", ["supervisor"], indirect=True)
async def test_the_supervisor_has_the_last_word(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "ran")

    assert run.values["messages"][-1].text == "Both companies employ 68317 people."
    assert in_order(run.ran)[""][0] == [
        (1, ["supervisor"]),
        (2, ["research_expert"]),
        (3, ["supervisor"]),
        (4, ["maths_expert"]),
        (5, ["supervisor"]),
    ]


@pytest.mark.parametrize("case", ["swarm"], indirect=True)
async def test_the_active_agent_is_remembered(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "ran")
    spoken = [(m.name, m.text) for m in run.values["messages"] if m.type == "ai" and m.text]

    assert spoken == [("Bob", "Arr, matey!"), ("Bob", "Arr, matey!"), ("Alice", "The sum is 12.")]
