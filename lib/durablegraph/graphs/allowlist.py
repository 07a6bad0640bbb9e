"""The types that a graph's checkpoints may be rebuilt as: those of its own state, and LangChain's messages."""

from collections.abc import Iterable
from typing import Any

from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel

from durablegraph.graphs.internals import Graph, types_in

AllowedType = tuple[str, ...]
"""Module and name."""


def allowed_types(graph: Graph) -> frozenset[AllowedType]:
    """What the schemas and channels of `graph` and of its subgraphs name, nested types included."""
    nested = (found for _, found in graph.get_subgraphs(recurse=True))
    graphs = [graph, *(found for found in nested if isinstance(found, Pregel))]
    found: set[AllowedType] = set()
    for item in graphs:
        found |= types_in(_schemas(item), item.channels)
    return frozenset(found)


def _schemas(graph: Any) -> Iterable[type[Any]]:
    if not isinstance(graph, CompiledStateGraph):
        return []
    builder = graph.builder
    branches = [branch for group in builder.branches.values() for branch in group.values()]
    return [
        schema
        for schema in (
            builder.state_schema,
            builder.input_schema,
            builder.output_schema,
            builder.context_schema,
            *(node.input_schema for node in builder.nodes.values()),
            *(branch.input_schema for branch in branches),
        )
        if schema is not None
    ]
