"""Small graphs that the HTTP tests run."""

import asyncio
import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    out: Annotated[list, operator.add]


def _chain(*nodes, **options):
    builder = StateGraph(State)
    before = START
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    builder.add_edge(before, END)
    return builder.compile(**options)


def _say(word):
    return lambda _: {"out": [word]}


def _fail(_):
    raise ValueError("the ledger is closed")


async def _sleep(_):
    await asyncio.sleep(1.5)
    return {"out": ["slept"]}


def _ask_two():
    builder = StateGraph(State)
    for name in ("left", "right"):
        builder.add_node(name, lambda _, name=name: {"out": [[name, interrupt(f"{name}?")]]})
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    return builder.compile()


echo = _chain(("a", _say("a")), ("b", _say("b")))
ask = _chain(("before", _say("before")), ("ask", lambda _: {"out": [interrupt({"question": "ok?"})]}))
ask_two = _ask_two()
stop = _chain(("a", _say("a")), ("b", _say("b")), interrupt_before=["b"])
boom = _chain(("a", _say("a")), ("b", _fail))
slow = _chain(*((f"s{number}", _sleep) for number in range(20)))
