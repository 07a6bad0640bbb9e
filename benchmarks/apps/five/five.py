"""A graph of five steps, and one that asks before its last step and notes when it goes on."""

import time
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

STEPS = 5


class State(TypedDict, total=False):
    """How many steps were made, what was answered, and when the run went on (seconds since 1970)."""

    n: int
    answer: Any
    resumed_at: float


def one(state: State) -> State:
    """Count a step."""
    return {"n": state.get("n", 0) + 1}


def ask(_: State) -> State:
    """Wait for an answer."""
    return {"answer": interrupt("go on?")}


def note(_: State) -> State:
    """Say when this was."""
    return {"resumed_at": time.time()}


_five = StateGraph(State)
for _at in range(STEPS):
    _five.add_node(f"step{_at}", one)
    _five.add_edge(f"step{_at - 1}" if _at else START, f"step{_at}")
_five.add_edge(f"step{STEPS - 1}", END)
graph = _five.compile()

_asking = StateGraph(State)
_asking.add_node("ask", ask)
_asking.add_node("note", note)
_asking.add_edge(START, "ask")
_asking.add_edge("ask", "note")
_asking.add_edge("note", END)
asking = _asking.compile()
