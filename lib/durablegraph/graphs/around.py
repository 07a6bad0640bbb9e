"""Nodes that something is done around: the same graph, whose nodes execute a runnable that holds theirs."""

import copy
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import Runnable

from durablegraph.graphs.internals import Graph, same_identity


class Around(Runnable[Any, Any]):
    """Stands in the place of a node's runnable, under its name and identity."""

    def __init__(self, bound: Runnable[Any, Any]) -> None:
        self.name = getattr(bound, "name", None)
        self._bound = bound
        same_identity(self, bound)


def with_nodes(graph: Graph, make: Callable[[str, Runnable[Any, Any]], Runnable[Any, Any]]) -> Graph:
    """A copy of the graph whose nodes execute what is made of their runnables; one that stays the same is kept."""
    made = copy.copy(graph)
    made.nodes = {}
    for name, node in graph.nodes.items():
        bound = make(name, node.bound)
        made.nodes[name] = node if bound is node.bound else node.copy({"bound": bound})
    return made
