"""A run goes on by the loop that its last activity left standing, or from the store: the same comes of both."""

import asyncio
import operator
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt

from durablegraph.execution.advance import advance
from durablegraph.graphs.contract import StepRequest
from durablegraph.graphs.superstep import SuperStep, carried_out
from durablegraph.model.messages import Advance, AdvanceCall, Wait
from durablegraph.model.status import RunStatus
from durablegraph.storage import lifecycle
from durablegraph.storage.checkpoints import ConcurrentWriterError
from tests.unit.execution.durably import NOW, Durably, services_for
from tests.unit.graphs.driving import chain


class State(TypedDict, total=False):
    n: int
    seen: Annotated[list[Any], operator.add]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of all super-steps that were begun from the store, in their order."""
    kinds: list[str] = []
    made = SuperStep.__init__

    def noting(self: SuperStep, graph: Any, saver: Any, request: Any, **more: Any) -> None:
        kinds.append(request.kind)
        made(self, graph, saver, request, **more)

    monkeypatch.setattr(SuperStep, "__init__", noting)
    return kinds


def loop(until: int, ran: list[int] | None = None, act: Any = None) -> Any:
    def count(state: State) -> State:
        n = state.get("n", 0) + 1
        if ran is not None:
            ran.append(n)
        if act is not None:
            act(n)
        return {"n": n, "seen": [n]}

    builder = StateGraph(State).add_node("count", count).add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: END if state["n"] >= until else "count", ["count", END])
    return builder.compile()


async def called(services: Any, call: AdvanceCall) -> Any:
    return await advance(services, call, lambda: NOW)


async def started(services: Any) -> AdvanceCall:
    await Durably(services).start({"n": 0, "seen": []})
    return AdvanceCall(run_id="run")


def after(decision: Any) -> AdvanceCall:
    assert isinstance(decision, Advance)
    return AdvanceCall(run_id="run", cursor=decision.cursor)


async def test_a_worker_begins_a_run_once_and_goes_on_with_its_loop(begun: list[str]) -> None:
    run = Durably(services_for(loop(5)))
    await run.start({"n": 0, "seen": []})
    assert (await run.carry()).status is RunStatus.COMPLETED
    assert await run.output() == loop(5).invoke({"n": 0, "seen": []})
    assert (run.activities, begun) == (5, ["start"])


async def test_without_seconds_every_activity_starts_from_the_store(begun: list[str]) -> None:
    run = Durably(services_for(loop(5), sticky_seconds=0))
    await run.start({"n": 0, "seen": []})
    assert (await run.carry()).status is RunStatus.COMPLETED
    assert await run.output() == loop(5).invoke({"n": 0, "seen": []})
    assert begun == ["start", *["advance"] * 4]


async def test_an_answer_begins_from_the_store_and_the_steps_after_it_go_on(begun: list[str]) -> None:
    def ask(n: int) -> None:
        if n == 3:
            interrupt("on?")

    run = Durably(services_for(loop(6, act=ask)))
    await run.start({"n": 0, "seen": []})
    assert (await run.carry(lambda _: True)).status is RunStatus.COMPLETED
    assert (await run.output())["seen"] == [1, 2, 3, 4, 5, 6]
    assert begun == ["start", "resume"]


async def test_a_second_delivery_executes_nothing_and_the_run_goes_on_from_the_store(begun: list[str]) -> None:
    ran: list[int] = []
    services = services_for(loop(3, ran))
    call = await started(services)
    first = await called(services, call)
    assert await called(services, call) == first
    assert ran == [1]
    second = await called(services, after(first))
    assert ran == [1, 2]
    assert isinstance(second, Advance)
    assert begun == ["start", "start", "advance"]


async def test_a_run_that_went_on_elsewhere_is_not_held_back_by_the_loop_left_behind() -> None:
    ran: list[int] = []
    here, there = (services_for(loop(4, ran)) for _ in range(2))
    there = services_for(loop(4, ran), objects=here.objects)
    first = await called(here, await started(here))
    second = await called(there, after(first))
    third = await called(here, after(second))  # the loop that stands here stands a step behind
    assert ran == [1, 2, 3]
    fourth = await called(there, after(third))
    assert fourth.status is RunStatus.COMPLETED
    assert ran == [1, 2, 3, 4]


async def test_a_loop_that_was_overtaken_commits_nothing() -> None:
    here = services_for(loop(3))
    there = services_for(loop(3), objects=here.objects)
    first = await called(here, await started(here))
    place = await here.sticky.take("run", first.cursor)  # a zombie that has taken its loop, and then is slow
    assert place.step is not None
    second = await called(there, after(first))
    at = first.cursor
    assert await place.step.go_on(
        StepRequest(thread_id="thread", run_id="run", kind="advance", expect=at.checkpoint, stop=at.stop)
    )
    with pytest.raises(ConcurrentWriterError):
        await carried_out(place.step)
    await here.sticky.give_back("run", place)
    saver = there.saver_of(await there.graphs.load("g"))
    head = await saver.aget_tuple({"configurable": {"thread_id": "thread", "checkpoint_ns": ""}})
    assert head is not None
    assert head.checkpoint["id"] == second.cursor.checkpoint


async def test_a_failing_node_ends_the_loop_with_the_run() -> None:
    def fail(n: int) -> None:
        if n == 2:
            raise ValueError("two")

    services = services_for(loop(3, act=fail))
    first = await called(services, await started(services))
    failed = await called(services, after(first))
    assert failed.status is RunStatus.FAILED
    assert not services.sticky.standing


async def test_a_cancelled_run_executes_no_node_more() -> None:
    ran: list[int] = []
    services = services_for(loop(3, ran))
    first = await called(services, await started(services))
    found = await services.runs.load("run")
    assert found is not None
    await lifecycle.request_cancel(services.runs, found.value, NOW)
    ended = await called(services, after(first))
    assert ended.status is RunStatus.CANCELLED
    assert ran == [1]


async def test_a_loop_before_a_fan_out_is_ended(begun: list[str]) -> None:
    def many(state: State) -> list[Send]:
        return [Send("task", {"n": n}) for n in range(3)]

    builder = StateGraph(State).add_node("begin", lambda _: {}).add_node("task", lambda state: {"seen": [state["n"]]})
    builder.add_edge(START, "begin").add_conditional_edges("begin", many, ["task"])
    graph = builder.compile()
    services = services_for(graph, fan_out="always")
    run = Durably(services)
    await run.start({"seen": []})
    assert (await run.carry()).status is RunStatus.COMPLETED
    assert (await run.output())["seen"] == [0, 1, 2]
    assert begun == ["start", "advance"]
    assert not services.sticky.standing


async def test_a_loop_is_ended_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: dict[float, Callable[[], None]] = {}

    def later(seconds: float, act: Callable[..., None], *given: Any) -> asyncio.TimerHandle:
        timers[seconds] = partial(act, *given)
        return asyncio.TimerHandle(seconds, timers[seconds], (), asyncio.get_running_loop())

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", later)
    services = services_for(loop(3), sticky_seconds=7)
    first = await called(services, await started(services))
    assert services.sticky.standing == ("run",)
    timers[7]()
    await asyncio.sleep(0)
    assert not services.sticky.standing
    assert isinstance(await called(services, after(first)), Advance)


async def test_the_oldest_loop_gives_way() -> None:
    services = services_for(loop(3), sticky_runs=2)
    for name in ("a", "b", "c"):
        run = Durably(services, run_id=name, thread_id=name)
        await run.start({"n": 0, "seen": []})
        await called(services, AdvanceCall(run_id=name))
    assert services.sticky.standing == ("b", "c")


def test_loops_of_an_event_loop_that_is_over_are_forgotten() -> None:
    services = services_for(loop(3))

    async def first() -> Any:
        return await called(services, await started(services))

    decision = asyncio.run(first())
    assert isinstance(asyncio.run(called(services, after(decision))), Advance)


def asking(state: State) -> State:
    return {"n": interrupt("which?")} if state["n"] else {"n": 1}


def within(graph: Any) -> Any:
    return chain(("begin", lambda _: {}), ("inner", graph), state=State)


@pytest.mark.parametrize(
    ("graph", "request_"),
    [
        (loop(4), {"interrupt_before": ["count"]}),
        (loop(4), {"interrupt_after": ["never"]}),
        (chain(("a", asking), ("b", asking), state=State, interrupt_before=["b"]), {}),
        (within(chain(("a", asking), ("b", asking), state=State)), {}),
        (loop(4), {"fan_out": {"failures": "best_effort"}}),
        (loop(1), {}),
    ],
    ids=["breakpoint", "breakpoint after", "own breakpoint", "subgraph that steps", "tasks may fail", "end"],
)
async def test_where_a_loop_must_not_stand_none_does(graph: Any, request_: dict[str, Any]) -> None:
    services = services_for(graph)
    await Durably(services).start({"n": 0, "seen": []}, **request_)
    await called(services, AdvanceCall(run_id="run"))
    assert not services.sticky.standing


async def test_a_run_that_waits_keeps_no_loop() -> None:
    services = services_for(chain(("a", asking), ("b", asking), state=State))
    call = await started(services)
    first = await called(services, call)
    assert services.sticky.standing
    assert isinstance(await called(services, after(first)), Wait)
    assert not services.sticky.standing
