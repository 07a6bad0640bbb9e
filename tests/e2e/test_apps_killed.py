"""The real applications, each killed after every activity and inside every activity, end as LangGraph alone ends them.

One death a run, in this process: before the n-th write, in the n-th model call, after the n-th activity, for n = 1, 2,
… until no moment is left. By default some n of each kind are tried; all of them with the marker `slow`.
"""

from collections import Counter

import pytest

from durablegraph.graphs.jsonable import jsonable
from tests.e2e.crashing import run_again
from tests.support.apps import APPS, RULES
from tests.support.catalogue_graphs.apps.models import environment
from tests.support.fake_model import FakeModel, fingerprint
from tests.support.mortal import Doom, Sweep, moments, watching
from tests.support.plain import executions, history_of, in_order, run_plainly, without_chance

MOST_PAID_TWICE = {"deep_research": 4, "report_planner": 6}
"""Model calls that the nodes which run at once make, and that a death may cost once more; 2 where none is named.

A section of the report is written and graded in one node, three at once; two researchers read two pages each.
"""

MOST_MOMENTS_COME = 0.95
"""Writes that wait for each other go out together, so that a run has now and then a few moments less than another."""

pytestmark = [pytest.mark.xdist_group("apps"), pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]


@pytest.fixture
def model(name, monkeypatch):
    with FakeModel(RULES[name]) as running:
        for variable, value in environment(running.url).items():
            monkeypatch.setenv(variable, value)
        yield running


class Ground:
    """A case, how it runs plainly, and what the model was asked in doing so."""

    def __init__(self, case, model, folder):
        self.case, self.model, self.folder = case, model, folder
        self.plain = None
        self.said = Counter()

    async def prepare(self):
        before = len(self.model.calls)
        self.plain = await run_plainly(self.case, self.folder / "plain")
        self.said = said(self.model.calls[before:])
        return self

    async def swept(self, at, **settings):
        """Run it durably with a death at this moment and compare all that can be seen with the plain run."""
        folder = self.folder / (at.replace(":", "-") or "untouched")
        folder.mkdir()
        sweep = Sweep(self.case, folder, settings, Doom(at))
        before = len(self.model.calls)
        try:
            with watching(self.model, sweep.doom):
                record = await sweep.carry()
            await self.compare(sweep, record)
        finally:
            await sweep.close()
        again = said(self.model.calls[before:]) - self.said
        missing = self.said - said(self.model.calls[before:])
        most = MOST_PAID_TWICE.get(self.case.name, 2) if at and not at.startswith("activity") else 0
        assert not missing, at
        assert again.total() <= most, at
        return sweep

    async def compare(self, sweep, record):
        assert record.status == ("failed" if self.plain.error else "completed"), record.error
        assert (record.error and record.error.type) == (self.plain.error and self.plain.error[0])
        if not self.plain.error:
            assert jsonable(without_chance(await sweep.run.output())) == jsonable(self.plain.output)
        services = sweep.run.services
        bound = sweep.graph.copy(update={"checkpointer": services.saver_of(await services.graphs.load("g"))})
        stored = await history_of(bound, {"configurable": {"thread_id": "thread"}})
        assert [jsonable(each.values) for each in stored] == [jsonable(each.values) for each in self.plain.history]
        assert [each.next for each in stored] == [each.next for each in self.plain.history]
        assert sweep.asked == self.plain.asked
        if sweep.deaths:
            assert run_again(executions(sweep.ran), sweep.deaths) == []
        else:
            assert in_order(executions(sweep.ran)) == in_order(self.plain.ran)


def said(calls):
    """The requests that the model got, each with how often it came."""
    return Counter(fingerprint(call) for call in calls)


@pytest.mark.parametrize("name", APPS)
async def test_an_application_outlives_a_death_here_and_there(name, model, tmp_path):
    ground = await Ground(APPS[name], model, tmp_path).prepare()
    untouched = await ground.swept("")

    for kind, most in untouched.doom.counts.items():
        swept = await ground.swept(f"{kind}:{1 + most // 2}")
        assert len(swept.deaths) == 1


@pytest.mark.slow
@pytest.mark.parametrize("fan_out", ["never", "always"])
@pytest.mark.parametrize("name", APPS)
async def test_an_application_outlives_a_death_at_every_moment(name, fan_out, model, tmp_path, record_property):
    ground = await Ground(APPS[name], model, tmp_path).prepare()
    untouched = await ground.swept("", fan_out=fan_out)
    for kind, most in untouched.doom.counts.items():
        record_property(kind, most)

    wrong, deaths = {}, 0
    for at in moments(untouched.doom.counts):
        try:
            deaths += len((await ground.swept(at, fan_out=fan_out)).deaths)
        except Exception as error:
            wrong[at] = str(error)[:400]
    record_property("deaths", deaths)
    assert wrong == {}
    assert deaths >= MOST_MOMENTS_COME * sum(untouched.doom.counts.values())
