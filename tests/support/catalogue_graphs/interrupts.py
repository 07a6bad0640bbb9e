"""Interrupts and static breakpoints."""

import operator
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from tests.support.catalogue_graphs.case import Log, case, chain, log_graph, says


def asks(question: Any):
    def node(state: Any) -> dict:
        return {"log": [interrupt(question)]}

    return node


def echo(value: Any) -> Any:
    """The answer to a question is the question, in capitals."""
    return str(value).upper()


@case(answer=echo, asks=1)
def one_interrupt():
    """A node asks and goes on with the answer."""
    builder = log_graph("before", "after")
    builder.add_node("ask", asks("name?"))
    builder.add_edge(START, "before")
    builder.add_edge("before", "ask")
    builder.add_edge("ask", "after")
    return builder.compile()


@case(answer=echo, asks=1)
def interrupt_in_the_first_node():
    """Nothing ran before the question."""
    builder = StateGraph(Log)
    builder.add_node("ask", asks("name?"))
    builder.add_edge(START, "ask")
    return builder.compile()


@case(answer=lambda value: {"name": "Ada", "age": "36"}[value["ask"]], asks=2)
def two_interrupts_in_a_node():
    """A node asks twice; the second question may depend on the first answer."""

    def node(state: Log) -> dict:
        name = interrupt({"ask": "name"})
        age = interrupt({"ask": "age", "of": name})
        return {"log": [name, age]}

    builder = log_graph("after")
    builder.add_node("ask", node)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "after")
    return builder.compile()


@case(answer=lambda n: n + 1, asks=3)
def interrupts_counted_in_a_node():
    """A node asks in a loop of its own."""

    def node(state: Log) -> dict:
        answers = [interrupt(n) for n in range(3)]
        return {"log": answers}

    builder = StateGraph(Log)
    builder.add_node("ask", node)
    builder.add_edge(START, "ask")
    return builder.compile()


@case(answer=lambda tries: "yes" if tries == 3 else "no", asks=4)
def interrupt_in_a_loop():
    """A node asks until the answer is yes."""

    def node(state: Log) -> Command:
        answer = interrupt(len(state["log"]))
        return Command(update={"log": [answer]}, goto="end" if answer == "yes" else "ask")

    builder = log_graph("end")
    builder.add_node("ask", node, destinations=("ask", "end"))
    builder.add_edge(START, "ask")
    return builder.compile()


@case(answer=echo, asks=1)
def parallel_interrupts():
    """Two nodes of one step ask; each gets its own answer."""
    builder = log_graph("after")
    builder.add_node("left", asks("left?"))
    builder.add_node("right", asks("right?"))
    builder.add_edge(START, "left")
    builder.add_edge(START, "right")
    builder.add_edge("left", "after")
    builder.add_edge("right", "after")
    return builder.compile()


@case(answer=echo, asks=1)
def interrupt_beside_a_finished_node():
    """A node that finished beside the question does not run again."""
    builder = log_graph("work", "after")
    builder.add_node("ask", asks("go on?"))
    builder.add_edge(START, "work")
    builder.add_edge(START, "ask")
    builder.add_edge("work", "after")
    builder.add_edge("ask", "after")
    return builder.compile()


@case(answer=lambda value: value, asks=2)
def parallel_nodes_with_two_interrupts_each():
    """Answers find their node and their place in it."""

    def twice(name: str):
        def node(state: Log) -> dict:
            return {"log": [interrupt(f"{name}1"), interrupt(f"{name}2")]}

        return node

    builder = log_graph("after")
    builder.add_node("left", twice("left"))
    builder.add_node("right", twice("right"))
    builder.add_edge(START, "left")
    builder.add_edge(START, "right")
    builder.add_edge(["left", "right"], "after")
    return builder.compile()


@case(answer=lambda n: n * 10, asks=1)
def interrupts_in_sent_tasks():
    """Each of several sent tasks asks with its own payload."""
    builder = log_graph("after")
    builder.add_node("ask", lambda s: {"log": [interrupt(s["n"])]})
    builder.add_conditional_edges(START, lambda _: [Send("ask", {"n": n}) for n in (3, 1, 2)], ["ask"])
    builder.add_edge("ask", "after")
    return builder.compile()


@case(answer=lambda _: None if _ == "none?" else False, asks=2)
def falsy_answers():
    """None and False are answers."""
    builder = StateGraph(Log)
    builder.add_node("a", asks("none?"))
    builder.add_node("b", asks("false?"))
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder.compile()


@case(answer=lambda value: {"items": [1, {"ü": None}], "asked": value}, asks=1)
def structured_question_and_answer():
    """Questions and answers are any JSON."""
    builder = StateGraph(Log)
    builder.add_node("ask", asks({"fields": [{"name": "ü", "options": [1, 2.5, None, True]}]}))
    builder.add_edge(START, "ask")
    return builder.compile()


@case(answer=echo, asks=1)
def async_interrupt():
    """A coroutine asks."""

    async def node(state: Log) -> dict:
        return {"log": [interrupt("name?")]}

    builder = log_graph("after")
    builder.add_node("ask", node)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "after")
    return builder.compile()


@case(answer=echo, asks=1)
def interrupt_with_the_same_question():
    """Equal questions of one step are still two questions."""
    builder = StateGraph(Log)
    builder.add_node("left", asks("sure?"))
    builder.add_node("right", asks("sure?"))
    builder.add_edge(START, "left")
    builder.add_edge(START, "right")
    return builder.compile()


class Form(TypedDict):
    size: int


@case(answer=lambda _: {"size": 3}, asks=1)
def interrupt_with_a_response_schema():
    """A question says what its answer looks like."""
    builder = StateGraph(Log)
    builder.add_node("ask", lambda _: {"log": [interrupt("size?", response_schema=Form)]})
    builder.add_edge(START, "ask")
    return builder.compile()


@case(stops=1)
def breakpoint_before():
    """A compiled breakpoint before a node."""
    return chain("a", "b", "c", interrupt_before=["b"])


@case(stops=1)
def breakpoint_after():
    """A compiled breakpoint after a node."""
    return chain("a", "b", "c", interrupt_after=["b"])


@case(stops=3)
def breakpoints_everywhere():
    """A breakpoint before every node."""
    return chain("a", "b", "c", interrupt_before="*")


@case(stops=3)
def breakpoint_in_a_loop():
    """A breakpoint stops in every round."""
    builder = log_graph("a", "b")
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    builder.add_conditional_edges("b", lambda s: "a" if len(s["log"]) < 6 else END)
    return builder.compile(interrupt_before=["b"])


@case(answer=echo, asks=1, stops=1)
def breakpoint_before_a_question():
    """A breakpoint and a question at the same node."""
    builder = log_graph("before")
    builder.add_node("ask", asks("name?"))
    builder.add_edge(START, "before")
    builder.add_edge("before", "ask")
    return builder.compile(interrupt_before=["ask"])


@case(answer=echo, asks=1, stops=1)
def breakpoint_after_a_question():
    """A question, then a breakpoint."""
    builder = log_graph("after")
    builder.add_node("ask", asks("name?"))
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "after")
    return builder.compile(interrupt_after=["ask"])


class Drafts(TypedDict):
    log: Annotated[list, operator.add]
    draft: str


@case(input={"log": [], "draft": "v1"}, answer=lambda v: {"v1": "v2", "v2": "ok"}[v], asks=2)
def review_loop():
    """A reviewer edits until it is fine: the pattern of an approval."""

    def review(state: Drafts) -> Command:
        answer = interrupt(state["draft"])
        if answer == "ok":
            return Command(goto="publish", update={"log": ["ok"]})
        return Command(goto="review", update={"draft": answer, "log": [answer]})

    builder = StateGraph(Drafts)
    builder.add_node("review", review, destinations=("review", "publish"))
    builder.add_node("publish", says("published"))
    builder.add_edge(START, "review")
    return builder.compile()


@case(answer=echo, asks=2, later=({"log": ["second"]},))
def interrupts_of_two_runs_on_a_thread():
    """The second run's question is its own."""
    builder = log_graph("before")
    builder.add_node("ask", lambda s: {"log": [interrupt(len(s["log"]))]})
    builder.add_edge(START, "before")
    builder.add_edge("before", "ask")
    return builder.compile()
