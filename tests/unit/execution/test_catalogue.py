"""Every case of the catalogue, run by the real loop and the real activity, equals LangGraph's own plain run."""

import pytest

from tests.support.catalogue import CASES
from tests.unit.execution.durably import services_for
from tests.unit.execution.equal import assert_equals_plain


@pytest.mark.parametrize(
    ("fan_out", "deliveries", "nested"),
    [
        ("never", 1, False),
        ("never", 1, True),
        ("never", 2, True),
        ("always", 1, True),
        ("always", 2, True),
        ("always", 2, False),
    ],
)
@pytest.mark.parametrize("name", list(CASES))
async def test_a_durable_run_equals_a_plain_one(name, fan_out, deliveries, nested, tmp_path):
    await assert_equals_plain(
        CASES[name],
        tmp_path,
        lambda graph: services_for(graph, fan_out=fan_out, nested_steps=nested),
        deliveries=deliveries,
    )


@pytest.mark.parametrize(
    "name", sorted(CASES.keys() - {"nested_failure"})
)  # there a sibling is to run at the same time
async def test_a_run_whose_tasks_take_turns_in_one_call_equals_a_plain_one(name, tmp_path):
    await assert_equals_plain(
        CASES[name], tmp_path, lambda graph: services_for(graph, fan_out="always", fan_out_width=1), deliveries=2
    )
