"""What goes wrong while a loop stands or goes on ends as it does where every activity starts from the store."""

import asyncio
import json
import re
from itertools import count
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, Send, interrupt
from typing_extensions import override

from durablegraph.graphs.contract import StepRequest
from durablegraph.graphs.deadline import GRACE, TimeBudget
from durablegraph.graphs.superstep import SuperStep, carried_out
from durablegraph.model.messages import Advance
from durablegraph.model.status import RunStatus
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.stores import WRITING, CountingStore, FaultStore, When, crash, fail
from tests.unit.execution.durably import Durably, services_for
from tests.unit.execution.test_recording import Mortal, log_of, split
from tests.unit.execution.test_sticky import State, after, called, loop, started
from tests.unit.graphs.driving import chain

MODES = ("values", "updates", "custom", "tasks", "checkpoints", "debug")


def over_when(begun: asyncio.Event) -> TimeBudget:
    """A budget that is spent once `begun` is set; what is to stop then gets no time to do so."""

    async def sleep(seconds: float) -> None:
        if seconds != GRACE:
            await begun.wait()

    return TimeBudget(soft=1, hard=2, sleep=sleep)


async def others_end() -> None:
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})


@pytest.mark.parametrize("seconds", [0, 10])
async def test_a_node_that_holds_out_against_its_time_budget_is_left_behind_and_none_follows_it(seconds: float) -> None:
    ran, begun, held = [], asyncio.Event(), asyncio.Event()

    async def count(state: State) -> State:
        n = state["n"] + 1
        ran.append(n)
        if ran == [1, 2]:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await held.wait()
        return {"n": n, "seen": [n]}

    builder = StateGraph(State).add_node("count", count).add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: END if state["n"] > 3 else "count", ["count", END])
    services = services_for(builder.compile(), sticky_seconds=seconds)
    services.time_budget = over_when(begun)
    first = await called(services, await started(services))
    cut = await called(services, after(first))
    assert isinstance(cut, Advance)
    assert cut.cursor == first.cursor.model_copy(update={"cut_short": 1})
    held.set()
    await others_end()
    assert ran == [1, 2]
    begun.clear()
    third = await called(services, after(cut))
    assert ran == [1, 2, 2]
    assert third.cursor.step == 2


async def test_a_step_that_goes_on_and_stores_nothing_has_not_moved() -> None:
    begun = asyncio.Event()
    inner = [StateGraph(State).add_node("inner", lambda _: {"seen": ["inner"]}).add_edge(START, "inner").compile()]

    async def wait(_: State) -> State:
        begun.set()
        await asyncio.Event().wait()
        return {}

    async def call(_: State) -> Any:
        return await inner[0].ainvoke({"seen": []})  # stores checkpoints of its own

    services = services_for(chain(("call", call), ("wait", wait), state=State))
    services.time_budget = over_when(begun)
    cut = await called(services, after(await called(services, await started(services))))
    assert cut.cursor.cut_short == 1


class Slow(InMemorySaver):
    """Stores writes later than the checkpoint that comes after them, and fails once at those of the count `bad`."""

    bad: int | None = None
    pending = 0

    @override
    async def aput_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        self.pending += 1
        try:
            if ("n", self.bad) in writes:
                self.bad = None
                raise OSError("the connection broke")
            for _ in range(50):
                await asyncio.sleep(0)
            self.put_writes(config, writes, task_id, task_path)
        finally:
            self.pending -= 1


async def test_an_activity_ends_when_all_that_its_step_wrote_is_stored() -> None:
    saver = Slow()
    services = services_for(loop(4), checkpointer=saver)
    call = await started(services)
    for _ in range(3):
        call = after(await called(services, call))
        assert services.sticky.standing
        assert saver.pending == 0


async def test_a_write_that_failed_beside_a_commit_is_told_by_its_own_activity() -> None:
    ran: list[int] = []
    saver = Slow()
    saver.bad = 2
    services = services_for(loop(4, ran), checkpointer=saver)
    first = await called(services, await started(services))
    with pytest.raises(OSError, match="the connection broke"):
        await called(services, after(first))
    assert not services.sticky.standing
    third = await called(services, after(await called(services, after(first))))
    assert (await called(services, after(third))).status is RunStatus.COMPLETED
    assert ran == [1, 2, 3, 4]


async def test_with_a_saver_of_the_graphs_own_no_node_of_a_super_step_committed_elsewhere_is_executed() -> None:
    ran: list[int] = []
    saver = InMemorySaver()
    here = services_for(loop(4, ran), checkpointer=saver)
    there = services_for(loop(4, ran), checkpointer=saver, objects=here.objects)
    first = await called(here, await started(here))
    second = await called(there, after(first))
    assert here.sticky.standing
    assert await called(here, after(first)) == second
    assert ran == [1, 2]


async def test_no_loop_stands_where_a_node_has_a_cache() -> None:
    builder = StateGraph(State).add_node("a", lambda _: {"n": 1})
    builder.add_node("b", lambda _: {"n": 2}, cache_policy=CachePolicy())
    services = services_for(builder.add_edge(START, "a").add_edge("a", "b").compile(cache=InMemoryCache()))
    await called(services, await started(services))
    assert not services.sticky.standing


async def test_a_loop_that_is_ended_stores_nothing() -> None:
    store = CountingStore(MemoryObjectStore())
    services = services_for(loop(4), objects=store)
    await called(services, await started(services))
    assert services.sticky.standing
    store.start_anew()
    await services.sticky.give_back("run", await services.sticky.take("run", None))
    assert not services.sticky.standing
    assert store.tally.total == 0


RAN: list[str] = []


def forks() -> Any:
    """Two branches, one slower, then tasks of `Send`, then a question."""

    def node(name: str, turns: int = 0) -> Any:
        async def run(state: State) -> State:
            del state
            RAN.append(name)
            for _ in range(turns):
                await asyncio.sleep(0)
            return {"seen": [interrupt("which?") if name == "ask" else name]}

        return run

    builder = StateGraph(State)
    for name, turns in {"a": 0, "b1": 0, "b2": 200, "c": 0, "each": 0, "ask": 0, "z": 0}.items():
        builder.add_node(name, node(name, turns))
    builder.add_edge(START, "a").add_edge("a", "b1").add_edge("a", "b2").add_edge(["b1", "b2"], "c")
    builder.add_conditional_edges("c", lambda _: [Send("each", {})] * 2, ["each"])
    return builder.add_edge("each", "ask").add_edge("ask", "z").compile()


async def carried(at: int, when: When, fault: Any) -> tuple[Any, FaultStore, Mortal]:
    calm = services_for(forks())
    store = FaultStore(calm.objects, at=at, when=when, fault=fault, kinds=WRITING)
    run = Mortal(calm, worker=services_for(forks(), objects=store), graph=forks)
    RAN.clear()
    await run.start({"n": 0, "seen": []})
    assert (await run.carry(lambda _: "word")).status is RunStatus.COMPLETED
    return await run.output(), store, run


@pytest.mark.parametrize("fault", [crash, fail])
@pytest.mark.parametrize("when", list(When))
async def test_a_fault_at_any_write_repeats_no_more_than_one_super_step(when: When, fault: Any) -> None:
    expected, _, _ = await carried(0, when, fault)
    calm = len(RAN)
    assert expected["seen"] == ["a", "b1", "b2", "c", "each", "each", "word", "z"]
    for at in count(1):
        output, faulty, run = await carried(at, when, fault)
        if faulty.seen < at:
            break  # how many writes go into one commit depends on when they come: some runs make one less
        assert run.deaths + len(run.errors) == 1
        assert output == expected
        assert len(RAN) <= calm + 2, (at, RAN)
    assert at > len(expected["seen"])


async def test_of_two_deliveries_that_end_beside_each_other_one_keeps_its_loop() -> None:
    services = services_for(loop(4))
    first = await called(services, await started(services))
    slow = await services.sticky.take("run", first.cursor)
    second = await called(services, after(first))
    slow.at = first.cursor
    await services.sticky.give_back("run", slow)
    assert services.sticky.standing == ("run",)
    assert slow.step is not None
    assert not slow.step.stands
    assert (await services.sticky.take("run", second.cursor)).step is not None


async def test_a_loop_that_cannot_be_ended_in_order_fails_no_activity(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: SuperStep) -> None:
        raise ValueError("a callback's")

    services = services_for(loop(4))
    first = await called(services, await started(services))
    with monkeypatch.context() as patched:
        patched.setattr(SuperStep, "leave", fail)
        await services.sticky.give_back("run", await services.sticky.take("run", None))
    assert "could not be ended in order" in caplog.text
    assert isinstance(await called(services, after(first)), Advance)


async def events_of(seconds: float, deliveries: int, modes: tuple[str, ...]) -> list[Any]:
    """What a run with parallel branches and a question tells; ids are numbered as they come, times left out."""
    services = services_for(split(), sticky_seconds=seconds)
    run = Durably(services, deliveries=deliveries)
    await run.start({"out": []}, stream_mode=modes)
    assert (await run.carry(lambda _: "word")).status is RunStatus.COMPLETED
    told = [
        [offset, each.name, each.step, each.attempt, each.commits, each.by, each.data]
        for offset, each in await log_of(services)
    ]
    ids: dict[str, str] = {}
    text = re.sub(r'"(timestamp|ts|created_at)": "[^"]*"', "", json.dumps(told))
    id_ = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b|\"[0-9a-f]{12}\""
    return re.sub(id_, lambda found: ids.setdefault(found[0], f"id {len(ids)}"), text).split("], [")


@pytest.mark.parametrize("deliveries", [1, 2])
@pytest.mark.parametrize("modes", [MODES, ("debug",), ("checkpoints", "debug"), ("tasks", "values")])
async def test_the_event_log_is_that_of_a_run_from_the_store(modes: tuple[str, ...], deliveries: int) -> None:
    assert await events_of(10, deliveries, modes) == await events_of(0, deliveries, modes)


async def test_a_loop_at_its_place_begins_no_node_until_it_goes_on() -> None:
    ran: list[int] = []
    step = SuperStep(
        loop(3, ran),
        InMemorySaver(),
        StepRequest(thread_id="t", run_id="r", kind="start", expect=None, input={"n": 0, "seen": []}, sticky=True),
    )
    outcome = await carried_out(step)
    assert (step.stands, outcome.next, ran) == (True, ("count",), [1])
    await step.leave()
    assert (step.stands, ran) == (False, [1])
