"""Subgraphs: as nodes, called inside nodes, with a memory of their own."""

import operator
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

from tests.support.catalogue_graphs.case import Log, case, chain, log_graph, says


class Own(TypedDict, total=False):
    question: str
    answer: Any
    turns: Annotated[list, operator.add]


def remembering(**compile_with: Any):
    """A subgraph that counts how often it was called."""
    builder = StateGraph(Own)
    builder.add_node("turn", lambda s: {"turns": [s["question"]]})
    builder.add_node("tell", lambda s: {"answer": len(s["turns"])})
    builder.add_edge(START, "turn")
    builder.add_edge("turn", "tell")
    return builder.compile(**compile_with)


def asking(question: str, **compile_with: Any):
    """A subgraph that does a step, asks, and does another."""
    builder = StateGraph(Own)
    builder.add_node("prepare", lambda _: {"turns": ["prepared"]})
    builder.add_node("ask", lambda _: {"answer": interrupt(question)})
    builder.add_node("conclude", lambda s: {"turns": [s["answer"]]})
    builder.add_edge(START, "prepare")
    builder.add_edge("prepare", "ask")
    builder.add_edge("ask", "conclude")
    return builder.compile(**compile_with)


def calls(subgraph, word: str):
    """A node that calls a subgraph with its own state."""

    def node(state: Log) -> dict:
        result = subgraph.invoke({"question": word})
        return {"log": [f"{word}: {result['answer']} {result['turns']}"]}

    return node


class InnerLog(TypedDict, total=False):
    inner: Annotated[list, operator.add]
    log: Annotated[list, operator.add]


class OnlyLog(TypedDict):
    log: Annotated[list, operator.add]


class Nothing(TypedDict, total=False):
    unused: int


@case()
def subgraph_as_a_node():
    """A subgraph with a schema of its own, added as a node."""
    inner = StateGraph(InnerLog, input_schema=Nothing, output_schema=OnlyLog)
    inner.add_node("in1", lambda _: {"inner": ["in1"]})
    inner.add_node("in2", lambda s: {"log": [f"after {s['inner']}"]})
    inner.add_edge(START, "in1")
    inner.add_edge("in1", "in2")
    builder = log_graph("a", "b")
    builder.add_node("sub", inner.compile())
    builder.add_edge(START, "a")
    builder.add_edge("a", "sub")
    builder.add_edge("sub", "b")
    return builder.compile()


@case()
def subgraph_that_shares_state():
    """A subgraph on the parent's schema gives its whole list back, which the reducer adds once more."""
    builder = log_graph("a", "b")
    builder.add_node("sub", chain("in1", "in2"))
    builder.add_edge(START, "a")
    builder.add_edge("a", "sub")
    builder.add_edge("sub", "b")
    return builder.compile()


@case()
def subgraph_called_in_a_node():
    """A node calls a subgraph."""
    sub = remembering()
    builder = log_graph("end")
    builder.add_node("call", calls(sub, "one"))
    builder.add_edge(START, "call")
    builder.add_edge("call", "end")
    return builder.compile()


@case()
def subgraph_with_memory():
    """A subgraph with `checkpointer=True` remembers its earlier calls of the thread."""
    sub = remembering(checkpointer=True)

    def node(state: Log) -> dict:
        result = sub.invoke({"question": f"q{len(state['log'])}"})
        return {"log": [result["turns"]]}

    builder = StateGraph(Log)
    builder.add_node("call", node)
    builder.add_edge(START, "call")
    builder.add_conditional_edges("call", lambda s: "call" if len(s["log"]) < 4 else END)
    return builder.compile()


class Shared(TypedDict, total=False):
    question: str
    turns: Annotated[list, operator.add]
    answer: Any
    log: Annotated[list, operator.add]


class Answered(TypedDict):
    answer: Any


@case(input={"question": "q", "log": []})
def subgraph_node_with_memory():
    """The same, added as a node and visited in a loop."""
    sub = StateGraph(Own, output_schema=Answered)
    sub.add_node("turn", lambda s: {"turns": [s["question"]]})
    sub.add_node("tell", lambda s: {"answer": len(s["turns"])})
    sub.add_edge(START, "turn")
    sub.add_edge("turn", "tell")
    builder = StateGraph(Shared)
    builder.add_node("sub", sub.compile(checkpointer=True))
    builder.add_node("note", lambda s: {"log": [s["answer"]]})
    builder.add_edge(START, "sub")
    builder.add_edge("sub", "note")
    builder.add_conditional_edges("note", lambda s: "sub" if len(s["log"]) < 3 else END)
    return builder.compile()


@case()
def subgraph_without_checkpoints():
    """A subgraph with `checkpointer=False`."""
    builder = log_graph("end")
    builder.add_node("call", calls(remembering(checkpointer=False), "one"))
    builder.add_edge(START, "call")
    builder.add_edge("call", "end")
    return builder.compile()


@case()
def three_levels():
    """A subgraph of a subgraph of a graph."""
    middle = log_graph("m1", "m2")
    middle.add_node("inner", chain("i1", "i2"))
    middle.add_edge(START, "m1")
    middle.add_edge("m1", "inner")
    middle.add_edge("inner", "m2")
    builder = log_graph("end")
    builder.add_node("middle", middle.compile())
    builder.add_edge(START, "middle")
    builder.add_edge("middle", "end")
    return builder.compile()


@case()
def parallel_subgraphs():
    """Two subgraphs in one step."""
    builder = log_graph("end")
    builder.add_node("left", chain("l1", "l2"))
    builder.add_node("right", chain("r1", "r2", "r3"))
    builder.add_edge(START, "left")
    builder.add_edge(START, "right")
    builder.add_edge(["left", "right"], "end")
    return builder.compile()


def capital(value: Any) -> str:
    return str(value).upper()


@case(input={"log": []}, answer=capital, asks=1)
def interrupt_in_a_subgraph():
    """A node of a subgraph asks; what the subgraph did before is not done again."""
    builder = StateGraph(Shared)
    builder.add_node("sub", asking("deep?"))
    builder.add_node("end", lambda s: {"log": [s["answer"]]})
    builder.add_edge(START, "sub")
    builder.add_edge("sub", "end")
    return builder.compile()


@case(answer=capital, asks=1)
def interrupt_in_a_called_subgraph():
    """A subgraph called inside a node asks; the node runs again from its top, the subgraph does not."""
    builder = log_graph("end")
    builder.add_node("call", calls(asking("deep?"), "one"))
    builder.add_edge(START, "call")
    builder.add_edge("call", "end")
    return builder.compile()


@case(answer=capital, asks=2)
def interrupt_in_a_subgraph_with_memory():
    """A subgraph with memory asks in each of its calls."""
    sub = asking("deep?", checkpointer=True)
    builder = StateGraph(Log)
    builder.add_node("call", calls(sub, "one"))
    builder.add_edge(START, "call")
    builder.add_conditional_edges("call", lambda s: "call" if len(s["log"]) < 2 else END)
    return builder.compile()


@case(answer=capital, asks=1)
def interrupts_in_parallel_subgraphs():
    """Two subgraphs of one step ask; answers reach the right one."""
    builder = log_graph("end")
    for name in ("left", "right"):
        builder.add_node(name, calls(asking(f"{name}?"), name))
        builder.add_edge(START, name)
        builder.add_edge(name, "end")
    return builder.compile()


@case(answer=lambda n: n * 10, asks=1)
def interrupts_in_sent_subgraphs():
    """Each Send runs a subgraph that asks."""
    inner = StateGraph(InnerLog, output_schema=OnlyLog)
    inner.add_node("ask", lambda s: {"log": [interrupt(s["inner"][0])]})
    inner.add_edge(START, "ask")
    builder = log_graph("end")
    builder.add_node("sub", inner.compile())
    builder.add_conditional_edges(START, lambda _: [Send("sub", {"inner": [n]}) for n in (2, 1)], ["sub"])
    builder.add_edge("sub", "end")
    return builder.compile()


@case(answer=capital, asks=1)
def interrupt_two_levels_down():
    """A question from a subgraph of a subgraph."""
    innermost = StateGraph(Log)
    innermost.add_node("i1", says("i1"))
    innermost.add_node("ask", lambda _: {"log": [interrupt("deep?")]})
    innermost.add_edge(START, "i1")
    innermost.add_edge("i1", "ask")
    middle = log_graph("m1", "m2")
    middle.add_node("innermost", innermost.compile())
    middle.add_edge(START, "m1")
    middle.add_edge("m1", "innermost")
    middle.add_edge("innermost", "m2")
    builder = log_graph("end")
    builder.add_node("middle", middle.compile())
    builder.add_edge(START, "middle")
    builder.add_edge("middle", "end")
    return builder.compile()


@case(stops=1)
def breakpoint_in_a_subgraph():
    """A static breakpoint compiled into a subgraph."""
    builder = log_graph("end")
    builder.add_node("sub", chain("in1", "in2", interrupt_before=["in2"]))
    builder.add_edge(START, "sub")
    builder.add_edge("sub", "end")
    return builder.compile()
