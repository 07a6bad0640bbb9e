"""Tasks of one super-step run apart, on any worker, and one commit makes of them what a plain run makes."""

import asyncio
import operator
from collections import Counter
from dataclasses import replace
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import NodeError
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from durablegraph.errors import StaleHead
from durablegraph.graphs.contract import ChunkOutcome, StepStatus, StreamOptions
from durablegraph.graphs.describe import describe
from durablegraph.graphs.fanout import chunks, may_fan_out, run_tasks
from durablegraph.graphs.given_up import give_up
from durablegraph.graphs.journal import GIVEN_UP_KEY
from tests.unit.graphs.driving import CrashError, Driver, Words, chain, history

AT: Any = {"configurable": {"thread_id": "t"}}


class Fanned(Driver):
    """Runs every super-step of two tasks or more task by task, `size` at a time."""

    size = 1
    twice = False
    chunked: list[ChunkOutcome]

    async def deliver_tasks(self, **changes: Any) -> list[ChunkOutcome]:
        request = replace(self.request("advance"), **changes)
        todo = chunks(self.last.tasks, self.size)
        made = await asyncio.gather(*[self._deliver_chunk(request, chunk) for chunk in todo])
        self.chunked = list(made)
        return self.chunked

    async def _deliver_chunk(self, request: Any, chunk: Any) -> ChunkOutcome:
        for _ in range(10):
            try:
                outcome = await run_tasks(self.graph, self.saver, request, chunk, on_part=self._keep)
                if self.twice:
                    again = await run_tasks(self.graph, self.saver, request, chunk)
                    assert not again.executed
                    assert (again.finished, again.asking) == (outcome.finished, outcome.asking)
            except CrashError:
                self.crashes += 1
            else:
                return outcome
        raise AssertionError("ten deliveries crashed")

    async def fan(self, value: Any) -> Any:
        await self.deliver(self.request("start", input=value, fan_out_from=2))
        while self.last.status is StepStatus.ADVANCE:
            fanned = may_fan_out(self.last)
            if fanned:
                made = await self.deliver_tasks()
                assert all(not chunk.failures and not chunk.asking for chunk in made)
            await self.deliver(self.request("advance", fan_out_from=2, fanned_out=fanned))
        return self.last.values


class State(TypedDict, total=False):
    out: Annotated[list[Any], operator.add]
    total: int


def mapped(count: Counter[Any], *, over: int = 5) -> Any:
    """A plan, a map over `over` items beside two parallel nodes, a join."""

    def plan(state: State) -> Command[Any]:
        return Command(update={"out": ["plan"]}, goto=[Send("work", {"i": i}) for i in range(over)])

    def work(state: Any) -> State:
        count[state["i"]] += 1
        return {"out": [state["i"]]}

    def side(name: str) -> Any:
        def node(state: State) -> State:
            count[name] += 1
            return {"out": [name]}

        return node

    def join(state: State) -> State:
        return {"total": len(state["out"])}

    builder = StateGraph(State).add_node(plan, destinations=("work",)).add_node(work)
    builder.add_node("left", side("left")).add_node("right", side("right")).add_node(join, defer=True)
    builder.add_edge(START, "plan").add_edge("plan", "left").add_edge("plan", "right")
    for node in ("work", "left", "right"):
        builder.add_edge(node, "join")
    return builder


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_tasks_run_apart_make_the_state_and_history_of_a_plain_run(saver: Any, size: int) -> None:
    plainly: Counter[Any] = Counter()
    apart: Counter[Any] = Counter()
    plain_saver = InMemorySaver()
    plain = mapped(plainly).compile(checkpointer=plain_saver)
    expected = await plain.ainvoke({"out": []}, AT)
    driver = Fanned(mapped(apart).compile(), saver)
    driver.size, driver.twice = size, True
    assert await driver.fan({"out": []}) == expected
    assert apart == plainly
    assert await driver.history() == await history(plain, plain_saver, AT)


async def test_a_thousand_tasks_cost_each_chunk_its_own_tasks_only() -> None:
    count: Counter[Any] = Counter()
    driver = Fanned(mapped(count, over=1000).compile(), InMemorySaver())
    driver.size = 50
    values = await driver.fan({"out": []})
    assert values["total"] == 1003
    assert set(count.values()) == {1}


async def test_a_crash_before_any_write_of_a_task_repeats_that_task_alone(saver: Any) -> None:
    count: Counter[Any] = Counter()
    fired: list[int] = []

    def work(state: Any) -> Words:
        count[state["i"]] += 1
        if state["i"] == 2 and not fired:
            fired.append(1)
            raise CrashError
        return {"out": [state["i"]]}

    driver = Fanned(mapping(work), saver)
    assert await driver.fan({"out": []}) == {"out": list(range(5))}
    assert count == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1}


def mapping(work: Any) -> Any:
    builder = StateGraph(Words).add_node("plan", lambda _: {}).add_node("work", work).add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda _: [Send("work", {"i": i}) for i in range(5)], ["work"])
    return builder.compile()


async def test_a_failed_task_is_told_and_repeated_alone(saver: Any) -> None:
    count: Counter[Any] = Counter()
    repaired: list[int] = []

    def work(state: Any) -> Words:
        count[state["i"]] += 1
        if state["i"] == 2 and not repaired:
            raise ValueError("no")
        return {"out": [state["i"]]}

    driver = Fanned(mapping(work), saver)
    await driver.deliver(driver.request("start", input={"out": []}, fan_out_from=2))
    made = await driver.deliver_tasks()
    failed = [failure for chunk in made for failure in chunk.failures]
    assert [(failure.node, failure.type, failure.message) for failure in failed] == [("work", "ValueError", "no")]
    assert sum(len(chunk.finished) for chunk in made) == 4
    repaired.append(1)
    again = await driver.deliver_tasks()
    assert [chunk.executed for chunk in again] == [False, False, True, False, False]
    await driver.deliver(driver.request("advance", fanned_out=True))
    assert driver.last.values == {"out": [0, 1, 2, 3, 4]}
    assert count == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1}


async def test_a_super_step_may_be_committed_without_a_task_that_failed(saver: Any) -> None:
    def work(state: Any) -> Words:
        if state["i"] == 2:
            raise ValueError("never")
        return {"out": [state["i"]]}

    driver = Fanned(mapping(work), saver)
    await driver.deliver(driver.request("start", input={"out": []}, fan_out_from=2))
    made = await driver.deliver_tasks()
    head = await saver.aget_tuple(AT)
    await give_up(saver, head, [failure.id for chunk in made for failure in chunk.failures])
    told = await describe(driver.graph, saver, "t")
    assert [task.done for task in told.tasks] == [True] * 5
    assert [chunk.executed for chunk in await driver.deliver_tasks()] == [False] * 5
    await driver.deliver(driver.request("advance"))
    assert driver.last.values == {"out": [0, 1, 3, 4]}
    committed = [found.metadata.get(GIVEN_UP_KEY) async for found in saver.alist(AT)]
    assert committed == [1, None, None, None][: len(committed)]


async def test_tasks_that_ask_wait_together_and_are_answered_apart(saver: Any) -> None:
    count: Counter[Any] = Counter()

    def work(state: Any) -> Words:
        count[state["i"]] += 1
        return {"out": [interrupt(state["i"]) if state["i"] % 2 else state["i"]]}

    driver = Fanned(mapping(work), saver)
    driver.twice = True
    await driver.deliver(driver.request("start", input={"out": []}, fan_out_from=2))
    made = await driver.deliver_tasks()
    assert sum(len(chunk.asking) for chunk in made) == 2
    told = await describe(driver.graph, saver, "t", stop=driver.last.stop)
    assert told.status is StepStatus.INTERRUPTED
    assert [question.value for question in told.interrupts] == [1, 3]
    driver.outcomes.append(told)
    answered = await driver.deliver_tasks(
        kind="resume", resume={question.id: f"answer {question.value}" for question in told.interrupts}
    )
    assert all(chunk.finished for chunk in answered)
    await driver.deliver(driver.request("advance", fanned_out=True))
    assert driver.last.values == {"out": [0, "answer 1", 2, "answer 3", 4]}
    assert count == {0: 1, 1: 2, 2: 1, 3: 2, 4: 1}


async def test_an_error_handler_runs_once_and_its_writes_are_the_failed_tasks(saver: Any) -> None:
    count: Counter[str] = Counter()

    def fails(state: State) -> State:
        count["fails"] += 1
        raise ValueError("broken")

    def handler(state: State, error: NodeError) -> State:
        count["handler"] += 1
        return {"out": [f"handled {error.error}"]}

    def fine(state: State) -> State:
        count["fine"] += 1
        return {"out": ["fine"]}

    builder = StateGraph(State).add_node("fails", fails, error_handler=handler).add_node("fine", fine)
    builder.add_edge(START, "fails").add_edge(START, "fine")
    driver = Fanned(builder.compile(), saver)
    driver.twice = True
    values = await driver.fan({"out": []})
    assert sorted(values["out"]) == ["fine", "handled broken"]
    assert count == {"fails": 1, "handler": 1, "fine": 1}


async def test_a_breakpoint_inside_a_task_stops_the_super_step_until_it_is_let_go(saver: Any) -> None:
    ran: list[str] = []

    def inside(name: str) -> Any:
        def node(state: Words) -> Words:
            ran.append(name)
            return {"out": [name]}

        return node

    inner = chain(("i1", inside("i1")), ("i2", inside("i2")), interrupt_before=["i2"])
    builder = StateGraph(Words).add_node("inner", inner).add_node("other", inside("other"))
    builder.add_edge(START, "inner").add_edge(START, "other")
    driver = Fanned(builder.compile(), saver)
    await driver.deliver(driver.request("start", input={"out": []}, fan_out_from=2))
    made = await driver.deliver_tasks()
    assert [len(chunk.stopped) for chunk in made] == [1, 0]
    assert [chunk.executed for chunk in await driver.deliver_tasks()] == [False, False]
    told = await describe(driver.graph, saver, "t", stop=driver.last.stop)
    assert told.status is StepStatus.BREAKPOINT
    driver.outcomes.append(told)
    await driver.deliver(driver.request("proceed"))
    assert driver.last.status is StepStatus.FINISHED
    assert sorted(ran) == ["i1", "i2", "other"]


async def test_a_chunk_of_a_committed_super_step_is_refused(saver: Any) -> None:
    driver = Fanned(mapped(Counter()).compile(), saver)
    await driver.deliver(driver.request("start", input={"out": []}, fan_out_from=2))
    request, chunk = driver.request("advance"), chunks(driver.last.tasks)[0]
    await driver.deliver(driver.request("advance"))
    with pytest.raises(StaleHead):
        await run_tasks(driver.graph, saver, request, chunk)


async def test_the_parts_of_tasks_and_commit_are_those_of_a_plain_super_step() -> None:
    modes: Any = ["updates", "tasks", "checkpoints", "values"]
    graph = mapped(Counter()).compile()
    driver = Fanned(graph, InMemorySaver(), run_id=None, stream=StreamOptions(modes=modes))
    await driver.fan({"out": []})
    plain = graph.copy(update={"checkpointer": InMemorySaver()})
    expected = [part async for part in plain.astream({"out": []}, AT, stream_mode=modes, subgraphs=True)]
    assert sorted(map(_kind, driver.parts)) == sorted(map(_kind, expected))


def _kind(part: Any) -> str:
    _, mode, payload = part
    match mode:
        case "tasks":
            return f"tasks {payload['name']} {'result' in payload} {payload.get('result')}"
        case "checkpoints":
            return f"checkpoints {payload['metadata']['step']}"
    return f"{mode} {payload}"
