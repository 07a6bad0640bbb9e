"""How a graph of the tests is offered to a host: as a factory that a ``langgraph.json`` can name, and counted.

Each graph notes its executions in a file of its name in the folder `EXECUTIONS`. One process builds a graph once, so
that a cache or a store that belongs to a graph lives as long as it would in a server.

The modules `served_*` have the factories; there are several, because importing the real applications takes long.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from tests.support.catalogue_graphs.case import Built
from tests.support.plain import Counted, counting


def noted(name: str, build: Callable[[], Built]) -> Built:
    """The graph, counted in the file of this name; a builder stays a builder."""
    built = build()
    path = Path(os.environ["EXECUTIONS"]) / name
    if not isinstance(built, StateGraph):
        return counting(built, path)
    for node, spec in built.nodes.items():
        if isinstance(spec.runnable, Pregel):
            counting(spec.runnable, path)  # wrapped it would be no declared subgraph any more
            continue
        built.nodes[node] = replace(spec, runnable=Counted(node, spec.runnable, path))
    return built


def factory(name: str, build: Callable[[], Built]) -> Callable[[], Built]:
    """A function without parameters, as LangGraph's own tools take them."""

    @cache
    def once() -> Built:
        return noted(name, build)

    def make() -> Built:
        return once()

    make.__name__ = name
    return make
