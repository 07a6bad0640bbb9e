"""A call whose loop is to stand ends with its save; LangGraph prepares what comes next while the outcome is told."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from durablegraph.errors import NodeFailed
from durablegraph.graphs import foretold
from durablegraph.graphs.contract import StepOutcome, StepStatus, StreamOptions
from durablegraph.graphs.superstep import SuperStep, carried_out
from tests.unit.graphs.driving import UNLIMITED, Driver, FullDisk, Words, chain, going_bad


def words(*texts: str) -> Any:
    return chain(*((text, lambda _, text=text: {"out": [text]}) for text in texts))


class Standing:
    """A run whose calls go on with one loop."""

    def __init__(self, graph: Any, **request: Any) -> None:
        self.driver = Driver(graph, InMemorySaver(), sticky=True, **request)
        start = self.driver.request("start", input={"out": []})
        self.step = SuperStep(graph, self.driver.saver, start)

    async def called(self, **changes: Any) -> StepOutcome:
        outcome = await carried_out(self.step, **{"time_budget": UNLIMITED, **changes})
        self.driver.outcomes.append(outcome)
        return outcome

    async def goes_on(self) -> bool:
        return await self.step.go_on(self.driver.request("advance"))


async def test_a_call_ends_before_the_next_task_is_prepared_and_the_next_call_finds_it_so(prepared: list[str]) -> None:
    run = Standing(words("a", "b"))
    first = await run.called()
    assert (first.next, first.commits, run.step.stands) == (("b",), 1, True)
    assert prepared == ["a"]
    assert await run.goes_on()
    assert prepared == ["a", "b"]
    last = await run.called()
    assert (last.status, last.values) == (StepStatus.FINISHED, {"out": ["a", "b"]})


async def test_it_tells_what_a_call_tells_that_prepares_the_task() -> None:
    early, whole = Standing(words("a", "b")), Standing(words("a", "b"))
    told, shown = await early.called(), await whole.called(time_budget=None)
    assert shown.tasks
    assert told == replace(shown, checkpoint_id=told.checkpoint_id, tasks=())


@pytest.mark.parametrize(
    "wanted",
    [{"stream": StreamOptions(modes="values")}, {"with_values": True}, {"interrupt_before": ["never"]}],
    ids=lambda wanted: next(iter(wanted)),
)
async def test_where_somebody_is_shown_it_the_task_is_prepared_first(wanted: Any, prepared: list[str]) -> None:
    assert (await Standing(words("a", "b"), **wanted).called()).next == ("b",)
    assert prepared == ["a", "b"]


async def test_where_several_tasks_come_next_they_are_prepared_and_told_first(prepared: list[str]) -> None:
    builder = StateGraph(Words)
    for name in ("a", "b", "c"):
        builder.add_node(name, lambda _: {})
    run = Standing(builder.add_edge(START, "a").add_edge("a", "b").add_edge("a", "c").compile())
    assert {task.name for task in (await run.called()).tasks} == {"b", "c"}
    assert set(prepared) == {"a", "b", "c"}


async def test_a_call_that_is_left_stores_nothing_and_executes_nothing_more() -> None:
    ran: list[str] = []
    run = Standing(chain(("a", lambda _: ran.append("a")), ("b", lambda _: ran.append("b"))))
    before = (await run.called()).checkpoint_id
    await run.step.leave()
    head = await run.driver.saver.aget_tuple(run.driver.at)
    assert head is not None
    assert (head.checkpoint["id"], ran, run.step.stands) == (before, ["a"], False)


async def test_a_task_that_cannot_be_prepared_is_told_by_the_next_call_which_starts_from_the_store() -> None:
    run = Standing(going_bad())
    assert (await run.called()).next == ("next",)
    assert not await run.goes_on()
    run.step = SuperStep(run.driver.graph, run.driver.saver, run.driver.request("advance"))
    with pytest.raises(NodeFailed, match="greater than or equal to 0") as late:
        await run.called()
    with pytest.raises(NodeFailed) as at_once:
        await Standing(going_bad()).called(time_budget=None)
    assert str(late.value) == str(at_once.value)


async def test_where_nothing_comes_after_all_the_next_call_finds_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foretold, "upcoming", lambda *_: ["a"])
    run = Standing(words("a"))
    assert (await run.called()).status is StepStatus.ADVANCE
    assert not await run.goes_on()
    run.step = SuperStep(run.driver.graph, run.driver.saver, run.driver.request("advance"))
    last = await run.called()
    assert (last.status, last.values) == (StepStatus.FINISHED, {"out": ["a"]})


async def test_a_write_of_a_task_that_failed_beside_the_save_is_told_by_the_call_itself() -> None:
    run = Standing(words("a", "b"))
    run.step = SuperStep(run.driver.graph, FullDisk(), run.driver.request("start", input={"out": []}))
    with pytest.raises(OSError, match="the disk is full"):
        await run.called()
    await run.step.leave()


async def test_a_chain_of_calls_that_end_early_equals_plain_invoke() -> None:
    def count(state: Words) -> Words:
        return {"out": [len(state["out"])]}

    builder = StateGraph(Words).add_node("count", count).add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: "count" if len(state["out"]) < 9 else END, ["count", END])
    graph = builder.compile()
    run = Standing(graph)
    while (await run.called()).status is StepStatus.ADVANCE:
        assert await run.goes_on()
    assert run.driver.last.values == graph.invoke({"out": []})
    assert len(run.driver.outcomes) == 9


async def test_a_call_that_is_cancelled_as_it_ends_leaves_nothing_under_way(caplog: pytest.LogCaptureFixture) -> None:
    saved = asyncio.Event()

    class Telling(InMemorySaver):
        async def aput(self, *given: Any) -> Any:
            put = await super().aput(*given)
            if given[2]["step"] == 1:
                saved.set()
            return put

    run = Standing(words("a", "b"))
    run.step = SuperStep(run.driver.graph, Telling(), run.driver.request("start", input={"out": []}))
    call = asyncio.create_task(run.called())
    await saved.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await run.step.leave()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert "Exception" not in caplog.text
