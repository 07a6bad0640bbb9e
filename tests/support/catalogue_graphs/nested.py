"""Declared subgraphs of several super-steps, alone and beside everything that a drain inside them must not disturb."""

import asyncio
import operator
from typing import Annotated, Any

from langgraph.cache.memory import InMemoryCache
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.errors import NodeError
from langgraph.graph import END, START, StateGraph
from langgraph.managed import IsLastStep, RemainingSteps
from langgraph.runtime import Runtime
from langgraph.types import CachePolicy, Command, Send, interrupt
from typing_extensions import TypedDict

from tests.support.catalogue_graphs.case import Log, case, chain, log_graph, says
from tests.support.catalogue_graphs.failures import SOON, boom, fails_until
from tests.support.catalogue_graphs.subgraphs import (
    InnerLog,
    Nothing,
    OnlyLog,
    Own,
    Shared,
    calls,
    capital,
    remembering,
)


def built(*nodes: tuple[str, Any], schema: Any = InnerLog, **compiled: Any) -> Any:
    """Nodes one after the other; what they put into `log` is new to the parent, what is in `inner` stays inside."""
    builder = StateGraph(schema, input_schema=Nothing, output_schema=OnlyLog)
    before = START
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder.compile(**compiled)


def steps(word: str, number: int = 3, **compiled: Any) -> Any:
    return built(*((f"{word}{at}", says(f"{word}{at}")) for at in range(1, number + 1)), **compiled)


def beside(**nodes: Any) -> Any:
    """All of them in one super-step, then `end`."""
    builder = log_graph("end")
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(START, name)
    builder.add_edge([*nodes], "end")
    return builder.compile()


def between(sub: Any, *, cache: Any = None, **options: Any) -> Any:
    """A node, the subgraph, and another node."""
    builder = log_graph("a", "b")
    builder.add_node("sub", sub, **options)
    builder.add_edge(START, "a")
    builder.add_edge("a", "sub")
    builder.add_edge("sub", "b")
    return builder.compile(cache=cache)


def asks(question: str) -> Any:
    return lambda _: {"log": [interrupt(question)]}


def asks_twice(_: Any) -> dict:
    return {"log": [interrupt("first?"), interrupt("second?")]}


@case()
def nested_chain():
    """A subgraph of five super-steps."""
    return between(steps("s", 5))


@case()
def nested_four_deep():
    """Subgraphs of subgraphs, each with steps before and after."""
    sub = steps("d", 2)
    for level in ("c", "b", "a"):
        sub = built((f"{level}1", says(f"{level}1")), ("deeper", sub), (f"{level}2", says(f"{level}2")))
    return between(sub)


@case()
def nested_beside_nested():
    """Subgraphs of different lengths in one super-step, and a slow node."""

    async def slow(_: Log) -> dict:
        await asyncio.sleep(0.02)
        return {"log": ["slow"]}

    return beside(one=steps("o", 1), three=steps("t", 3), five=steps("f", 5), slow=slow)


@case(answer=capital, asks=1)
def nested_beside_a_question():
    """A node asks while a subgraph beside it has many steps to go: it asks once."""
    return beside(sub=steps("s", 4), ask=asks("who?"))


@case(answer=capital, asks=2)
def nested_beside_two_questions():
    """The same with a node that asks twice."""
    return beside(sub=steps("s", 4), ask=asks_twice)


@case(answer=capital, asks=1)
def nested_question_beside_nested():
    """A question two levels down, beside a subgraph that goes on."""
    deep = built(("s1", says("s1")), ("ask", asks("deep?")), ("s2", says("s2")), ("s3", says("s3")))
    inner = StateGraph(InnerLog, input_schema=Nothing, output_schema=OnlyLog)
    inner.add_node("deep", deep)
    inner.add_node("long", steps("l", 4))
    inner.add_edge(START, "deep")
    inner.add_edge(START, "long")
    return between(inner.compile())


@case(answer=capital, asks=2)
def nested_two_questions_beside_nested():
    """A node of a subgraph asks twice, beside a subgraph that goes on before and after."""
    inner = StateGraph(InnerLog, input_schema=Nothing, output_schema=OnlyLog)
    inner.add_node("ask", asks_twice)
    inner.add_node("long", steps("l", 3))
    inner.add_node("then", steps("t", 3))
    inner.add_edge(START, "ask")
    inner.add_edge(START, "long")
    inner.add_edge(["ask", "long"], "then")
    return between(inner.compile())


@case(answer=capital, asks=3)
def nested_questions_in_a_row():
    """A subgraph asks in its first, third and last step."""
    return between(
        built(("q1", asks("1?")), ("s1", says("s1")), ("q2", asks("2?")), ("s2", says("s2")), ("q3", asks("3?")))
    )


@case(answer=capital, asks=2)
def nested_questions_in_parallel():
    """Two subgraphs ask at different depths of their steps, and go on for long after the answers."""
    left = built(("l1", says("l1")), ("ask", asks("left?")), ("rest", steps("l", 3)))
    right = built(("ask", asks("right?")), ("rest", steps("r", 2)), ("again", asks("right again?")))
    return beside(left=left, right=right)


@case(answer=lambda n: n * 10, asks=1)
def nested_in_sends():
    """Each Send runs a subgraph of three steps; one of them asks."""

    def ask(state: InnerLog) -> dict:
        number = state["inner"][0]
        return {"log": [interrupt(number) if number == 2 else number]}

    inner = StateGraph(InnerLog, output_schema=OnlyLog)
    inner.add_node("first", lambda s: {"inner": [s["inner"][0] + 1]})
    inner.add_node("ask", ask)
    inner.add_node("last", lambda s: {"log": [str(s["inner"])]})
    inner.add_edge(START, "first")
    inner.add_edge("first", "ask")
    inner.add_edge("ask", "last")
    builder = log_graph("end")
    builder.add_node("sub", inner.compile())
    builder.add_conditional_edges(START, lambda _: [Send("sub", {"inner": [n]}) for n in (3, 2, 1)], ["sub"])
    builder.add_edge("sub", "end")
    return builder.compile()


@case()
def nested_beside_a_called_graph():
    """A node calls a graph of three steps beside a declared one: neither the node nor its graph is run again."""
    called = chain("c1", "c2", "c3")

    async def call(_: Log) -> dict:
        return {"log": [(await called.ainvoke({"log": []}))["log"]]}

    return beside(sub=steps("s", 4), call=call, more=calls(remembering(), "more"))


@case()
def nested_with_a_called_graph():
    """A node inside a subgraph calls a graph, beside a subgraph that goes on."""
    called = chain("c1", "c2", "c3")

    def call(_: InnerLog) -> dict:
        return {"log": [called.invoke({"log": []})["log"]]}

    inner = StateGraph(InnerLog, input_schema=Nothing, output_schema=OnlyLog)
    inner.add_node("call", call)
    inner.add_node("long", steps("l", 3))
    inner.add_node("last", call)
    inner.add_edge(START, "call")
    inner.add_edge(START, "long")
    inner.add_edge(["call", "long"], "last")
    return between(inner.compile())


@case()
def nested_drains_are_not_seen():
    """Nodes that look for a drain see none of ours."""

    async def looks(_: Any, runtime: Runtime) -> dict:
        await asyncio.sleep(0.02)
        return {"log": [runtime.drain_requested]}

    inner = StateGraph(InnerLog, input_schema=Nothing, output_schema=OnlyLog)
    inner.add_node("looks", looks)
    inner.add_node("long", steps("l", 3))
    inner.add_edge(START, "looks")
    inner.add_edge(START, "long")
    return beside(sub=inner.compile(), looks=looks)


@case()
def nested_without_checkpoints():
    """A declared subgraph with `checkpointer=False` cannot be stepped."""
    return beside(sub=steps("s", 3), whole=steps("w", 3, checkpointer=False))


class Remembered(TypedDict, total=False):
    turns: Annotated[list, operator.add]
    inner: list
    log: Annotated[list, operator.add]


@case()
def nested_with_memory():
    """A subgraph with `checkpointer=True` of three steps, visited three times."""
    sub = built(
        ("one", lambda _: {"turns": ["one"]}),
        ("two", lambda s: {"turns": ["two"], "inner": [len(s["turns"])]}),
        ("three", lambda s: {"log": [f"{len(s['turns'])} {s['inner']}"]}),
        schema=Remembered,
        checkpointer=True,
    )
    builder = log_graph("note")
    builder.add_node("sub", sub)
    builder.add_node("other", steps("o", 2))
    builder.add_edge(START, "sub")
    builder.add_edge(START, "other")
    builder.add_edge("sub", "note")
    builder.add_conditional_edges("note", lambda s: "sub" if s["log"].count("note") < 3 else END)
    return builder.compile()


@case(answer=capital, asks=2)
def nested_with_memory_asks():
    """The same subgraph asks in its second step, in each of two visits."""
    sub = built(
        ("one", lambda _: {"turns": ["one"]}),
        ("two", lambda s: {"turns": [interrupt(f"{len(s['turns'])}?")]}),
        ("three", lambda s: {"log": [str(s["turns"])]}),
        schema=Remembered,
        checkpointer=True,
    )
    builder = log_graph("note")
    builder.add_node("sub", sub)
    builder.add_edge(START, "sub")
    builder.add_edge("sub", "note")
    builder.add_conditional_edges("note", lambda s: "sub" if s["log"].count("note") < 2 else END)
    return builder.compile()


@case()
def nested_goes_to_the_parent():
    """The third step of a subgraph sends its parent elsewhere."""

    def away(_: InnerLog) -> Command:
        return Command(goto="b", update={"log": ["away"]}, graph=Command.PARENT)

    builder = log_graph("a", "b")
    builder.add_node("sub", built(("s1", says("s1")), ("s2", says("s2")), ("away", away)), destinations=("a", "b"))
    builder.add_edge(START, "sub")
    return builder.compile()


@case(stops=3)
def nested_breakpoints():
    """Static breakpoints before and after steps of a subgraph."""
    return between(steps("s", 6, interrupt_before=["s3", "s6"], interrupt_after=["s4"]))


@case(stops=1)
def nested_breakpoint_beside_nested():
    """A static breakpoint in one subgraph, while another one goes on."""
    return beside(stops=steps("s", 3, interrupt_before=["s2"]), goes=steps("g", 5))


@case()
def nested_retry_policy():
    """A retry policy around a subgraph, whose second step fails twice."""
    sub = built(("s1", says("s1")), ("flaky", fails_until(3)), ("s2", says("s2")))
    inner = built(("s0", says("s0")), ("sub", sub), ("s3", says("s3")))
    inner.nodes["sub"].bound.nodes["flaky"].retry_policy = (SOON,)
    return between(inner, retry_policy=SOON)


@case(raises="ConnectionError")
def nested_retries_used_up():
    """A retry policy around a subgraph whose second step always fails."""

    def fails(_: InnerLog) -> dict:
        raise ConnectionError("always")

    return between(built(("s1", says("s1")), ("fails", fails)), retry_policy=SOON)


@case(raises="ValueError")
def nested_failure():
    """The third step of a subgraph fails, beside one that goes on."""
    return beside(fails=built(("s1", says("s1")), ("s2", says("s2")), ("boom", boom)), whole=steps("w", 1))


def handled(state: Any, error: NodeError) -> dict:
    return {"log": [f"handled {error.node} {type(error.error).__name__}"]}


@case()
def nested_error_handler_around():
    """An error handler of the subgraph's node, whose second step fails; another subgraph goes on."""
    builder = log_graph("end")
    builder.add_node("fails", built(("s1", says("s1")), ("boom", boom)), error_handler=handled)
    builder.add_node("whole", steps("w", 4))
    builder.add_edge(START, "fails")
    builder.add_edge(START, "whole")
    builder.add_edge(["whole"], "end")
    return builder.compile()


@case()
def nested_error_handler_inside():
    """An error handler of a node inside the subgraph, beside one that goes on."""
    inner = StateGraph(InnerLog, input_schema=Nothing, output_schema=OnlyLog)
    inner.add_node("boom", boom, error_handler=handled)
    inner.add_node("long", steps("l", 4))
    inner.add_edge(START, "boom")
    inner.add_edge(START, "long")
    return between(inner.compile())


class Limits(TypedDict, total=False):
    inner: Annotated[list, operator.add]
    log: Annotated[list, operator.add]
    remaining: RemainingSteps
    last: IsLastStep


def counts_down(state: Any) -> dict:
    return {"log": [[state["remaining"], state["last"]]]}


def counting_steps(number: int, **compiled: Any) -> Any:
    return built(*((f"s{at}", counts_down) for at in range(number)), schema=Limits, **compiled)


@case(config={"recursion_limit": 8})
def nested_remaining_steps():
    """What nodes of a subgraph are told about their limit, at two levels."""
    deep = built(("d1", counts_down), ("deeper", counting_steps(4)), ("d2", counts_down), schema=Limits)
    return between(deep)


@case(config={"recursion_limit": 8})
def nested_remaining_steps_with_memory():
    """The same for a subgraph with memory, whose steps are counted on over its visits."""
    builder = log_graph("note")
    builder.add_node("sub", counting_steps(5, checkpointer=True))
    builder.add_edge(START, "sub")
    builder.add_edge("sub", "note")
    builder.add_conditional_edges("note", lambda s: "sub" if s["log"].count("note") < 3 else END)
    return builder.compile()


def endless() -> Any:
    inner = StateGraph(InnerLog, input_schema=Nothing, output_schema=OnlyLog)
    inner.add_node("again", lambda _: {"inner": ["again"]})
    inner.add_edge(START, "again")
    inner.add_conditional_edges("again", lambda _: "again", ["again"])
    return inner.compile()


@case(raises="GraphRecursionError", config={"recursion_limit": 7})
def nested_without_end():
    """A subgraph that never ends meets the run's limit by itself."""
    return between(endless())


@case(config={"recursion_limit": 6})
def nested_limit_is_handled():
    """A subgraph that never ends meets the limit, and the error handler around it goes on."""
    return between(endless(), error_handler=handled)


@case(config={"recursion_limit": 9})
def nested_limit_of_a_called_graph():
    """A graph that is called late in a subgraph has the whole limit again."""
    called = chain(*(f"c{at}" for at in range(7)), checkpointer=False)

    def call(_: InnerLog) -> dict:
        return {"log": [len(called.invoke({"log": []})["log"])]}

    return between(built(*((f"s{at}", says(f"s{at}")) for at in range(5)), ("call", call)))


class Kept(TypedDict, total=False):
    inner: Annotated[list, operator.add]
    log: Annotated[list, operator.add]
    seen: Annotated[int, UntrackedValue]


def sees(state: Kept) -> dict:
    return {"seen": state.get("seen", 0) + 1, "log": [state.get("seen", "nothing")]}


@case(answer=capital, asks=2)
def nested_untracked_value():
    """An UntrackedValue lasts over a subgraph's steps, not over its questions, nor into its next visit."""
    sub = built(
        ("s1", sees),
        ("s2", sees),
        ("ask", asks("go on?")),
        ("s3", sees),
        ("s4", sees),
        schema=Kept,
        checkpointer=True,
    )
    builder = log_graph("note")
    builder.add_node("sub", sub)
    builder.add_edge(START, "sub")
    builder.add_edge("sub", "note")
    builder.add_conditional_edges("note", lambda s: "sub" if s["log"].count("note") < 2 else END)
    return builder.compile()


@case(later=({"log": []},))
def nested_cached():
    """A subgraph's node with a cache policy, on two runs of the thread."""
    return between(steps("s", 3), cache=InMemoryCache(), cache_policy=CachePolicy(key_func=lambda _: "same"))


@case(input={"log": []}, answer=capital, asks=1)
def nested_shared_state():
    """A subgraph on the parent's own schema that asks between its steps."""
    sub = StateGraph(Own)
    sub.add_node("prepare", lambda _: {"turns": ["prepared"]})
    sub.add_node("ask", lambda _: {"answer": interrupt("deep?")})
    sub.add_node("conclude", lambda s: {"turns": [s["answer"]]})
    sub.add_node("more", lambda s: {"turns": [len(s["turns"])]})
    sub.add_edge(START, "prepare")
    sub.add_edge("prepare", "ask")
    sub.add_edge("ask", "conclude")
    sub.add_edge("conclude", "more")
    builder = StateGraph(Shared)
    builder.add_node("sub", sub.compile())
    builder.add_node("end", lambda s: {"log": [s["answer"], *s["turns"]]})
    builder.add_edge(START, "sub")
    builder.add_edge("sub", "end")
    return builder.compile()
