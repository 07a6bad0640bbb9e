"""Unmodified applications from PyPI, on the host, over HTTP, against a fake model: as LangGraph runs them.

Continued as new every two steps, and with LangGraph's strict mode on, in which a checkpoint is rebuilt only as types
that the graph's own schemas name. `test_apps_killed.py` has the deaths at every moment, in one process.
"""

import ast
from collections import Counter
from pathlib import Path

import deepagents
import langchain
import pytest

from durablegraph import BlobCheckpointSaver
from tests.e2e.crashing import Survivor
from tests.support.apps import APPS, MODULES, RULES
from tests.support.catalogue_graphs.apps.models import environment
from tests.support.catalogue_graphs.served_apps import FOUND_IN
from tests.support.drive import Client, Host, as_json, assert_same, make_app
from tests.support.fake_model import FakeModel, fingerprint
from tests.support.plain import compiled, executions, history_of, in_order, run_plainly

IN_FLIGHT = {"deep_research": 4, "report_planner": 6}
"""Model calls that the nodes which run at once make, and that a death may cost once more; 2 where none is named.

A section of the report is written and graded in one node, three at once; two researchers read two pages each.
"""

# One event loop for all: the clients of langchain-openai keep their connections for the life of the process.
pytestmark = [pytest.mark.xdist_group("apps"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def model():
    with FakeModel([rule for rules in RULES.values() for rule in rules]) as running:
        yield running


@pytest.fixture(scope="module")
def settings(model):
    return {
        "DURABLEGRAPH_STEPS_PER_EXECUTION": "2",
        "LANGGRAPH_STRICT_MSGPACK": "true",
        **environment(model.url),
    }


@pytest.fixture(scope="module")
def host(settings, tmp_path_factory):
    app = make_app(tmp_path_factory.mktemp("apps") / "app", APPS, served="served_apps")
    with Host(app, settings) as running:
        yield running


@pytest.fixture
def pointed(model, monkeypatch):
    """This process, in which the applications run plainly, asks the same model."""
    for variable, value in environment(model.url).items():
        monkeypatch.setenv(variable, value)


@pytest.mark.parametrize("name", APPS)
async def test_an_application_runs_as_it_does_plainly(name, model, host, tmp_path, pointed):
    case = APPS[name]
    before = len(model.calls)
    plain = await run_plainly(case, tmp_path / "plain")
    between = len(model.calls)
    async with Client(host.url) as client:
        driven = await client.drive(case, f"thread-{name}")
        after = len(model.calls)
        await client.look_back(driven, plain)

    assert_same(driven, plain)
    assert said(model.calls[between:after]) == said(model.calls[before:between])
    assert in_order(executions(host.executions / name)) == in_order(plain.ran)
    async with BlobCheckpointSaver.from_path(host.state / "objects.db", allowed_types=True) as saver:
        stored = await history_of(compiled(case.build(), saver), {"configurable": {"thread_id": driven.thread}})
    assert as_json([each.values for each in stored]) == as_json([each.values for each in plain.history])


@pytest.mark.parametrize(
    ("name", "crash"),
    [
        ("swarm", "write:after:12"),
        ("deep_research", "write:before:30"),
        pytest.param("deep_agent_publishing", "activity:after:5", marks=pytest.mark.slow),
        pytest.param("report_planner", "activity:before:6", marks=pytest.mark.slow),
    ],
)
async def test_an_application_survives_a_kill(name, crash, model, settings, tmp_path, pointed):
    case = APPS[name]
    before = len(model.calls)
    plain = await run_plainly(case, tmp_path / "plain")
    between = len(model.calls)
    survivor = Survivor(case, tmp_path / "killed", crash, served="served_apps", settings=settings)

    driven = await survivor.run(plain)

    assert len(survivor.deaths) == 1
    assert_same(driven, plain)
    assert survivor.run_again() == []
    assert not said(model.calls[before:between]) - said(model.calls[between:])
    paid_twice = said(model.calls[between:]) - said(model.calls[before:between])
    assert paid_twice.total() <= IN_FLIGHT.get(name, 2)


KNOWN_TO_ASK = {
    "langchain/agents/middleware/human_in_the_loop.py": 2,  # careful_agent: batched; careful_agent_each: per call
    "langchain/mcp/elicitation.py": 1,  # no middleware: a tool that asks; needs fastmcp 4, which rules out mcp 1
}
"""Where the agents' packages call `interrupt`, and how often."""


def test_every_middleware_that_interrupts_is_among_the_applications():
    found = {}
    for package in (langchain, deepagents):
        root = Path(package.__file__).parent
        for path in root.rglob("*.py"):
            if calls := interrupts_in(ast.parse(path.read_text(encoding="utf-8"))):
                found[str(path.relative_to(root.parent))] = calls

    assert found == KNOWN_TO_ASK, "a new place asks people: add an application that goes through it, then name it here"


def test_every_application_is_served():
    assert {case.name: module.__name__.rpartition(".")[2] for module in MODULES for case in module.CASES} == FOUND_IN


def interrupts_in(tree):
    """How many calls of something named `interrupt` a module has."""
    named = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return sum(getattr(each, "id", getattr(each, "attr", "")) == "interrupt" for each in named)


def said(calls):
    """The requests that the model got, each with how often it came: parallel ones have no order."""
    return Counter(fingerprint(call) for call in calls)
