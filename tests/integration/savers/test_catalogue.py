"""Every case of the catalogue on a saver that is not ours equals LangGraph's own plain run."""

import uuid

import pytest

from tests.support.catalogue import CASES
from tests.unit.execution.durably import services_for
from tests.unit.execution.equal import assert_equals_plain


async def assert_equals_plain_on(saver, name, folder, *, deliveries, fan_out):
    thread = uuid.uuid4().hex
    services = await assert_equals_plain(
        CASES[name],
        folder,
        lambda graph: services_for(graph, checkpointer=saver, fan_out=fan_out),
        deliveries=deliveries,
        thread_id=thread,
    )
    assert [each async for each in services.saver.alist({"configurable": {"thread_id": thread}})] == []


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
@pytest.mark.parametrize(("deliveries", "fan_out"), [(1, "never"), (2, "never"), (2, "always")])
@pytest.mark.parametrize("name", list(CASES))
async def test_a_run_on_postgres_equals_a_plain_one(name, deliveries, fan_out, saver, tmp_path):
    await assert_equals_plain_on(saver, name, tmp_path, deliveries=deliveries, fan_out=fan_out)


@pytest.mark.parametrize("kind", ["sqlite", "sync sqlite", "sync postgres"], indirect=True)
@pytest.mark.parametrize("name", list(CASES))
async def test_a_run_on_another_saver_equals_a_plain_one(name, saver, tmp_path):
    await assert_equals_plain_on(saver, name, tmp_path, deliveries=2, fan_out="never")
