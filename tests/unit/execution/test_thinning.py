import operator
from typing import Annotated, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from durablegraph.execution import thinning
from durablegraph.model.status import RunStatus
from durablegraph.storage.checkpoints import BlobCheckpointSaver
from durablegraph.storage.checkpoints.serde import AppSerializer
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.stores import CountingStore
from tests.unit.execution.durably import Durably, services_for


class State(TypedDict, total=False):
    n: Annotated[int, operator.add]
    text: str
    answer: str


def loop(until, *, ask_at=None, child=None):
    def step(state):
        if state.get("n", 0) == ask_at:
            return {"n": 1, "answer": interrupt("on?")}
        return {"n": 1, "text": f"{state.get('n', 0)} " * 50}

    builder = StateGraph(State)
    builder.add_node("step", child or step)
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", lambda state: "step" if state["n"] < until else END, ["step", END])
    return builder


async def size_of(objects):
    return sum([entry.size async for entry in objects.list("")])


async def test_a_run_of_500_super_steps_takes_up_as_much_room_at_its_end_as_after_200(monkeypatch):
    sizes, objects = [], MemoryObjectStore()
    thin = thinning.thin

    async def noted(saver, thread_id, keep_last, at, outcome):
        await thin(saver, thread_id, keep_last, at, outcome)
        if outcome.step % 100 == 50:
            sizes.append(await size_of(objects))

    monkeypatch.setattr("durablegraph.execution.advance.thin", noted)
    graph = loop(500).compile()
    run = Durably(services_for(graph, objects=objects, keep_last=3))
    await run.start({"n": 0})
    record = await run.carry()
    assert record.status is RunStatus.COMPLETED, record.error
    assert await run.output() == graph.invoke({"n": 0}, {"recursion_limit": 1000})
    assert len(sizes) == 5
    assert max(sizes[1:]) < 1.1 * min(sizes[1:])


async def test_without_the_setting_every_checkpoint_stays():
    run = Durably(services_for(loop(150).compile()))
    await run.start({"n": 0})
    await run.carry()
    history = [item async for item in run.services.history("g", "thread", limit=1000)]
    assert len(history) == 152


@pytest.mark.parametrize("steps", [1, 7], ids=["one step an activity", "seven"])
async def test_a_run_that_is_thinned_out_all_the_time_waits_is_revived_and_keeps_its_limit(monkeypatch, steps):
    monkeypatch.setattr(thinning, "EVERY", 3)
    objects = MemoryObjectStore()
    graph = loop(30, ask_at=20).compile()
    services = services_for(graph, objects=objects, keep_last=1, steps_per_activity=steps)
    first = Durably(services, run_id="first", deliveries=2)
    await first.start({"n": 0})
    assert (await first.carry(lambda _: "yes")).status is RunStatus.COMPLETED
    second = Durably(services, run_id="second", deliveries=2)
    await second.start({"n": -5}, recursion_limit=12)
    await second.carry(lambda _: "yes")
    assert (await second.record()).error is None or (await second.record()).error.type != "GraphRecursionError"
    third = Durably(services, run_id="third", deliveries=2)
    await third.start({"n": -25}, recursion_limit=12)
    await third.carry(lambda _: "yes")
    assert (await third.record()).error.type == "GraphRecursionError"


async def test_a_run_whose_instance_died_goes_on_though_its_beginning_is_gone(monkeypatch):
    monkeypatch.setattr(thinning, "EVERY", 3)
    graph = loop(40, ask_at=20).compile()
    services = services_for(graph, keep_last=2)
    before = Durably(services, run_id="before")
    await before.start({"n": 30, "answer": "0"})
    await before.carry()
    run = Durably(services, run_id="run")
    await run.start({"n": -30}, recursion_limit=60)
    assert (await run.carry()).status is RunStatus.INTERRUPTED
    await run.give("yes")
    revived = Durably(services, run_id="run")  # from an empty ticket, as the supervisor starts it
    record = await revived.carry(lambda _: "yes")
    assert record.status is RunStatus.COMPLETED, record.error


async def test_subgraphs_of_steps_that_are_gone_take_up_no_room(monkeypatch):
    monkeypatch.setattr(thinning, "EVERY", 10)
    inner = StateGraph(State)
    inner.add_node("one", lambda _: {"n": 1})
    inner.add_node("two", lambda _: {"n": 0})
    inner.add_edge(START, "one")
    inner.add_edge("one", "two")
    graph = loop(45, child=inner.compile()).compile()
    objects = MemoryObjectStore()
    run = Durably(services_for(graph, objects=objects, keep_last=2))
    await run.start({"n": 0})
    record = await run.carry()
    assert record.status is RunStatus.COMPLETED, record.error
    heads = [entry.key async for entry in objects.list("h/")]
    assert len(heads) <= 14


async def test_it_costs_less_than_a_tenth_of_a_request_a_super_step():
    async def spent(**settings):
        counting = CountingStore(MemoryObjectStore())
        saver = BlobCheckpointSaver(counting, serde=AppSerializer())
        run = Durably(services_for(loop(300).compile(), objects=MemoryObjectStore(), saver=saver, **settings))
        await run.start({"n": 0})
        await run.carry()
        return counting.tally.total

    assert await spent(keep_last=5) - await spent() <= 0.1 * 300
