"""A call that crashes anywhere is delivered again; nothing that was committed may be executed again."""

import operator
from collections import Counter
from typing import Annotated, Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from durablegraph.errors import NodeFailed, StaleHead
from durablegraph.graphs.contract import StepStatus
from durablegraph.graphs.superstep import run_superstep
from tests.unit.graphs.driving import CrashError, Driver, Words, chain, going_bad


def crash_on(saver: Any, method: str, when: Any, *, after: bool = True) -> list[int]:
    """Let the first call of a saver's method for which `when` holds kill the worker, after or before it has effect."""
    fired: list[int] = []
    real = type(saver)

    async def crashing(self: Any, *args: Any, **kwargs: Any) -> Any:
        due = not fired and when(*args)
        if due and not after:
            fired.append(1)
            raise CrashError
        made = await getattr(real, method)(self, *args, **kwargs)
        if due:
            fired.append(1)
            raise CrashError
        return made

    saver.__class__ = type(real.__name__, (real,), {method: crashing})
    return fired


def at_step(step: int) -> Any:
    return lambda _config, _checkpoint, metadata, *_: metadata["step"] == step


def counted(count: Counter[str], name: str) -> Any:
    def node(state: Words) -> Words:
        count[name] += 1
        return {"out": [name]}

    return node


@pytest.mark.parametrize("step", [-1, 0, 1, 2])
@pytest.mark.parametrize("after", [True, False])
async def test_a_crash_around_any_commit_loses_and_repeats_nothing(saver: Any, step: int, after: bool) -> None:
    count: Counter[str] = Counter()
    graph = chain(("a", counted(count, "a")), ("b", counted(count, "b")))
    fired = crash_on(saver, "aput", at_step(step), after=after)
    driver = Driver(graph, saver)
    assert await driver.run({"out": []}) == {"out": ["a", "b"]}
    assert fired
    assert driver.crashes == 1
    # What ran but was not committed keeps its writes, so it does not run again either.
    assert count == {"a": 1, "b": 1}
    assert [found[:2] for found in await driver.history()] == [("loop", 2), ("loop", 1), ("loop", 0), ("input", -1)]


async def test_every_request_may_be_delivered_twice(saver: Any) -> None:
    count: Counter[str] = Counter()

    def ask(state: Words) -> Words:
        count["ask"] += 1
        return {"out": [interrupt("first"), interrupt("second")]}

    graph = chain(("a", counted(count, "a")), ("ask", ask), ("b", counted(count, "b")))
    driver = Driver(graph, saver)
    assert await driver.run({"out": []}, answers=str.upper, twice=True) == {"out": ["a", "FIRST", "SECOND", "b"]}
    assert count == {"a": 1, "ask": 3, "b": 1}


async def test_an_answer_delivered_twice_does_not_answer_the_next_question(saver: Any) -> None:
    def ask(state: Words) -> Words:
        return {"out": [interrupt("q1"), interrupt("q2")]}

    driver = Driver(chain(("ask", ask)), saver)
    await driver.deliver(driver.request("start", input={"out": []}))
    first = driver.last.interrupts[0]
    request = driver.request("resume", resume={first.id: "A"})
    once, again = await driver.deliver(request), await driver.deliver(request)
    assert [question.value for question in once.interrupts] == ["q2"]
    assert again.interrupts == once.interrupts
    assert once.interrupts[0].id != first.id
    await driver.deliver(driver.request("resume", resume={once.interrupts[0].id: "B"}))
    assert driver.last.values == {"out": ["A", "B"]}


async def test_a_crash_while_an_answer_is_used_uses_it_again_for_the_same_question(saver: Any) -> None:
    fired: list[int] = []

    def ask(state: Words) -> Words:
        first = interrupt("q1")
        if not fired:
            fired.append(1)
            raise CrashError
        return {"out": [first, interrupt("q2")]}

    driver = Driver(chain(("ask", ask)), saver)
    assert await driver.run({"out": []}, answers=str.upper) == {"out": ["Q1", "Q2"]}
    assert driver.crashes == 1


async def test_a_crash_after_an_answered_task_finished_commits_it_on_the_next_delivery(saver: Any) -> None:
    count: Counter[str] = Counter()

    def ask(state: Words) -> Words:
        answer = interrupt("q")
        count["answered"] += 1
        return {"out": [answer]}

    driver = Driver(chain(("ask", ask)), saver)
    await driver.deliver(driver.request("start", input={"out": []}))
    crash_on(saver, "aput", at_step(1), after=False)
    outcome = await driver.deliver(driver.request("resume", resume={driver.last.interrupts[0].id: "yes"}))
    assert (driver.crashes, count["answered"]) == (1, 1)
    assert outcome.status is StepStatus.FINISHED
    assert outcome.values == {"out": ["yes"]}


async def test_an_attempt_that_was_overtaken_cannot_commit(saver: Any) -> None:
    count: Counter[str] = Counter()
    box: dict[str, Any] = {}

    async def b(state: Words) -> Words:
        count["b"] += 1
        if count["b"] == 1:  # while this attempt still runs, the platform delivers the request again
            box["overtaking"] = await run_superstep(graph, saver, box["request"])
        return {"out": ["b"]}

    graph = chain(("a", counted(count, "a")), ("b", b), ("c", counted(count, "c")))
    driver = Driver(graph, saver)
    await driver.deliver(driver.request("start", input={"out": []}))
    box["request"] = driver.request("advance")
    with pytest.raises(StaleHead):
        await run_superstep(graph, saver, box["request"])
    again = await driver.deliver(box["request"])
    assert again.checkpoint_id == box["overtaking"].checkpoint_id
    assert count["b"] == 2
    await driver.deliver(driver.request("advance"))
    assert driver.last.values == {"out": ["a", "b", "c"]}


async def test_a_request_for_another_place_of_the_thread_is_refused(saver: Any) -> None:
    driver = Driver(chain(("a", lambda _: {"out": ["a"]}), ("b", lambda _: {"out": ["b"]})), saver)
    await driver.run({"out": []})
    for kind in ("start", "advance", "resume", "proceed"):
        with pytest.raises(StaleHead, match="nowhere"):
            await driver.deliver(driver.request(kind, run_id="other", expect="nowhere"))


async def test_a_crash_inside_a_subgraph_continues_it_where_it_was(saver: Any) -> None:
    count: Counter[str] = Counter()
    fired: list[int] = []

    class Inner(TypedDict, total=False):
        x: Annotated[list[str], operator.add]
        out: list[Any]

    def s1(state: Inner) -> Inner:
        count["s1"] += 1
        return {"x": ["s1"]}

    def s2(state: Inner) -> Inner:
        count["s2"] += 1
        if not fired:
            fired.append(1)
            raise CrashError
        return {"x": ["s2"]}

    inner = chain(("s1", s1), ("s2", s2), state=Inner)

    async def call(state: Words) -> Words:
        count["call"] += 1
        return {"out": (await inner.ainvoke({"x": []}))["x"]}

    driver = Driver(chain(("pre", counted(count, "pre")), ("call", call)), saver)
    assert await driver.run({"out": []}) == {"out": ["pre", "s1", "s2"]}
    assert count == {"pre": 1, "s1": 1, "s2": 2, "call": 2}


@pytest.mark.parametrize("crash", ["before the subgraph", "in the subgraph", "after the subgraph"])
async def test_a_stateful_subgraph_gets_each_input_once_whatever_crashes(saver: Any, crash: str) -> None:
    count: Counter[str] = Counter()
    fired: list[int] = []

    class Inner(TypedDict, total=False):
        out: Annotated[list[str], operator.add]

    class Outer(TypedDict, total=False):
        round: int
        last: list[str]

    def crash_once(where: str, round_: int) -> None:
        if where == crash and round_ == 1 and not fired:
            fired.append(1)
            raise CrashError

    def step(state: Inner) -> Inner:
        crash_once("in the subgraph", len(state["out"]) // 2)
        count["inner"] += 1
        return {"out": [f"i{count['inner']}"]}

    inner = chain(("step", step), state=Inner, checkpointer=True)

    async def call(state: Outer) -> Outer:
        at = state.get("round", 0)
        crash_once("before the subgraph", at)
        made = await inner.ainvoke({"out": [f"p{at}"]})
        crash_once("after the subgraph", at)
        return {"round": at + 1, "last": made["out"]}

    builder = StateGraph(Outer).add_node(call).add_edge(START, "call")
    builder.add_conditional_edges("call", lambda s: END if s["round"] >= 3 else "call", ["call", END])
    driver = Driver(builder.compile(), saver)
    await driver.run({})
    assert driver.last.values["last"] == ["p0", "i1", "p1", "i2", "p2", "i3"]
    assert (driver.crashes, count["inner"]) == (1, 3)


async def test_a_failed_task_runs_again_alone(saver: Any) -> None:
    count: Counter[int] = Counter()
    repaired: list[int] = []

    def work(state: Any) -> Words:
        count[state["i"]] += 1
        if state["i"] == 2 and not repaired:
            raise ValueError("no")
        return {"out": [state["i"]]}

    builder = StateGraph(Words).add_node("plan", lambda _: {}).add_node("work", work).add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda _: [Send("work", {"i": i}) for i in range(5)], ["work"])
    driver = Driver(builder.compile(), saver)
    await driver.deliver(driver.request("start", input={"out": []}))
    with pytest.raises(NodeFailed, match="no") as failure:
        await driver.deliver(driver.request("advance"))
    assert (failure.value.node, failure.value.type) == ("work", "ValueError")
    assert isinstance(failure.value.__cause__, ValueError)
    repaired.append(1)
    await driver.deliver(driver.request("advance"))
    assert driver.last.values == {"out": [0, 1, 2, 3, 4]}
    assert count[2] == 2
    assert max(count[i] for i in (0, 1, 3, 4)) <= 2


async def test_a_command_that_starts_a_run_is_applied_once(saver: Any) -> None:
    fired: list[int] = []

    def b(state: Words) -> Words:
        if not fired:
            fired.append(1)
            raise CrashError
        return {"out": ["b"]}

    graph = chain(("a", lambda _: {"out": ["a"]}), ("b", b))
    fired.append(0)
    first = Driver(graph, saver, run="one")
    await first.run({"out": []})
    fired.clear()
    second = Driver(graph, saver, run="two")
    await second.run(Command(update={"out": ["extra"]}, goto="b"), expect=first.last.checkpoint_id)
    assert second.crashes == 1
    assert second.last.values == {"out": ["a", "b", "extra", "b"]}


async def test_a_bare_answer_that_starts_a_run_answers_the_question_that_waited_then(saver: Any) -> None:
    def ask(state: Words) -> Words:
        return {"out": [interrupt("q1"), interrupt("q2")]}

    graph = chain(("ask", ask))
    first = Driver(graph, saver, run="one")
    await first.deliver(first.request("start", input={"out": []}))
    second = Driver(graph, saver, run="two")
    request = second.request("start", input=Command(resume="A"), expect=first.last.checkpoint_id)
    once, again = await second.deliver(request), await second.deliver(request)
    assert [question.value for question in once.interrupts] == ["q2"]
    assert again.interrupts == once.interrupts


async def test_errors_of_the_store_are_not_the_nodes(saver: Any) -> None:
    real = type(saver)

    async def aput(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("the store is away")

    driver = Driver(chain(("a", lambda _: {"out": ["a"]})), saver)
    saver.__class__ = type("Away", (real,), {"aput": aput})
    with pytest.raises(ConnectionError, match="the store is away"):
        await driver.deliver(driver.request("start", input={"out": []}))


async def test_what_cannot_be_prepared_after_a_commit_is_the_graphs_fault_for_a_second_delivery_too(saver: Any) -> None:
    driver = Driver(going_bad(), saver)
    start = driver.request("start", input={})
    for _ in range(2):  # the second one finds the super-step committed
        with pytest.raises(NodeFailed, match="greater than or equal to 0"):
            await driver.deliver(start)
