"""A real host process is killed at a chosen moment, started again, and the run ends as if nothing had happened.

The moments: the n-th write to the store, the n-th activity, the n-th commit of the host's journal, each before and
after it is carried out. Executions are counted outside the store. By default some n of each graph are tried; all of
them, one after the other until a run ends untouched, with the marker `slow`.
"""

import asyncio
import itertools
import shutil
import traceback

import pytest

from tests.e2e.crashing import Survivor
from tests.support.drive import assert_same, history_as_json
from tests.support.plain import in_order, run_plainly
from tests.support.shipped import CLAIM, SHIPPED
from tests.support.warm import nursery

MOMENTS = [f"{kind}:{when}" for kind in ("write", "activity", "journal") for when in ("before", "after")]
SAMPLE = [
    ("write:before", 0.3),
    ("write:after", 0.7),
    ("activity:before", 0.6),
    ("activity:after", 0.3),
    ("journal:before", 0.8),
    ("journal:after", 0.5),
]
"""Moments, and how far into the run: each kind early and late, before and after."""

GRAPHS = [pytest.param(name, marks=pytest.mark.xdist_group(f"crash-{name}")) for name in SHIPPED]
BOOKED = {"expense_approval": [(CLAIM["id"], "480.00")]}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def plain(request, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPENSE_LEDGER", str(tmp_path / "plain-ledger.db"))
    monkeypatch.setenv("TOOL_AGENT_MODEL", "local")
    return await run_plainly(SHIPPED[request.getfixturevalue("name")], tmp_path / "plain")


async def survive(plain, survivor):
    """Run it, and compare all that can be seen with the plain run."""
    driven = await survivor.run(plain)

    assert_same(driven, plain)
    assert history_as_json(await survivor.history()) == history_as_json(plain.history)
    assert survivor.run_again() == []
    assert survivor.booked() == BOOKED.get(survivor.case.name, [])
    return survivor


TOTALS = {}


async def moments_of(name, plain, folder, **more):
    """How many moments of each kind a run has that nobody disturbs; also the check that it runs at all."""
    key = (name, *sorted(more))
    if key not in TOTALS:
        survivor = await survive(plain, Survivor(SHIPPED[name], folder / "untouched", **more))
        assert survivor.deaths == []
        assert in_order(survivor.executions) == in_order(plain.ran)
        TOTALS[key] = survivor.counts
    return TOTALS[key]


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize(("moment", "place"), SAMPLE)
async def test_a_run_survives_a_kill(name, moment, place, plain, tmp_path):
    total = (await moments_of(name, plain, tmp_path))[moment.split(":")[0]]
    number = 1 + round(place * (total - 1))

    survivor = await survive(plain, Survivor(SHIPPED[name], tmp_path / "killed", f"{moment}:{number}"))

    assert len(survivor.deaths) == 1


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("moment", ["write:after:9", "activity:before:3"])
async def test_a_run_survives_the_death_of_its_worker_alone(name, moment, plain, tmp_path):
    survivor = await survive(plain, Survivor(SHIPPED[name], tmp_path, moment, workers=1))

    assert survivor.struck
    assert survivor.deaths == []


@pytest.mark.parametrize("name", GRAPHS[1:2], ids=["document_pipeline"])
@pytest.mark.parametrize("moment", ["activity:before:4", "activity:after:5", "write:after:25"])
async def test_a_run_whose_tasks_are_activities_survives_a_kill(name, moment, plain, tmp_path):
    survivor = Survivor(SHIPPED[name], tmp_path, moment, settings={"DURABLEGRAPH_FAN_OUT": "always"})

    await survive(plain, survivor)

    assert len(survivor.deaths) == 1
    assert survivor.counts["activity"] > len(plain.history)


A_LIFE = 12
"""Writes: as many as it takes to mend what is told of a waiting run, without which no life would get further."""


@pytest.mark.parametrize("name", GRAPHS)
async def test_a_run_survives_a_host_that_dies_again_and_again(name, plain, tmp_path):
    survivor = await survive(plain, Survivor(SHIPPED[name], tmp_path, f"write:after:{A_LIFE}", again=True))

    assert len(survivor.deaths) > 1


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("moment", ["write:before", "write:after"])
async def test_a_run_on_azure_blobs_survives_a_kill(name, moment, plain, azurite, tmp_path):
    total = (await moments_of(name, plain, tmp_path, connection=azurite))[moment.split(":")[0]]
    number = 1 + round(0.6 * (total - 1))
    survivor = Survivor(SHIPPED[name], tmp_path / "killed", f"{moment}:{number}", connection=azurite)

    await survive(plain, survivor)

    assert len(survivor.deaths) == 1


@pytest.fixture(scope="module")
def warm():
    """Hosts that need not import anything: there are a thousand of them."""
    with nursery() as found:
        yield found.spawn


AT_ONCE = 4
"""Runs under way together, each with a host of its own: most of the time a run waits for its storage or its host."""


class Sweep:
    """The runs that are killed at the n-th moment of a kind, for every n; `wrong` says of each that went wrong how."""

    def __init__(self, moment, name, plain, folder, **more):
        self.moment, self.name, self.plain, self.folder, self.more = moment, name, plain, folder, more
        self.wrong = {}

    async def struck(self, number):
        """Whether the moment came."""
        survivor = Survivor(SHIPPED[self.name], self.folder / str(number), f"{self.moment}:{number}", **self.more)
        try:
            await survive(self.plain, survivor)
        except Exception as error:
            self.wrong[survivor.crash] = str(error)[:1000]
            (survivor.folder / "wrong").write_text(traceback.format_exc())  # to be read while the others run
            return survivor.struck
        came = survivor.struck
        shutil.rmtree(survivor.folder)
        return came


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("storage", ["sqlite", "azurite"])
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_run_survives_a_kill_at_every_moment(
    name, moment, storage, plain, warm, request, tmp_path, record_property
):
    connection = request.getfixturevalue("azurite") if storage == "azurite" else None
    sweep = Sweep(moment, name, plain, tmp_path, connection=connection, starter=warm)
    deaths = 0
    for first in itertools.count(1, AT_ONCE):
        came = await asyncio.gather(*(sweep.struck(number) for number in range(first, first + AT_ONCE)))
        deaths += sum(came)
        if not all(came):
            break
    record_property("deaths", deaths)
    assert sweep.wrong == {}
    assert deaths > 0
