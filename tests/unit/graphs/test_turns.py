"""Tasks of one call take turns; those that get none are as if they had never been there."""

import asyncio
import operator
import time
from collections import Counter
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy, RetryPolicy, Send, interrupt
from typing_extensions import TypedDict

from durablegraph.graphs.calling import head_of
from durablegraph.graphs.contract import ChunkOutcome
from durablegraph.graphs.describe import describe
from durablegraph.graphs.fanout import chunks, run_tasks
from durablegraph.graphs.internals import ERROR
from durablegraph.graphs.turns import Turns, can_take_turns
from tests.unit.graphs.driving import Driver, Words, chain


class State(TypedDict, total=False):
    out: Annotated[list[Any], operator.add]


def mapped(work: Any, over: int = 6, **node: Any) -> Any:
    builder = StateGraph(State).add_node("plan", lambda _: {}).add_node("work", work, **node)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda _: [Send("work", at) for at in range(over)], ["work"])
    return builder.compile(cache=InMemoryCache() if "cache_policy" in node else None)


async def planned(graph: Any) -> Driver:
    driver = Driver(graph, InMemorySaver())
    await driver.deliver(driver.request("start", input={"out": []}, fan_out_from=2))
    return driver


async def always(_: Turns) -> bool:
    return True


def first(number: int) -> Any:
    """Lets so many tasks begin."""
    begun = iter(range(number))

    async def may_begin(_: Turns) -> bool:
        return next(begun, None) is not None

    return may_begin


async def deliver(driver: Driver, may_begin: Any = always, at_once: int = 2, **more: Any) -> tuple[ChunkOutcome, Turns]:
    """One call for all tasks of the super-step."""
    turns = Turns(at_once, may_begin, time.monotonic)
    (chunk,) = chunks(driver.last.tasks, 100)
    return await run_tasks(driver.graph, driver.saver, driver.request("advance"), chunk, turns=turns, **more), turns


async def stored_errors(driver: Driver) -> list[Any]:
    head = await driver.saver.aget_tuple(head_of("t"))
    assert head is not None
    return [value for _, channel, value in head.pending_writes or () if channel == ERROR]


@pytest.mark.parametrize("at_once", [1, 2, 6])
async def test_so_many_tasks_are_in_flight_and_all_get_their_turn(at_once: int) -> None:
    now, most = set(), []

    async def work(at: int) -> State:
        now.add(at)
        most.append(len(now))
        for _ in range(20):
            await asyncio.sleep(0)
        now.discard(at)
        return {"out": [at]}

    driver = await planned(mapped(work))
    outcome, turns = await deliver(driver, at_once=at_once)
    assert max(most) == at_once
    assert len(outcome.finished) == 6
    assert {node for node, _ in turns.took.values()} == {"work"}
    assert set(turns.took) == set(outcome.finished)
    await driver.deliver(driver.request("advance", fanned_out=True))
    assert driver.last.values == {"out": list(range(6))}


async def test_plain_functions_take_turns_too() -> None:
    driver = await planned(mapped(lambda at: {"out": [at]}))
    outcome, _ = await deliver(driver, at_once=1)
    assert len(outcome.finished) == 6


async def test_tasks_without_a_turn_store_nothing_and_the_next_call_executes_them_alone() -> None:
    count: Counter[int] = Counter()

    async def work(at: int) -> State:
        count[at] += 1
        return {"out": [at]}

    driver = await planned(mapped(work))
    outcome, turns = await deliver(driver, first(4))
    assert (len(outcome.finished), len(turns.refused)) == (4, 2)
    assert not {*outcome.finished} & turns.refused
    assert (outcome.failures, outcome.asking, outcome.stopped) == ((), (), ())
    assert await stored_errors(driver) == []
    outcome, _ = await deliver(driver)
    assert len(outcome.finished) == 6
    assert count == dict.fromkeys(range(6), 1)


async def test_tasks_that_waited_beside_one_that_failed_have_not_failed() -> None:
    async def work(at: int) -> State:
        raise ValueError(f"no {at}")

    driver = await planned(mapped(work))
    outcome, turns = await deliver(driver, at_once=1)
    assert [failure.message for failure in outcome.failures] == ["no 0"]
    assert len(turns.took) == 1
    (error,) = await stored_errors(driver)
    assert "no 0" in str(error)


async def test_a_task_that_asks_and_one_without_a_turn_are_told_apart() -> None:
    async def work(at: int) -> State:
        return {"out": [interrupt(at) if at == 0 else at]}

    driver = await planned(mapped(work, 3))
    outcome, turns = await deliver(driver, first(2))
    assert (len(outcome.asking), len(outcome.finished), len(turns.refused)) == (1, 1, 1)
    outcome, _ = await deliver(driver)
    assert (len(outcome.asking), len(outcome.finished)) == (1, 2)
    told = await describe(driver.graph, driver.saver, "t")
    assert [question.value for question in told.interrupts] == [0]


async def test_a_task_that_stops_at_a_breakpoint_of_its_subgraph_and_one_without_a_turn_are_told_apart() -> None:
    inner = chain(("i1", lambda _: {"out": ["i1"]}), ("i2", lambda _: {"out": ["i2"]}), interrupt_before=["i2"])
    builder = StateGraph(Words).add_node("inner", inner).add_node("other", lambda _: {"out": ["other"]})
    builder.add_edge(START, "inner").add_edge(START, "other")
    driver = await planned(builder.compile())
    outcome, turns = await deliver(driver, first(1), at_once=1)
    assert (len(outcome.stopped), len(turns.refused)) == (1, 1)
    outcome, _ = await deliver(driver)
    assert (len(outcome.stopped), len(outcome.finished)) == (1, 1)


async def test_a_task_that_is_retried_keeps_its_turn() -> None:
    done: list[int] = []
    failed = iter((True, True, False))

    async def work(at: int) -> State:
        done.append(at)
        if at == 0 and next(failed):
            raise ConnectionError
        return {"out": [at]}

    graph = mapped(work, 3, retry_policy=RetryPolicy(initial_interval=0, jitter=False))
    outcome, _ = await deliver(await planned(graph), at_once=1)
    assert len(outcome.finished) == 3
    assert done == [0, 0, 0, 1, 2]


async def test_a_task_that_has_begun_is_retried_though_no_other_begins() -> None:
    count: Counter[int] = Counter()

    async def work(at: int) -> State:
        count[at] += 1
        if count[at] < 3:
            raise ConnectionError
        return {"out": [at]}

    graph = mapped(work, 2, retry_policy=RetryPolicy(initial_interval=0, jitter=False))
    outcome, turns = await deliver(await planned(graph), first(1), at_once=1)
    assert len(outcome.finished) == len(turns.refused) == 1
    assert sorted(count.values()) == [3]


async def test_what_a_plain_call_has_cached_is_found() -> None:
    count: Counter[int] = Counter()

    async def work(at: int) -> State:
        count[at] += 1
        return {"out": [at]}

    graph = mapped(work, 3, cache_policy=CachePolicy())
    await graph.ainvoke({"out": []})
    outcome, _ = await deliver(await planned(graph))
    assert len(outcome.finished) == 3
    assert count == dict.fromkeys(range(3), 1)


async def test_a_call_that_is_cancelled_while_tasks_wait_ends() -> None:
    began = asyncio.Event()

    async def work(_: int) -> State:
        began.set()
        await asyncio.Event().wait()
        return {}

    driver = await planned(mapped(work))
    call = asyncio.create_task(deliver(driver, at_once=1))
    await began.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def test_tasks_do_not_wait_where_waiting_counts_against_a_limit() -> None:
    async def work(at: int) -> State:
        return {"out": [at]}

    saver = InMemorySaver()
    graph = mapped(work).copy(update={"checkpointer": saver})
    plain = mapped(work)
    at: Any = {"configurable": {"thread_id": "t"}}
    asyncio.run(graph.ainvoke({"out": []}, at, interrupt_before=["work"]))
    head = saver.get_tuple(at)
    assert head is not None
    assert can_take_turns(plain, head, {})
    assert not can_take_turns(plain, head, {"max_concurrency": 4})
    assert not can_take_turns(plain.with_config(max_concurrency=4), head, {})
    assert not can_take_turns(plain.copy(update={"step_timeout": 3}), head, {})
    assert not can_take_turns(mapped(work, timeout=3), head, {})
    assert not can_take_turns(mapped(work, error_handler=lambda _: {}), head, {})
    head.checkpoint["channel_values"]["__pregel_tasks"][0] = Send("work", 0, timeout=3)
    assert not can_take_turns(plain, head, {})


def test_a_node_that_is_called_synchronously_waits_for_nobody() -> None:
    node = Turns(1, always, time.monotonic).within(chain(("a", RunnableLambda(lambda _: {"out": [1]})))).nodes["a"]
    assert node.bound.invoke({}) == {"out": [1]}
