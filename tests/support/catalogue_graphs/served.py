"""Every graph of the tests as an attribute that a ``langgraph.json`` can name: ``…served:NAME``.

Each notes its executions in a file of its name in the folder `EXECUTIONS`. One process builds a graph once, so that a
cache or a store that belongs to a graph lives as long as it would in a server.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from langgraph.graph import StateGraph

from tests.support.apps import APPS
from tests.support.catalogue import CASES
from tests.support.catalogue_graphs.case import Built
from tests.support.plain import Counted, counting

SHIPPED = ("expense_approval", "document_pipeline", "tool_agent")


def noted(name: str, build: Callable[[], Built]) -> Built:
    """The graph, counted in the file of this name; a builder stays a builder."""
    built = build()
    path = Path(os.environ["EXECUTIONS"]) / name
    if not isinstance(built, StateGraph):
        return counting(built, path)
    for node, spec in built.nodes.items():
        built.nodes[node] = replace(spec, runnable=Counted(node, spec.runnable, path))
    return built


def shipped(name: str) -> Callable[[], Built]:
    """How to build one of the graphs that ship: a module's graph, or what its factory makes."""

    def build() -> Any:
        graph = importlib.import_module(f"graphs.{name}").graph
        return graph() if name == "tool_agent" else graph

    return build


def factory(name: str, build: Callable[[], Built]) -> Callable[[], Built]:
    """A function without parameters, as LangGraph's own tools take them."""

    @cache
    def once() -> Built:
        return noted(name, build)

    def make() -> Built:
        return once()

    make.__name__ = name
    return make


BUILDS = {case.name: case.build for case in (*CASES.values(), *APPS.values())}
BUILDS |= {name: shipped(name) for name in SHIPPED}

globals().update({name: factory(name, build) for name, build in BUILDS.items()})
