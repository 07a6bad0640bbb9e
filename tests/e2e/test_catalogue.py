"""Every case of the catalogue over HTTP, continued as new every two steps, equals LangGraph's own run of it."""

import os

import pytest
import pytest_asyncio

from durablegraph import BlobCheckpointSaver
from tests.support.catalogue import CASES
from tests.support.drive import Client, Host, assert_same, make_app
from tests.support.plain import compiled, executions, history_of, in_order, run_plainly

pytestmark = [pytest.mark.xdist_group("catalogue"), pytest.mark.asyncio(loop_scope="module")]

EVERY = os.environ.get("CATALOGUE", "").split() or list(CASES)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    app = make_app(tmp_path_factory.mktemp("catalogue") / "app", CASES, served="served_catalogue")
    with Host(app, {"DURABLEGRAPH_STEPS_PER_EXECUTION": "2"}) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(host):
    async with Client(host.url) as made:
        yield made


@pytest.mark.parametrize("name", EVERY)
async def test_a_run_over_http_equals_a_plain_run(name, host, client, tmp_path):
    case = CASES[name]
    plain = await run_plainly(case, tmp_path / "plain")

    driven = await client.drive(case, f"thread-{name}")

    await client.look_back(driven, plain)
    assert_same(driven, plain)
    assert in_order(executions(host.executions / name)) == in_order(plain.ran)
    if plain.unreadable is None:
        async with BlobCheckpointSaver.from_path(host.state / "objects.db", allowed_types=True) as saver:
            stored = await history_of(compiled(case.build(), saver), {"configurable": {"thread_id": driven.thread}})
        assert stored == plain.history
