"""A call that leaves the next tasks to a fan-out tells them without having LangGraph prepare them first."""

from dataclasses import replace
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from durablegraph.graphs.contract import StepOutcome, StreamOptions
from tests.unit.graphs.driving import Driver, FullDisk
from tests.unit.graphs.test_chunking import SENDS_ALONE, graph, mapped


async def left(made: Any, saver: InMemorySaver | None = None, **changes: Any) -> StepOutcome:
    """What the first super-step's call comes to."""
    driver = Driver(made, saver or InMemorySaver())
    return await driver.deliver(driver.request("start", **{"input": {}, "fan_out_from": 2, **changes}))


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("shape", SENDS_ALONE)
async def test_the_tasks_are_told_and_none_is_prepared(shape: str, sticky: bool, prepared: list[str]) -> None:
    outcome = await left(SENDS_ALONE[shape](), sticky=sticky)
    assert [task.name for task in outcome.tasks] == ["sent" if at % 3 == 0 else "other" for at in range(10)]
    assert "sent" not in prepared


@pytest.mark.parametrize("shape", SENDS_ALONE)
async def test_they_are_told_as_a_call_that_prepares_them_tells_them(shape: str) -> None:
    driver = Driver(SENDS_ALONE[shape](), InMemorySaver())
    start = driver.request("start", input={}, fan_out_from=2)
    told = await driver.deliver(start)
    described = await driver.deliver(start)  # a second delivery, which asks LangGraph
    assert not described.executed
    assert replace(described, executed=True, commits=1, values=None) == told


@pytest.mark.parametrize(
    "wanted",
    [
        {"stream": StreamOptions(modes="checkpoints")},
        {"with_values": True},
        {"interrupt_before": ["other"]},
        {"fan_out_from": 11},
        {"fan_out_from": None},
        {"together": frozenset({"sent", "other"})},
    ],
    ids=lambda wanted: next(iter(wanted)),
)
async def test_they_are_prepared_where_somebody_sees_them_or_they_are_not_left(
    wanted: dict[str, Any], prepared: list[str]
) -> None:
    await left(mapped().compile(), **wanted)
    assert prepared.count("sent") >= 4


async def test_they_are_prepared_where_edges_make_tasks_beside_them(prepared: list[str]) -> None:
    await left(graph())
    assert prepared.count("sent") == 7


async def test_what_could_not_be_stored_of_the_finished_task_is_told() -> None:
    with pytest.raises(OSError, match="the disk is full"):
        await left(mapped(begin=lambda _: {"seen": ["b"]}).compile(), FullDisk())
