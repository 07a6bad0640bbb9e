"""A run made of super-steps leaves behind what plain `invoke` leaves behind, and shows its nodes the same."""

import operator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.managed import IsLastStep, RemainingSteps
from langgraph.runtime import RunControl, Runtime
from langgraph.store.memory import InMemoryStore
from langgraph.types import CachePolicy, Command, RetryPolicy, Send, interrupt
from typing_extensions import TypedDict

from durablegraph.errors import NodeFailed, StepLimitReached
from durablegraph.graphs.contract import StepStatus, StreamOptions
from durablegraph.graphs.superstep import run_superstep
from tests.unit.graphs.driving import Driver, Words, chain, history

AT: Any = {"configurable": {"thread_id": "t"}}


@pytest.fixture(autouse=True, params=[False, True], ids=["from the store", "sticky"])
def sticky(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Driver, "sticky", request.param)


def says(word: str) -> Any:
    def node(state: Words) -> Words:
        return {"out": [word]}

    return node


class Counted(TypedDict, total=False):
    out: Annotated[list[str], operator.add]
    remaining: RemainingSteps
    last: IsLastStep


def counting(seen: list[Any]) -> Any:
    def node(state: Counted) -> Counted:
        seen.append((state["remaining"], state["last"]))
        return {"out": ["x"]}

    builder = StateGraph(Counted).add_node("node", node).add_edge(START, "node")
    builder.add_conditional_edges("node", lambda s: END if len(s["out"]) >= 5 else "node", ["node", END])
    return builder


@pytest.mark.parametrize("limit", range(1, 9))
@pytest.mark.parametrize("steps", [1, 3])
async def test_limits_and_remaining_steps_count_over_the_run(limit: int, steps: int) -> None:
    plainly: list[Any] = []
    stepped: list[Any] = []
    plain_saver, saver = InMemorySaver(), InMemorySaver()
    plain = counting(plainly).compile(checkpointer=plain_saver)
    driver = Driver(counting(stepped).compile(), saver, recursion_limit=limit, steps=steps)
    try:
        expected = await plain.ainvoke({"out": []}, {**AT, "recursion_limit": limit})
    except GraphRecursionError:
        with pytest.raises(StepLimitReached) as reached:
            await driver.run({"out": []})
        assert isinstance(reached.value.__cause__, GraphRecursionError)
    else:
        assert await driver.run({"out": []}) == expected
    assert stepped == plainly
    assert await driver.history() == await history(plain, plain_saver, AT)


async def test_the_limit_is_reached_again_when_the_call_is_delivered_again() -> None:
    driver = Driver(counting([]).compile(), InMemorySaver(), recursion_limit=2)
    with pytest.raises(StepLimitReached):
        await driver.run({"out": []})
    with pytest.raises(StepLimitReached):
        await driver.deliver(driver.request("advance"))


@pytest.mark.parametrize(
    "breakpoints",
    [
        {"interrupt_before": ["b"]},
        {"interrupt_after": ["b"]},
        {"interrupt_before": "*"},
        {"interrupt_after": "*"},
        {"interrupt_before": ["a", "c"], "interrupt_after": ["b"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("compiled", [True, False])
async def test_static_breakpoints_stop_where_plain_runs_stop(breakpoints: Any, compiled: bool, saver: Any) -> None:
    nodes = [(name, says(name)) for name in "abc"]
    plain_saver = InMemorySaver()
    plain = chain(*nodes, checkpointer=plain_saver)
    stops = []
    value: Any = {"out": []}
    while True:
        await plain.ainvoke(value, AT, **breakpoints)
        state = await plain.aget_state(AT)
        if not state.next:
            break
        value = None
        stops.append(state.next)
    graph = chain(*nodes, **(breakpoints if compiled else {}))
    driver = Driver(graph, saver, **({} if compiled else breakpoints))
    assert await driver.run({"out": []}, twice=True) == {"out": ["a", "b", "c"]}
    assert [found.next for found in driver.outcomes if found.status is StepStatus.BREAKPOINT] == stops
    assert await driver.history() == await history(plain, plain_saver, AT)


async def test_a_breakpoint_in_a_subgraph_is_not_passed_by_a_second_delivery(saver: Any) -> None:
    ran: list[str] = []

    def inside(name: str) -> Any:
        def node(state: Words) -> Words:
            ran.append(name)
            return {"out": [name]}

        return node

    inner = chain(("i1", inside("i1")), ("i2", inside("i2")), interrupt_before=["i2"])
    driver = Driver(chain(("a", says("a")), ("inner", inner), ("b", says("b"))), saver)
    await driver.run({"out": []}, twice=True)
    assert ran == ["i1", "i2"]
    assert driver.statuses().count("breakpoint") == 1


class Outer(TypedDict, total=False):
    out: Annotated[list[Any], operator.add]


def asking(*questions: str) -> Any:
    def node(state: Outer) -> Outer:
        return {"out": [interrupt(question) for question in questions]}

    return node


async def test_questions_name_the_innermost_node_and_where_it_is(saver: Any) -> None:
    innermost = chain(("deep", asking("deep?")), state=Outer)
    inner = chain(("sub", innermost), state=Outer)
    builder = StateGraph(Outer).add_node("inner", inner).add_node("top", asking("top?"))
    builder.add_edge(START, "inner").add_edge(START, "top")
    driver = Driver(builder.compile(), saver)
    await driver.deliver(driver.request("start", input={"out": []}))
    found = {question.value: question for question in driver.last.interrupts}
    assert found["top?"].node == "top"
    assert found["top?"].namespace == ""
    assert found["deep?"].node == "deep"
    assert [part.split(":")[0] for part in found["deep?"].namespace.split("|")] == ["inner", "sub"]
    tasks = {waiting.name: waiting.id for waiting in driver.last.tasks}
    assert (found["deep?"].task, found["top?"].task) == (tasks["inner"], tasks["top"])
    values = await driver.run_on(answers=str.upper)
    assert sorted(values["out"]) == ["DEEP?", "TOP?"]


async def test_one_answer_of_two_leaves_the_other_question_waiting(saver: Any) -> None:
    builder = StateGraph(Outer).add_node("x", asking("x?")).add_node("y", asking("y?"))
    builder.add_edge(START, "x").add_edge(START, "y")
    driver = Driver(builder.compile(), saver)
    await driver.deliver(driver.request("start", input={"out": []}))
    first = next(question for question in driver.last.interrupts if question.value == "x?")
    await driver.deliver(driver.request("resume", resume={first.id: "X"}))
    assert driver.last.status is StepStatus.INTERRUPTED
    assert [question.value for question in driver.last.interrupts] == ["y?"]
    assert [waiting.done for waiting in driver.last.tasks] == [True, False]


async def test_several_super_steps_in_a_call_are_committed_each(saver: Any) -> None:
    graph = chain(*[(name, says(name)) for name in "abcde"])
    driver = Driver(graph, saver, steps=2)
    assert await driver.run({"out": []}, twice=True) == {"out": list("abcde")}
    assert [found.commits for found in driver.outcomes] == [2, 2, 1]
    assert [found[1] for found in await driver.history()] == [5, 4, 3, 2, 1, 0, -1]


async def test_a_spent_budget_ends_a_call_of_several_super_steps() -> None:
    driver = Driver(chain(*[(name, says(name)) for name in "abc"]), InMemorySaver(), steps=9, budget=0.0)
    await driver.run({"out": []})
    assert [found.commits for found in driver.outcomes] == [1, 1, 1]


async def test_a_call_ends_before_a_super_step_that_is_to_be_fanned_out() -> None:
    builder = StateGraph(Words).add_node("plan", says("plan")).add_node("work", lambda s: {"out": [s["i"]]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda _: [Send("work", {"i": i}) for i in range(3)], ["work"])
    driver = Driver(builder.compile(), InMemorySaver(), steps=9, fan_out_from=2)
    await driver.run({"out": []})
    assert [found.commits for found in driver.outcomes] == [1, 1]
    assert [(waiting.name, waiting.send) for waiting in driver.outcomes[0].tasks] == [("work", i) for i in range(3)]


async def test_the_stream_of_all_calls_is_the_stream_of_a_plain_run() -> None:
    graph = chain(*[(name, says(name)) for name in "abc"])
    modes: Any = ["values", "updates", "tasks", "checkpoints"]
    driver = Driver(graph, InMemorySaver(), run_id=None, stream=StreamOptions(modes=modes))
    await driver.run({"out": []})
    plain = graph.copy(update={"checkpointer": InMemorySaver()})
    expected = [part async for part in plain.astream({"out": []}, AT, stream_mode=modes, subgraphs=True)]
    assert [_comparable(part) for part in driver.parts] == [_comparable(part) for part in expected]


def _comparable(part: Any) -> Any:
    inside, mode, payload = part
    if mode == "checkpoints":
        payload = (payload["values"], payload["next"], payload["metadata"]["step"], payload["metadata"]["source"])
    elif mode == "tasks":
        payload = {key: payload.get(key) for key in ("name", "input", "result")}
    return inside, mode, payload


async def test_time_travel_forks_and_runs_on(saver: Any) -> None:
    graph = chain(*[(name, says(name)) for name in "abc"])
    first = Driver(graph, saver, run="one")
    await first.run({"out": []})
    target = first.outcomes[0].checkpoint_id
    again = Driver(graph, saver, run="two", config={"configurable": {"checkpoint_id": target}})
    await again.run(None, expect=first.last.checkpoint_id, twice=True)
    assert again.last.values == {"out": ["a", "b", "c"]}
    assert [found[0] for found in await again.history()].count("fork") == 1


async def test_a_run_keeps_untracked_values_to_its_end_and_no_longer(saver: Any) -> None:
    seen: list[Any] = []

    class Calls(TypedDict, total=False):
        out: Annotated[list[str], operator.add]
        calls: Annotated[int, UntrackedValue]

    def call(state: Calls) -> Calls:
        seen.append(state.get("calls"))
        return {"calls": (state.get("calls") or 0) + 1}

    graph = chain(("a", call), ("b", call), ("c", call), state=Calls)
    first = Driver(graph, saver, run="one")
    await first.run({"out": []})
    await Driver(graph, saver, run="two").run({"out": []}, expect=first.last.checkpoint_id)
    assert seen == [None, 1, 2, None, 1, 2]


async def test_a_value_that_cannot_be_stored_is_the_graphs_fault() -> None:
    class Holds(TypedDict, total=False):
        handle: Annotated[Any, UntrackedValue]

    graph = chain(("a", lambda _: {"handle": open}), ("b", lambda _: {}), state=Holds)
    with pytest.raises(NodeFailed, match="cannot be stored"):
        await Driver(graph, InMemorySaver()).run({})


async def test_a_drain_by_the_caller_stops_at_the_next_boundary(saver: Any) -> None:
    control = RunControl()

    def a(state: Words) -> Words:
        control.request_drain("the worker shuts down")
        return {"out": ["a"]}

    driver = Driver(chain(("a", a), ("b", says("b"))), saver, steps=9)
    outcome = await run_superstep(driver.graph, saver, driver.request("start", input={"out": []}), control=control)
    assert (outcome.status, outcome.next, outcome.commits) == (StepStatus.ADVANCE, ("b",), 1)
    driver.outcomes.append(outcome)
    await driver.deliver(driver.request("advance"))
    assert driver.last.values == {"out": ["a", "b"]}


async def test_a_drain_by_the_caller_stops_a_subgraph_at_its_boundary(saver: Any) -> None:
    control = RunControl()
    ran: list[str] = []

    def i1(state: Words) -> Words:
        ran.append("i1")
        control.request_drain("budget")
        return {"out": ["i1"]}

    def i2(state: Words) -> Words:
        ran.append("i2")
        return {"out": ["i2"]}

    driver = Driver(chain(("inner", chain(("i1", i1), ("i2", i2))), ("b", says("b"))), saver)
    outcome = await run_superstep(driver.graph, saver, driver.request("start", input={"out": []}), control=control)
    assert (outcome.status, outcome.next, outcome.commits) == (StepStatus.ADVANCE, ("inner",), 0)
    assert ran == ["i1"]
    driver.outcomes.append(outcome)
    await driver.deliver(driver.request("advance"))
    assert ran == ["i1", "i2"]
    assert driver.last.next == ("b",)


async def test_a_graph_that_a_node_drains_itself_is_the_nodes_failure() -> None:
    inner = chain(("i1", says("i1")), ("i2", says("i2")))

    async def call(state: Words) -> Words:
        control = RunControl()
        control.request_drain("mine")
        return {"out": (await inner.ainvoke({"out": []}, control=control))["out"]}

    with pytest.raises(NodeFailed) as failure:
        await Driver(chain(("call", call)), InMemorySaver()).run({"out": []})
    assert failure.value.type == "GraphDrained"


async def test_context_store_cache_and_retries_reach_every_super_step() -> None:
    @dataclass
    class Context:
        name: str

    count = {"cached": 0, "flaky": 0}
    store = InMemoryStore()

    async def keeps(state: Words, runtime: Runtime[Context]) -> Words:
        assert runtime.store is not None
        await runtime.store.aput(("n",), "k", {"name": runtime.context.name})
        return {"out": ["keeps"]}

    async def reads(state: Words, runtime: Runtime[Context]) -> Words:
        assert runtime.store is not None
        item = await runtime.store.aget(("n",), "k")
        return {"out": [item.value["name"] if item else None]}

    def cached(state: Words) -> Words:
        count["cached"] += 1
        return {"out": ["cached"]}

    def flaky(state: Words) -> Words:
        count["flaky"] += 1
        if count["flaky"] < 3:
            raise ConnectionError("again")
        return {"out": ["flaky"]}

    builder = StateGraph(Words, context_schema=Context).add_node(keeps).add_node(reads)
    builder.add_node(cached, cache_policy=CachePolicy(key_func=lambda _: b"k"))
    builder.add_node(flaky, retry_policy=RetryPolicy(initial_interval=0.0, jitter=False, retry_on=ConnectionError))
    builder.add_edge(START, "keeps").add_edge("keeps", "reads").add_edge("reads", "cached").add_edge("cached", "flaky")
    cache: Any = InMemoryCache()
    for run in ("one", "two"):
        driver = Driver(builder.compile(), InMemorySaver(), run=run, context={"name": "Ada"})
        driver.also = {"store": store, "cache": cache}
        count["flaky"] = 0
        assert await driver.run({"out": []}) == {"out": ["keeps", "Ada", "cached", "flaky"]}
    assert count == {"cached": 1, "flaky": 3}


@pytest.mark.parametrize("wanted", ["sync", "async"])
async def test_an_entrypoint_is_one_super_step_that_keeps_its_finished_tasks(wanted: str, saver: Any) -> None:
    ran: list[int] = []

    if wanted == "sync":

        @task
        def double(number: int) -> int:
            ran.append(number)
            return number * 2

        @entrypoint()
        def work(numbers: list[int]) -> list[Any]:
            made = [future.result() for future in [double(number) for number in numbers]]
            return [*made, interrupt("fine?")]
    else:

        @task
        async def double(number: int) -> int:
            ran.append(number)
            return number * 2

        @entrypoint()
        async def work(numbers: list[int]) -> list[Any]:
            made = [await double(number) for number in numbers]
            return [*made, interrupt("fine?")]

    driver = Driver(work, saver)
    assert await driver.run([1, 2, 3], answers=str.upper) == [2, 4, 6, "FINE?"]
    assert sorted(ran) == [1, 2, 3]


async def test_a_nested_graph_without_checkpoints_runs_under_sync_durability() -> None:
    inner = chain(("i", says("i")), checkpointer=False)

    async def call(state: Words) -> Words:
        return {"out": (await inner.ainvoke({"out": []}))["out"]}

    assert await Driver(chain(("call", call)), InMemorySaver()).run({"out": []}) == {"out": ["i"]}


async def test_a_goto_that_starts_a_run_and_then_asks_shows_its_question(saver: Any) -> None:
    graph = chain(("a", says("a")), ("ask", asking("q?")), state=Outer)
    first = Driver(graph, saver, run="one")
    await first.run({"out": []}, answers=str.upper)
    second = Driver(graph, saver, run="two")
    command = Command(update={"out": ["extra"]}, goto="ask")
    assert await second.run(command, answers=str.upper, expect=first.last.checkpoint_id) == {
        "out": ["a", "Q?", "extra", "Q?"]
    }


async def test_a_graph_keeps_its_own_checkpointer_out_of_the_run() -> None:
    own = InMemorySaver()
    driver = Driver(chain(("a", says("a")), checkpointer=own), InMemorySaver())
    await driver.run({"out": []})
    assert not list(own.list(None))
