"""Super-steps of declared subgraphs: where a call may end inside one, and how the next call goes on there.

A subgraph is declared when a compiled graph is itself a node. Drained at the commit of one of its super-steps, it
leaves nothing behind but its checkpoints, and goes on from them when its node is entered again. A graph that a node's
own code calls is never drained: the node would run again from its top. `graph_in` tells the two apart, and the nodes of
a graph that has declared subgraphs are wrapped so that only these see the drain.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeGuard

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.constants import START
from langgraph.pregel import Pregel
from langgraph.runtime import RunControl
from typing_extensions import override

from durablegraph.graphs.around import Around, with_nodes
from durablegraph.graphs.internals import Graph
from durablegraph.graphs.run_scoped import kept_within_run, untracked


class Entering(Protocol):
    """What the wrapped nodes of one call ask it."""

    @property
    def inner(self) -> RunControl:
        """The control of declared subgraphs."""

    def entered(self, config: RunnableConfig) -> RunnableConfig:
        """The config to execute a node with. Raises `GraphInterrupt` for a task that has asked and has no answer."""

    def whole(self, config: RunnableConfig) -> RunnableConfig:
        """The config without what only the loop that the task belongs to was to see."""

    def left(self, config: RunnableConfig) -> None:
        """The node has ended, however it did."""


def is_declared(bound: Runnable[Any, Any]) -> "TypeGuard[Graph]":
    """Whether a node is a subgraph that keeps checkpoints."""
    return isinstance(bound, Pregel) and bound.checkpointer is not False


def has_declared(graph: Graph) -> bool:
    """Whether a node of the graph is a subgraph."""
    return any(is_declared(node.bound) for node in graph.nodes.values())


def stops_inside(graph: Graph) -> bool:
    """Whether a declared subgraph, at any depth, has static breakpoints.

    Such a stop leaves no trace in storage. Where another subgraph is drained at the same moment, nothing would tell it
    from a drain, and the next call would run past it: so these graphs take each super-step of theirs whole.
    """
    inner = [node.bound for node in graph.nodes.values() if is_declared(node.bound)]
    return any(sub.interrupt_before_nodes or sub.interrupt_after_nodes or stops_inside(sub) for sub in inner)


def graph_in(graph: Graph, namespace: str) -> Graph | None:
    """The graph that runs in a checkpoint namespace when each level of it is a declared subgraph, else None."""
    for part in namespace.split("|"):
        node = graph.nodes.get(part.split(":")[0])
        if node is None or not is_declared(node.bound):
            return None
        graph = node.bound
    return graph


def with_inner_steps(graph: Graph, entering: Entering) -> Graph:
    """A copy of the graph whose declared subgraphs, at any depth, can be drained apart from everything else."""
    return with_nodes(graph, lambda name, bound: bound if name == START else _wrapped(bound, entering))


def _wrapped(bound: Runnable[Any, Any], entering: Entering) -> "_Node":
    if not is_declared(bound):
        return _Node(bound, entering)
    subgraph = with_inner_steps(bound, entering)
    if untracked(bound):
        subgraph.channels = kept_within_run(subgraph.channels)
    return _Subgraph(subgraph, entering)


class _Node(Around):
    """A node's runnable, asked about before it is executed."""

    def __init__(self, bound: Runnable[Any, Any], entering: Entering) -> None:
        super().__init__(bound)
        self._entering = entering

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        with self._entered(config) as given:
            return self._bound.invoke(input, given, **kwargs)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        with self._entered(config) as given:
            return await self._bound.ainvoke(input, given, **kwargs)

    @override
    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:
        with self._entered(config) as given:
            async for chunk in self._bound.astream(input, given, **kwargs):
                yield chunk

    @contextmanager
    def _entered(self, config: RunnableConfig | None) -> Iterator[RunnableConfig]:
        """The config to go on with, which the node's own code finds in its context too."""
        config = config or {}
        given = self._entering.entered(config)
        if given is not config:
            var_child_runnable_config.set(given)
        try:
            yield given
        finally:
            self._entering.left(config)


class _Subgraph(_Node):
    """A declared subgraph: it is stopped by a control of its own, and asks by itself."""

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._bound.invoke(input, self._entering.whole(config or {}), **kwargs, control=self._entering.inner)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        given = self._entering.whole(config or {})
        return await self._bound.ainvoke(input, given, **kwargs, control=self._entering.inner)

    @override
    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:
        given = self._entering.whole(config or {})
        async for chunk in self._bound.astream(input, given, **kwargs, control=self._entering.inner):
            yield chunk
