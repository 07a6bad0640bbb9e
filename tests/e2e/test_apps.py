"""Four unmodified applications from PyPI, on the host, over HTTP, against a fake model: as LangGraph runs them."""

from collections import Counter

import pytest

from durablegraph import BlobCheckpointSaver
from tests.e2e.crashing import Survivor
from tests.support.apps import APPS, RULES
from tests.support.drive import Client, Host, as_json, assert_same, make_app
from tests.support.fake_model import FakeModel, fingerprint
from tests.support.plain import compiled, executions, history_of, in_order, run_plainly

IN_FLIGHT = 2
"""Model calls that one super-step of these applications makes at most, and that a kill may cost once more."""

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
        "DURABLEGRAPH_ALLOWED_TYPES": "tests.support.catalogue_graphs.apps.careful_agent:Summary",
        "FAKE_MODEL_URL": model.url,
    }


@pytest.fixture(scope="module")
def host(settings, tmp_path_factory):
    app = make_app(tmp_path_factory.mktemp("apps") / "app", APPS, served="served_apps")
    with Host(app, settings) as running:
        yield running


@pytest.mark.parametrize("name", APPS)
async def test_an_application_runs_as_it_does_plainly(name, model, host, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_MODEL_URL", model.url)
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
    ("name", "crash"), [("deep_agent_publishing", "activity:after:5"), ("swarm", "write:after:12")]
)
async def test_an_application_survives_a_kill(name, crash, model, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_MODEL_URL", model.url)
    case = APPS[name]
    before = len(model.calls)
    plain = await run_plainly(case, tmp_path / "plain")
    between = len(model.calls)
    survivor = Survivor(case, tmp_path / "killed", crash, served="served_apps", settings=settings)

    driven = await survivor.run(plain)

    assert len(survivor.deaths) == 1
    assert_same(driven, plain)
    assert survivor.run_again() == []
    paid_twice = said(model.calls[between:]) - said(model.calls[before:between])
    assert paid_twice.total() <= IN_FLIGHT


def said(calls):
    """The requests that the model got, each with how often it came: parallel ones have no order."""
    return Counter(fingerprint(call) for call in calls)
