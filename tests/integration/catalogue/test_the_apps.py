import dataclasses

import pytest

from tests.support.apps import APPS, RULES
from tests.support.catalogue_graphs.apps.models import environment
from tests.support.fake_model import FakeModel
from tests.support.plain import in_order, run_plainly


@pytest.fixture
def model(request, monkeypatch):
    with FakeModel(RULES[request.getfixturevalue("case").name]) as running:
        for variable, value in environment(running.url).items():
            monkeypatch.setenv(variable, value)
        yield running


def comparable(run):
    return dataclasses.replace(run, ran=in_order(run.ran))


@pytest.mark.parametrize("case", APPS.values(), ids=lambda case: case.name)
async def test_an_app_ends_well_and_twice_the_same(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "first")
    called = len(model.calls)
    again = await run_plainly(case, tmp_path / "second")

    assert (run.error and run.error[0]) == case.raises
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


@pytest.mark.parametrize("case", ["careful_agent", "careful_agent_each"], indirect=True)
async def test_calls_approved_edited_refused_and_answered_by_a_person(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "ran")
    tools = [(m.name, m.text) for m in run.values["messages"] if m.type == "tool"]

    assert len(run.asked[0]) == (4 if case.name == "careful_agent_each" else 1)
    assert any(name == "run_sql" and "ran SELECT 1" in text for name, text in tools)
    assert any(name == "send_mail" and "no send_mail today" in text for name, text in tools)
    assert ("drop_table", "dropped old_orders") in tools
    assert ("ask_owner", "the owner agrees") in tools
    assert run.values["structured_response"].rows == 3


@pytest.mark.parametrize("case", ["deep_research"], indirect=True)
async def test_three_researchers_find_something(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "ran")

    assert run.values["messages"][-1].text == "# Emissions\n3 findings"
    assert len(model.calls) == 21


@pytest.mark.parametrize("case", ["report_planner"], indirect=True)
async def test_the_plan_is_sent_back_and_one_section_is_searched_twice(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "ran")
    sections = in_order(run.ran)["build_section_with_web_research"]

    assert [("Ships" in asked[0]) for asked in run.asked] == [False, True]
    assert sorted(len(steps) for steps in sections) == [3, 3, 5]
    assert run.output["final_report"].startswith("## trains\n\n## planes in detail\n\n## ships\n\n## Conclusion")


@pytest.mark.parametrize("case", ["digger"], indirect=True)
async def test_the_prebuilt_agent_knows_its_last_step(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "ran")

    assert run.values["messages"][-1].text == "Sorry, need more steps to process this request."


@pytest.mark.parametrize("case", ["supervisor"], indirect=True)
async def test_the_supervisor_has_the_last_word(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "ran")

    assert run.values["messages"][-1].text == "Both companies employ 68317 people."
    # The supervisor is a subgraph, whose nodes leave the lines: it has the super-steps before, between and after these.
    assert in_order(run.ran)[""][0] == [(2, ["research_expert"]), (4, ["maths_expert"])]


@pytest.mark.parametrize("case", ["swarm"], indirect=True)
async def test_the_active_agent_is_remembered(case, model, tmp_path):
    run = await run_plainly(case, tmp_path / "ran")
    spoken = [(m.name, m.text) for m in run.values["messages"] if m.type == "ai" and m.text]

    assert spoken == [("Bob", "Arr, matey!"), ("Bob", "Arr, matey!"), ("Alice", "The sum is 12.")]
