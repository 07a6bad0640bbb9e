"""Which graphs are run, by what they are about."""

import inspect
from collections.abc import Iterable

from tests.support.catalogue import CASES, Case
from tests.support.catalogue_graphs.peer_examples import EXAMPLES

NOT_OF_LANGGRAPH = {"store_of_the_app"}
"""Cases of ours about what a server adds to LangGraph: no peer is held to them."""

AREAS = {
    "edges": "Edges: joins, several and conditional starts, deferred nodes, loops",
    "sends": "`Send`: payloads, rounds, into subgraphs and joins",
    "commands": "`Command`: goto, update, to the parent",
    "interrupts": "`interrupt()` and static breakpoints: parallel, several in a node, in loops",
    "subgraphs": "Subgraphs: as nodes, called, with memory, with interrupts",
    "states": "State: reducers, pydantic, dataclasses, delta channels",
    "messages": "Messages and tools",
    "failures": "Errors: retries, handlers, timeouts",
    "functional": "The functional API",
    "nested": "Graphs within graphs, many steps deep",
    "settings": "Limits, context, configuration, Store, cache",
    "peer_examples": "Graphs of the shapes of azure-functions-langgraph's own examples",
}
"""Module of the catalogue -> its heading on the page."""


def chosen() -> dict[str, Case]:
    """Every case that is run, by name."""
    return {name: case for name, case in (CASES | EXAMPLES).items() if name not in NOT_OF_LANGGRAPH}


def area_of(case: Case) -> str:
    """The module that a case stands in."""
    module = inspect.getmodule(case.build)
    return module.__name__.rpartition(".")[2] if module else ""


def by_area(names: Iterable[str]) -> dict[str, list[str]]:
    """These cases under the areas that they belong to, in the order of the page."""
    cases = chosen()
    found = {area: [name for name in names if area_of(cases[name]) == area] for area in AREAS}
    return {area: members for area, members in found.items() if members}
