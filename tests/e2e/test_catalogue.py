"""Every case of the catalogue over HTTP, continued as new every two steps, equals LangGraph's own run of it."""

import os

import pytest
import pytest_asyncio

from durablegraph import BlobCheckpointSaver
from tests.support.catalogue import CASES
from tests.support.drive import Client, Host, assert_same, make_app
from tests.support.plain import compiled, executions, history_of, in_order, run_plainly

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERY = os.environ.get("CATALOGUE", "").split() or list(CASES)


IN_ONE_PROCESS = {"cached_node", "store"}
"""Cases whose cache or Store is an object in memory, which no second process can share, plainly or durably."""

SPREAD = [name for name in EVERY if name not in IN_ONE_PROCESS]


def host_with(workers, fan_out, folder):
    app = make_app(folder / "app", CASES, served="served_catalogue")
    settings = {"DURABLEGRAPH_STEPS_PER_EXECUTION": "2", "DURABLEGRAPH_FAN_OUT": fan_out}
    return Host(app, settings, workers=workers)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with host_with(1, "never", tmp_path_factory.mktemp("catalogue")) as running:
        yield running


@pytest.fixture(scope="module")
def host_of_two(tmp_path_factory):
    with host_with(2, "always", tmp_path_factory.mktemp("two")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client():
    async with Client("") as made:
        yield made


async def assert_equal_over_http(name, host, client, folder):
    case = CASES[name]
    client.url = host.url
    plain = await run_plainly(case, folder / "plain")

    driven = await client.drive(case, f"thread-{name}")

    await client.look_back(driven, plain)
    assert_same(driven, plain)
    assert in_order(executions(host.executions / name)) == in_order(plain.ran)
    if plain.unreadable is None:
        async with BlobCheckpointSaver.from_path(host.state / "objects.db", allowed_types=True) as saver:
            stored = await history_of(compiled(case.build(), saver), {"configurable": {"thread_id": driven.thread}})
        assert stored == plain.history


@pytest.mark.xdist_group("catalogue")
@pytest.mark.parametrize("name", EVERY)
async def test_a_run_over_http_equals_a_plain_run(name, host, client, tmp_path):
    await assert_equal_over_http(name, host, client, tmp_path)


@pytest.mark.xdist_group("catalogue-of-two")
@pytest.mark.parametrize("name", SPREAD)
async def test_a_run_whose_tasks_are_spread_over_two_processes_equals_a_plain_run(name, host_of_two, client, tmp_path):
    await assert_equal_over_http(name, host_of_two, client, tmp_path)


@pytest.mark.xdist_group("catalogue-of-two")
async def test_both_processes_had_their_part(host_of_two):
    pids = {each.pid for name in SPREAD for each in executions(host_of_two.executions / name)}

    assert len(pids) == 2
