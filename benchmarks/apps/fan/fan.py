"""Graphs whose second super-step has as many tasks as asked for: they sleep, burn a core, or do nothing."""

import hashlib
import operator
import os
import time
from typing import Annotated

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

BLOCK = b"x" * 1024


class State(TypedDict, total=False):
    """How many tasks of which size, and who did them."""

    tasks: int
    amount: float
    done: Annotated[list[list[int]], operator.add]


class Task(TypedDict):
    """One task."""

    number: int
    amount: float


def sleep(task: Task) -> State:
    """Sleep so many seconds."""
    time.sleep(task["amount"])
    return {"done": [[task["number"], os.getpid()]]}


def burn(task: Task) -> State:
    """Hash so many megabytes in Python's own thread, a kilobyte at a time: the interpreter's lock stays busy."""
    digest = hashlib.sha256()
    for _ in range(int(task["amount"] * 1024)):
        digest.update(BLOCK)
    return {"done": [[task["number"], os.getpid()]]}


def nothing(task: Task) -> State:
    """Only tell that it ran."""
    return {"done": [[task["number"], os.getpid()]]}


def _graph(node):  # noqa: ANN001, ANN202 -- a node is any function
    builder = StateGraph(State)
    builder.add_node("begin", lambda _: {})
    builder.add_node("task", node)
    builder.add_edge(START, "begin")
    builder.add_conditional_edges(
        "begin",
        lambda state: [Send("task", {"number": at, "amount": state["amount"]}) for at in range(state["tasks"])],
        ["task"],
    )
    builder.add_edge("task", END)
    return builder.compile()


sleeping = _graph(sleep)
burning = _graph(burn)
idle = _graph(nothing)
