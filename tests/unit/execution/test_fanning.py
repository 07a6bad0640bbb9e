"""How a super-step is divided: into few activities, with no more tasks in flight than asked, from the first one on."""

import asyncio
import json
import operator
from typing import Annotated, Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

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
    ("tasks", "width", "chunks", "at_a_time", "each"),
    [(10, 50, 10, 10, 0), (10, 3, 10, 3, 0), (200, 50, 50, 50, 1), (200, 7, 50, 7, 1), (120, 100, 40, 40, 2)],
)
async def test_no_more_tasks_are_in_flight_than_the_width(tasks, width, chunks, at_a_time, each):
    run = Durably(services_for(mapping(Flights(), tasks), fan_out="always", fan_out_width=width))
    await run.start({"out": []})
    assert (await run.carry()).status == "completed"
    plan = decided(run)
    assert (plan["chunks"], plan.get("width", 50), plan.get("at_once", 0)) == (chunks, at_a_time, each)
    assert plan.get("width", 50) * (plan.get("at_once") or plan.get("size", 1)) <= width


async def test_tasks_of_one_activity_take_turns():
    work = Flights()
    run = Durably(services_for(mapping(work, 200), fan_out="always", fan_out_width=100))
    await run.start({"out": []})
    await run.carry()
    assert work.most == 2  # here one activity after the other is executed, each with two of its four tasks at a time
    assert await run.output() == {"out": list(range(200))}


async def test_the_callers_max_concurrency_is_a_smaller_width():
    run = Durably(services_for(mapping(Flights(), 10), fan_out="always"))
    await run.start({"out": []}, config={"max_concurrency": 4})
    await run.carry()
    assert decided(run)["width"] == 4


@pytest.mark.slow
async def test_a_thousand_tasks_leave_a_small_history_of_ids():
    work = Flights()
    run = Noting(services_for(mapping(work, 1000), fan_out="always"), cut=1000)
    await run.start({"out": []})
    record = await run.carry()
    assert record.status == "completed"
    assert sorted(work.done) == list(range(1000))
    assert decided(run)["chunks"] == 50
    assert run.history < SMALL / 2


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
    assert decided(run)["width"] == 2
