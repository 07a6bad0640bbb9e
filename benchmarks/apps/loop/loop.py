"""A graph that counts."""

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict):
    """Where the count is and where it ends."""

    n: int
    until: int


def step(state: State) -> dict[str, int]:
    """Count one further."""
    return {"n": state["n"] + 1}


builder = StateGraph(State)
builder.add_node("step", step)
builder.add_edge(START, "step")
builder.add_conditional_edges("step", lambda state: END if state["n"] >= state["until"] else "step")
graph = builder.compile()
