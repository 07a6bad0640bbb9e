"""Send: payloads, their order, and what runs beside them."""

import operator
from typing import Annotated

from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send
from typing_extensions import TypedDict

from tests.support.catalogue_graphs.case import Log, case, log_graph, says


class Numbers(TypedDict, total=False):
    numbers: list[int]
    squares: Annotated[list[int], operator.add]
    total: int


class One(TypedDict):
    number: int


def square(state: One) -> dict:
    return {"squares": [state["number"] ** 2]}


def each(state: Numbers) -> list[Send]:
    return [Send("square", {"number": number}) for number in state["numbers"]]


@case(input={"numbers": [3, 1, 2, 5]})
def map_reduce():
    """Every Send carries its own payload, and results are reduced in the order of the Sends."""
    builder = StateGraph(Numbers)
    builder.add_node("square", square)
    builder.add_node("add", lambda s: {"total": sum(s["squares"])})
    builder.add_conditional_edges(START, each, ["square"])
    builder.add_edge("square", "add")
    return builder.compile()


@case(input={"numbers": list(range(24))})
def wide_map():
    """Two dozen tasks in one super-step."""
    builder = StateGraph(Numbers)
    builder.add_node("plan", lambda _: {})
    builder.add_node("square", square)
    builder.add_node("add", lambda s: {"total": sum(s["squares"])})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", each, ["square"])
    builder.add_edge("square", "add")
    return builder.compile()


@case(input={"numbers": [7, 7, 7]})
def equal_payloads():
    """Equal payloads are not the same task."""
    builder = StateGraph(Numbers)
    builder.add_node("square", square)
    builder.add_conditional_edges(START, each, ["square"])
    return builder.compile()


@case(input={"numbers": []})
def no_sends():
    """No Send, no task: the run is over."""
    builder = StateGraph(Numbers)
    builder.add_node("plan", lambda _: {"total": 0})
    builder.add_node("square", square)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", each, ["square"])
    return builder.compile()


@case()
def sends_to_several_nodes():
    """Sends of one step may go to different nodes, mixed."""
    builder = StateGraph(Log)
    builder.add_node("a", lambda s: {"log": [f"a{s['n']}"]})
    builder.add_node("b", lambda s: {"log": [f"b{s['n']}"]})
    builder.add_conditional_edges(
        START, lambda _: [Send("b", {"n": 1}), Send("a", {"n": 2}), Send("b", {"n": 3})], ["a", "b"]
    )
    return builder.compile()


@case()
def sends_beside_edges():
    """Sent tasks and a node on an ordinary edge share a super-step."""
    builder = log_graph("plan", "other", "end")
    builder.add_node("work", lambda s: {"log": [f"work{s['n']}"]})
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "other")
    builder.add_conditional_edges("plan", lambda _: [Send("work", {"n": n}) for n in (2, 1)], ["work"])
    builder.add_edge("work", "end")
    builder.add_edge("other", "end")
    return builder.compile()


@case()
def sends_by_command():
    """A node sends by what it returns."""
    builder = StateGraph(Log)

    def plan(state: Log) -> Command:
        return Command(update={"log": ["plan"]}, goto=[Send("work", {"n": 1}), Send("work", {"n": 2}), "other"])

    builder.add_node("plan", plan, destinations=("work", "other"))
    builder.add_node("work", lambda s: {"log": [f"work{s['n']}"]})
    builder.add_node("other", says("other"))
    builder.add_edge(START, "plan")
    return builder.compile()


@case()
def sends_that_send():
    """A sent task sends on; each generation is a super-step."""
    builder = StateGraph(Log)

    def split(state: dict) -> Command:
        n = state["n"]
        return Command(update={"log": [n]}, goto=[Send("split", {"n": n // 2}) for _ in range(2)] if n > 1 else [])

    builder.add_node("split", split, destinations=("split",))
    builder.add_conditional_edges(START, lambda _: [Send("split", {"n": 4})], ["split"])
    return builder.compile()


@case()
def send_rounds():
    """A loop that fans out again in every round."""
    builder = log_graph("plan", "gather")
    builder.add_node("work", lambda s: {"log": [f"work{s['n']}"]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges(
        "plan", lambda s: [Send("work", {"n": s["log"].count("plan") * 10 + n}) for n in range(3)], ["work"]
    )
    builder.add_edge("work", "gather")
    builder.add_conditional_edges("gather", lambda s: "plan" if s["log"].count("gather") < 3 else END)
    return builder.compile()


class Inner(TypedDict, total=False):
    n: int
    half: float
    log: Annotated[list, operator.add]


class InnerOut(TypedDict):
    log: Annotated[list, operator.add]


@case()
def sends_into_a_subgraph():
    """Each Send runs a subgraph of two steps."""
    inner = StateGraph(Inner, output_schema=InnerOut)
    inner.add_node("halve", lambda s: {"half": s["n"] / 2})
    inner.add_node("say", lambda s: {"log": [s["half"]]})
    inner.add_edge(START, "halve")
    inner.add_edge("halve", "say")
    builder = log_graph("plan", "end")
    builder.add_node("sub", inner.compile())
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda _: [Send("sub", {"n": n}) for n in (3, 1, 2)], ["sub"])
    builder.add_edge("sub", "end")
    return builder.compile()


@case(input={"numbers": [1, 2]})
def sends_into_a_deferred_join():
    """Map, a longer branch beside it, and a deferred reduce."""
    builder = StateGraph(Numbers)
    builder.add_node("plan", lambda _: {})
    builder.add_node("square", square)
    builder.add_node("slow", lambda _: {"squares": [100]})
    builder.add_node("slower", lambda _: {"squares": [1000]})
    builder.add_node("add", lambda s: {"total": sum(s["squares"])}, defer=True)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", each, ["square"])
    builder.add_edge("plan", "slow")
    builder.add_edge("slow", "slower")
    builder.add_edge("slower", "add")
    builder.add_edge("square", "add")
    return builder.compile()
