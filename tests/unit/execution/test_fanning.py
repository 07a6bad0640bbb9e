"""How a super-step is divided: into few activities, with no more tasks in flight than asked, from the first one on."""

import asyncio
import json
import math
import operator
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from durablegraph.execution.fanning import MOST_CHUNKS, division
from durablegraph.model.fan_out import FanOutPolicy
from tests.unit.execution.durably import Durably, services_for

SMALL = 64 * 1024


class State(TypedDict, total=False):
    out: Annotated[list[Any], operator.add]


class Noting(Durably):
    """Executes the chunks of a fan-out as an engine does, `width` at a time, and notes what goes into history."""

    history = 0

    async def _deliver(self, activity: Any) -> Any:
        result = await super()._deliver(activity)
        self.history += len(json.dumps([activity.call, result]))
        return result


class Flights:
    """A node that notes how many of its tasks are in flight."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.done: list[int] = []

    async def __call__(self, at: int) -> State:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(20):
            await asyncio.sleep(0)
        self.now -= 1
        self.done.append(at)
        return {"out": [at]}


def mapping(work: Any, over: int, *, plan: bool = True) -> Any:
    builder = StateGraph(State).add_node("plan", lambda _: {}).add_node("work", work)
    sends = [Send("work", at) for at in range(over)]
    if plan:
        builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan" if plan else START, lambda _: sends, ["work"])
    return builder.compile()


def decided(run: Durably) -> dict[str, Any]:
    return next(decision for decision in run.decisions if decision["do"] == "fan_out")


@pytest.mark.parametrize(
    ("tasks", "width", "chunks", "size", "at_once"),
    [
        (10, 50, 10, 1, 1),
        (10, 3, 3, 4, 1),
        (200, 50, 10, 20, 5),
        (200, 7, 7, 29, 1),
        (120, 100, 15, 8, 4),
        (1000, 1000, 50, 20, 20),
        (60, 1, 1, 60, 1),
    ],
)
def test_tasks_are_divided_so_that_no_more_are_in_flight_than_the_width(tasks, width, chunks, size, at_once):
    assert division(tasks, width) == (size, at_once)
    assert math.ceil(tasks / size) == chunks
    assert chunks * at_once <= width


@given(st.integers(2, 5000), st.integers(1, 1000))
def test_no_division_is_wider_than_asked_or_has_more_activities_than_fit_into_history(tasks, width):
    size, at_once = division(tasks, width)
    chunks = math.ceil(tasks / size)
    assert chunks * at_once <= width
    assert chunks <= MOST_CHUNKS
    assert 1 <= at_once <= size
    assert size == 1 or tasks > min(width, MOST_CHUNKS)


async def test_tasks_of_one_activity_take_turns():
    work = Flights()
    run = Durably(services_for(mapping(work, 200), fan_out="always", fan_out_width=100))
    await run.start({"out": []})
    await run.carry()
    assert work.most == decided(run)["at_once"] == 4  # here one activity after the other is executed
    assert await run.output() == {"out": list(range(200))}


async def test_the_callers_max_concurrency_is_a_smaller_width():
    run = Durably(services_for(mapping(Flights(), 10), fan_out="always"))
    await run.start({"out": []}, config={"max_concurrency": 4})
    await run.carry()
    assert decided(run)["chunks"] == 4


@pytest.mark.slow
async def test_a_thousand_tasks_leave_a_small_history_of_ids():
    work = Flights()
    run = Noting(services_for(mapping(work, 1000), fan_out="always"), cut=1000)
    await run.start({"out": []})
    record = await run.carry()
    assert record.status == "completed"
    assert sorted(work.done) == list(range(1000))
    assert decided(run)["chunks"] == 10
    assert run.history < SMALL / 10


async def test_the_first_super_step_is_fanned_out_and_a_linear_graph_needs_no_activity_more():
    run = Durably(services_for(mapping(Flights(), 3, plan=False), fan_out="always"))
    await run.start({"out": []})
    assert (await run.carry()).status == "completed"
    assert [decision["do"] for decision in run.decisions] == ["fan_out", "finish"]
    assert await run.output() == {"out": [0, 1, 2]}

    linear = StateGraph(State).add_node("a", lambda _: {}).add_node("b", lambda _: {}).add_edge(START, "a")
    linear.add_edge("a", "b")
    run = Durably(services_for(linear.compile(), fan_out="always"))
    await run.start({"out": []})
    await run.carry()
    assert run.activities == 2


async def test_a_first_super_step_of_quick_nodes_stays_in_the_first_activity():
    services = services_for(mapping(Flights(), 3, plan=False), fan_out="auto")
    for number, activities in enumerate((5, 1)):  # the first run measures the node
        run = Durably(services, run_id=f"run{number}", thread_id=f"thread{number}")
        await run.start({"out": []})
        await run.carry()
        assert run.activities == activities


async def test_a_policy_of_the_run_says_whether_and_how_wide():
    run = Durably(services_for(mapping(Flights(), 10), fan_out="never"))
    await run.start({"out": []}, fan_out=FanOutPolicy(when="always", width=2))
    await run.carry()
    assert decided(run)["chunks"] == 2
