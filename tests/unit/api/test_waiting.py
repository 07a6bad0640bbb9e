"""`GET /runs/{run}?wait=` answers when the run has ended or waits for an answer, and not before."""

import asyncio

import pytest

from durablegraph.api.context import Call
from durablegraph.api.http import ApiRequest, Links
from durablegraph.api.reading import get_run
from durablegraph.storage import lifecycle
from tests.unit.api.test_supervising import Hub, asking, waiting
from tests.unit.execution.durably import NOW, services_for


class Answering(Hub):
    """A task hub that is looked at just when the run goes on with an answer; it has ended a moment later."""

    def __init__(self, run):
        super().__init__()
        self.run = run
        self.rest = None

    async def view(self, run_id):
        if not self.viewed:
            await self.run.give("yes")
            await lifecycle.begin(self.run.services.runs, await self.run.record(), NOW)
            self.rest = asyncio.create_task(self.run.carry())
        return await super().view(run_id)


@pytest.fixture
def services():
    return services_for(asking())


async def asked(services, hub):
    request = ApiRequest("GET", "http://here/api/runs/run", path={"run": "run"}, query={"wait": "20"})
    return (await get_run(Call(services, hub, request, Links(request.url), lambda: NOW))).body


async def test_a_run_that_waits_is_told_at_once(services):
    await waiting(services)
    hub = Hub()
    run = await asked(services, hub)
    assert (run["status"], len(hub.viewed)) == ("interrupted", 1)


async def test_a_run_that_goes_on_as_it_is_looked_at_is_waited_for(services):
    hub = Answering(await waiting(services))
    run = await asked(services, hub)
    await hub.rest
    assert (run["status"], run["output"]) == ("completed", {"out": ["yes"]})
