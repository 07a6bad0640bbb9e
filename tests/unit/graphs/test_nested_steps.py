"""Super-steps of declared subgraphs are calls of their own, and nothing of that shows."""

import asyncio
import operator
from collections import Counter
from dataclasses import replace
from typing import Annotated, Any

import pytest
from langgraph.errors import GraphDrained
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from durablegraph.errors import StaleHead
from durablegraph.graphs.contract import StepStatus, StreamOptions
from durablegraph.graphs.deadline import CutShort, TimeBudget
from durablegraph.graphs.fanout import chunks, run_tasks
from durablegraph.graphs.nested import graph_in
from durablegraph.graphs.superstep import run_superstep
from tests.support.hours import Hours
from tests.unit.graphs.driving import CrashError, Driver, Words, chain
from tests.unit.graphs.test_superstep_crashes import crash_on


class Inner(Words, total=False):
    inside: Annotated[list[Any], operator.add]


def counted(count: Counter[str], name: str) -> Any:
    async def node(state: Any) -> Any:
        count[name] += 1
        return {"out": [name]}

    return node


def steps(count: Counter[str], word: str, number: int, **compiled: Any) -> Any:
    names = [f"{word}{at}" for at in range(1, number + 1)]
    return chain(*((name, counted(count, name)) for name in names), **compiled)


def beside(**nodes: Any) -> Any:
    builder = StateGraph(Words)
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(START, name)
    return builder.compile()


def nested(graph: Any, saver: Any, **request: Any) -> Driver:
    return Driver(graph, saver, nested=True, **request)


async def test_a_subgraph_of_five_super_steps_takes_five_calls_and_each_node_runs_once(saver: Any) -> None:
    count: Counter[str] = Counter()
    graph = chain(("a", counted(count, "a")), ("sub", steps(count, "s", 5)), ("b", counted(count, "b")))
    driver = nested(graph, saver)
    values = await driver.run({"out": []})
    assert values == await graph.ainvoke({"out": []})
    assert {name: number for name, number in count.items() if number != 2} == {}
    assert len(driver.outcomes) == 7
    assert [outcome.again for outcome in driver.outcomes] == [False, *[True] * 4, False, False]


async def test_every_delivery_twice_executes_nothing_twice(saver: Any) -> None:
    count: Counter[str] = Counter()

    def ask(_: Words) -> Words:
        return {"out": [interrupt("q")]}

    graph = beside(one=steps(count, "o", 3), two=steps(count, "t", 4), ask=ask)
    driver = nested(graph, saver)
    values = await driver.run({"out": []}, answers=str.upper, twice=True)
    assert values["out"].count("Q") == 1
    assert set(count.values()) == {1}


async def test_a_late_delivery_of_an_earlier_call_executes_nothing(saver: Any) -> None:
    count: Counter[str] = Counter()
    driver = nested(chain(("a", counted(count, "a")), ("sub", steps(count, "s", 5))), saver)
    await driver.deliver(driver.request("start", input={"out": []}))
    early = driver.request("advance")
    for _ in range(3):
        await driver.deliver(replace(early, inside=driver.last.inside))
    before = dict(count)
    late = await run_superstep(driver.graph, saver, early)
    assert (late.status, late.again, late.inside) == (StepStatus.ADVANCE, True, driver.last.inside)
    assert not late.executed
    assert count == before


@pytest.mark.parametrize("method", ["aput", "aput_writes"])
@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("number", range(16))
async def test_a_crash_at_any_save_repeats_no_committed_step(saver: Any, method: str, after: bool, number: int) -> None:
    count: Counter[str] = Counter()
    deep = chain(("d1", counted(count, "d1")), ("d2", counted(count, "d2")))
    sub = chain(("s1", counted(count, "s1")), ("deep", deep), ("s2", counted(count, "s2")))
    graph = beside(sub=sub, other=steps(count, "o", 2))
    seen: list[int] = []

    def due(*_: Any) -> bool:
        seen.append(1)
        return len(seen) == number + 1

    crash_on(saver, method, due, after=after)
    driver = nested(graph, saver)
    plain = await graph.ainvoke({"out": []})
    count.clear()
    assert await driver.run({"out": []}) == plain
    assert set(count) == {"d1", "d2", "s1", "s2", "o1", "o2"}
    assert count.total() <= 6 + 2 * driver.crashes  # a step whose writes the crash kept from storage, beside another


async def test_an_overtaken_attempt_cannot_commit_inside_a_subgraph(saver: Any) -> None:
    count: Counter[str] = Counter()
    box: dict[str, Any] = {}

    async def s2(_: Words) -> Words:
        count["s2"] += 1
        if count["s2"] == 1:
            box["overtaking"] = await run_superstep(driver.graph, saver, box["request"])
        return {"out": ["s2"]}

    sub = chain(("s1", counted(count, "s1")), ("s2", s2), ("s3", counted(count, "s3")))
    driver = nested(chain(("sub", sub)), saver)
    await driver.deliver(driver.request("start", input={"out": []}))
    box["request"] = driver.request("advance", inside=driver.last.inside)
    with pytest.raises(StaleHead):
        await run_superstep(driver.graph, saver, box["request"])
    assert await driver.run_on() == {"out": ["s1", "s2", "s3"]}
    assert count == {"s1": 1, "s2": 2, "s3": 1}


async def test_a_graph_that_a_node_calls_is_never_drained(saver: Any) -> None:
    count: Counter[str] = Counter()
    called = steps(count, "c", 4)

    async def call(_: Words) -> Words:
        count["call"] += 1
        await asyncio.sleep(0)
        return {"out": (await called.ainvoke({"out": []}))["out"]}

    driver = nested(beside(sub=steps(count, "s", 3), call=call), saver)
    await driver.run({"out": []})
    assert set(count.values()) == {1}


def test_a_namespace_is_a_declared_subgraph_s_only_if_every_level_is() -> None:
    deep = chain(("d", lambda _: {}))
    sub = chain(("deep", deep), ("node", lambda _: {}))
    graph = chain(("sub", sub), ("off", chain(("x", lambda _: {}), checkpointer=False)), ("node", lambda _: {}))
    assert graph_in(graph, "sub:1") is sub
    assert graph_in(graph, "sub:1|deep:2") is deep
    assert graph_in(graph, "sub") is sub
    for other in ("node:1", "sub:1|node:2", "sub:1|1", "off:1", "unknown:1", "sub:1|deep:2|d:3"):
        assert graph_in(graph, other) is None


@pytest.mark.parametrize("modes", ["updates", "values", "tasks", "checkpoints", "custom", "debug"])
async def test_no_part_of_the_stream_is_shown_twice(modes: Any) -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    def ask(_: Words) -> Words:
        return {"out": [interrupt("q")]}

    def graph() -> Any:
        deep = steps(Counter(), "d", 2)
        sub = chain(("s1", counted(Counter(), "s1")), ("deep", deep), ("s2", counted(Counter(), "s2")))
        return beside(sub=sub, ask=ask)

    plain = graph()
    plain.checkpointer = InMemorySaver()
    options: Any = {"stream_mode": [modes], "subgraphs": True, "durability": "sync"}
    parts = [part async for part in plain.astream({"out": []}, {"configurable": {"thread_id": "t"}}, **options)]
    driver = nested(graph(), InMemorySaver(), stream=StreamOptions(modes=[modes]))
    await driver.deliver(driver.request("start", input={"out": []}))
    while driver.last.status is StepStatus.ADVANCE:
        again = driver.last.again
        request = replace(driver.sent, inside=driver.last.inside) if again else driver.request("advance")
        await driver.deliver(request)
    assert sorted(map(_shape, driver.parts)) == sorted(map(_shape, parts))


def _shape(part: Any) -> str:
    """A part without ids and times, which differ from run to run."""
    inside, mode, payload = part
    names = tuple(place.split(":")[0] for place in inside)
    if mode == "debug":
        mode, payload = f"debug {payload['type']}", payload["payload"]
    if mode.endswith(("checkpoints", "checkpoint")):
        return repr((names, mode, payload["values"], payload["next"], payload["metadata"]["step"]))
    if "task" in mode:
        return repr((names, mode, payload["name"], payload.get("result"), len(payload.get("interrupts", ()))))
    if isinstance(payload, dict) and "__interrupt__" in payload:
        return repr((names, mode, [each.value for each in payload["__interrupt__"]]))
    return repr((names, mode, payload))


async def test_a_caller_s_drain_stops_subgraphs_too(saver: Any) -> None:
    from langgraph.runtime import RunControl

    count: Counter[str] = Counter()
    control = RunControl()

    async def s1(_: Words) -> Words:
        control.request_drain("shutdown")
        return {"out": ["s1"]}

    driver = nested(chain(("sub", chain(("s1", s1), ("s2", counted(count, "s2"))))), saver, steps=99)
    driver.also = {"control": control}
    await driver.deliver(driver.request("start", input={"out": []}))
    assert driver.last.status is StepStatus.ADVANCE
    assert not count
    driver.also = {}
    assert await driver.run_on() == {"out": ["s1", "s2"]}


async def test_a_drain_of_a_graph_of_the_node_s_own_is_a_fault(saver: Any) -> None:
    from durablegraph.errors import NodeFailed

    def node(_: Words) -> Words:
        raise GraphDrained("mine")

    driver = nested(beside(node=node, sub=steps(Counter(), "s", 1)), saver)
    with pytest.raises(NodeFailed):
        await driver.run({"out": []})


async def test_several_steps_a_call_count_those_of_subgraphs(saver: Any) -> None:
    count: Counter[str] = Counter()
    graph = chain(("a", counted(count, "a")), ("sub", steps(count, "s", 5)), ("b", counted(count, "b")))
    driver = nested(graph, saver, steps=3)
    await driver.run({"out": []})
    assert set(count.values()) == {1}
    assert len(driver.outcomes) == 3


async def test_a_call_out_of_time_is_asked_to_stop_then_stopped_and_the_next_goes_on(saver: Any) -> None:
    count: Counter[str] = Counter()

    async def slow(_: Words) -> Words:
        count["slow"] += 1
        if count["slow"] == 1:
            await hours.for_ever(after=1000)
        return {"out": ["slow"]}

    hours = Hours()
    sub = chain(("s1", counted(count, "s1")), ("slow", slow), ("s2", counted(count, "s2")))
    driver = nested(beside(sub=sub, quick=counted(count, "quick")), saver, steps=99)
    driver.also = {"time_budget": TimeBudget(soft=270, hard=540, sleep=hours.sleep, clock=lambda: hours.now)}
    start = driver.request("start", input={"out": []})
    with pytest.raises(CutShort) as cut:
        await driver.deliver(start)
    assert cut.value.moved
    assert cut.value.nodes == ("sub|slow",)
    driver.also = {}
    await driver.deliver(replace(start, inside=cut.value.inside))
    assert sorted((await driver.run_on())["out"]) == ["quick", "s1", "s2", "slow"]
    assert count == {"s1": 1, "s2": 1, "quick": 1, "slow": 2}


@pytest.mark.parametrize("apart", [False, True])
async def test_a_call_that_was_cut_short_saves_what_had_finished_and_nothing_once_it_has_ended(
    saver: Any, *, apart: bool
) -> None:
    """LangGraph would store that the task was cancelled when the next call is under way already."""
    count, hours, saved = Counter[str](), Hours(), list[Any]()

    async def slow(_: Words) -> Words:
        await hours.for_ever(after=1000)
        return {}

    def note(config: Any, writes: Any, *_: Any) -> bool:
        saved.append(writes)
        return False

    crash_on(saver, "aput_writes", note, after=False)
    driver = nested(
        chain(("a", counted(count, "a")), ("both", beside(quick=counted(count, "quick"), slow=slow))), saver
    )
    if apart:
        driver = Driver(beside(quick=counted(count, "quick"), slow=slow), saver, fan_out_from=2)
    await driver.deliver(driver.request("start", input={"out": []}))
    budget = TimeBudget(soft=270, hard=540, sleep=hours.sleep, clock=lambda: hours.now)
    request = driver.request("advance")
    saved.clear()
    if apart:
        together = chunks(driver.last.tasks, size=2)[0]
        call: Any = run_tasks(driver.graph, saver, request, together, time_budget=budget)
    else:
        call = run_superstep(driver.graph, saver, request, time_budget=budget)
    with pytest.raises(CutShort):
        await call
    for _ in range(50):
        await asyncio.sleep(0)
    channels = {channel for writes in saved for channel, _ in writes}
    assert "out" in channels
    assert "__error__" not in channels


async def test_subgraphs_are_drained_at_the_soft_budget(saver: Any) -> None:
    async def takes_time(_: Words) -> Words:
        hours.passed(60)
        await asyncio.sleep(0)
        return {"out": ["x"]}

    hours = Hours()
    sub = chain(*((f"s{at}", takes_time) for at in range(6)))
    driver = nested(chain(("sub", sub)), saver, steps=99)
    driver.also = {"time_budget": TimeBudget(soft=150, hard=3600, sleep=hours.sleep, clock=lambda: hours.now)}
    assert await driver.run({"out": []}) == {"out": ["x"] * 6}
    assert len(driver.outcomes) == 2


async def test_a_crash_between_deliveries_inside_a_subgraph_goes_on_there(saver: Any) -> None:
    count: Counter[str] = Counter()

    async def dies(_: Words) -> Words:
        count["dies"] += 1
        if count["dies"] < 3:
            raise CrashError
        return {"out": ["dies"]}

    sub = chain(("s1", counted(count, "s1")), ("dies", dies), ("s2", counted(count, "s2")))
    driver = nested(chain(("sub", sub)), saver)
    assert await driver.run({"out": []}) == {"out": ["s1", "dies", "s2"]}
    assert count == {"s1": 1, "dies": 3, "s2": 1}
