"""Graphs of the shapes that azure-functions-langgraph shows in its own examples, written anew."""

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from tests.support.catalogue_graphs.case import Case

Turn = dict[str, str]


class Talk(TypedDict, total=False):
    """A conversation as plain dictionaries, without a reducer: every node writes the whole list."""

    messages: list[Turn]
    greeting: str
    turn: int


def spoken(state: Talk, text: str) -> list[Turn]:
    """The conversation with one more turn of the assistant."""
    return [*state["messages"], {"role": "assistant", "content": text}]


def last_word(state: Talk) -> str:
    """What was said last."""
    return state["messages"][-1]["content"] if state["messages"] else ""


def row_of(**nodes: Any) -> CompiledStateGraph:
    """Nodes one after the other."""
    builder = StateGraph(Talk)
    for name, node in nodes.items():
        builder.add_node(name, node)
    for before, after in zip((START, *nodes), (*nodes, END), strict=True):
        builder.add_edge(before, after)
    return builder.compile()


def greeting_and_farewell() -> CompiledStateGraph:
    """Two nodes in a row, as in `simple_agent` and `e2e_app`."""
    return row_of(
        greet=lambda state: {"greeting": f"Good day, {last_word(state)}."},
        part=lambda state: {"messages": spoken(state, f"{state['greeting']} Farewell.")},
    )


def echo() -> CompiledStateGraph:
    """One node, as in `platform_compat_sdk`, `openapi_bridge` and, twice, `production_auth`."""
    return row_of(reply=lambda state: {"messages": spoken(state, f"you said {last_word(state)}")})


def counted_turns() -> CompiledStateGraph:
    """A thread that counts its turns, as in the examples of Blob, Table, Cosmos, Postgres and SQLite storage."""

    def respond(state: Talk) -> Talk:
        turn = state.get("turn", 0) + 1
        return {"messages": spoken(state, f"turn {turn}: {last_word(state)}"), "turn": turn}

    return row_of(respond=respond)


def says(text: str) -> dict[str, list[Turn]]:
    """What a user says."""
    return {"messages": [{"role": "user", "content": text}]}


EXAMPLES: dict[str, Case] = {
    build.__name__: Case(build.__name__, (build.__doc__ or "").strip(), build, says("Ada"), later=later)
    for build, later in (
        (greeting_and_farewell, ()),
        (echo, ()),
        (counted_turns, (says("again"), says("once more"))),
    )
}
