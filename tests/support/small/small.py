"""Small graphs that the HTTP tests run."""

import asyncio
import operator
import os
from pathlib import Path
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt


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


def _spread(count):
    builder = StateGraph(State)
    builder.add_node("begin", _say("begin"))
    builder.add_node("work", _work)
    builder.add_node("join", lambda state: {"out": [len(state["out"])]})
    builder.add_edge(START, "begin")
    builder.add_conditional_edges("begin", lambda _: [Send("work", {"n": n}) for n in range(count)])
    builder.add_edge("work", "join")
    builder.add_edge("join", END)
    return builder.compile()


async def _work(state):
    with Path(os.environ["EXECUTIONS"], "work").open("a") as notes:  # noqa: ASYNC230 -- one short line
        notes.write(f"{os.getpid()} {state['n']}\n")
    await asyncio.sleep(0.1)
    return {"out": [state["n"]]}


spread = _spread(8)
echo = _chain(("a", _say("a")), ("b", _say("b")))
ask = _chain(("before", _say("before")), ("ask", lambda _: {"out": [interrupt({"question": "ok?"})]}))
ask_two = _ask_two()
stop = _chain(("a", _say("a")), ("b", _say("b")), interrupt_before=["b"])
boom = _chain(("a", _say("a")), ("b", _fail))
slow = _chain(*((f"s{number}", _sleep) for number in range(20)))
