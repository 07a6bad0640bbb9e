"""Tasks of one call of a graph that take turns: so many are in flight at a time, and none begins once they are refused.

One call for all tasks costs the processor less than several in turn, each of which loads and prepares anew.
LangGraph's own ``max_concurrency`` cannot be used: it counts what a task waits for as well, and the writes of finished
tasks.

A task that gets no turn ends as one does that stops at a static breakpoint: LangGraph stores nothing for it and lets
its siblings end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig, RunnablePassthrough
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.errors import GraphBubbleUp, GraphInterrupt, is_invalid_resume
from typing_extensions import override

from durablegraph.graphs.around import Around, with_nodes
from durablegraph.graphs.internals import TASKS, Graph, namespace


def can_take_turns(graph: Graph, head: CheckpointTuple, config: Mapping[str, Any]) -> bool:
    """Whether tasks may wait inside a call.

    Not where the wait would count against a time limit or a `max_concurrency`, nor where an error handler, a task by
    itself, would have to wait behind others.
    """
    sends = head.checkpoint["channel_values"].get(TASKS) or ()
    limited = graph.step_timeout is not None or any(node.timeout is not None for node in graph.nodes.values())
    counted = {**(graph.config or {}), **config}.get("max_concurrency") is not None
    if limited or counted or graph.node_error_handler_map:
        return False
    return all(getattr(send, "timeout", None) is None for send in sends)


class Turns:
    """Who has a turn in one call. To be used once.

    `took` says of each task that has ended which node it was and how many seconds it took, `refused` which tasks have
    not begun, by id.
    """

    def __init__(
        self, at_once: int, may_begin: Callable[["Turns"], Awaitable[bool]], passed: Callable[[], float]
    ) -> None:
        """`may_begin` is asked before each task, and never again after a no; `passed` tells the seconds that passed."""
        self.took: dict[str, tuple[str, float]] = {}
        self.refused: set[str] = set()
        self._places = asyncio.Semaphore(at_once)
        self._may_begin = may_begin
        self._passed = passed
        self._began: dict[str, float] = {}
        self._kept: set[str] = set()

    def within(self, graph: Graph) -> Graph:
        """A copy of the graph whose nodes wait for a turn."""

        def waiting(name: str, bound: Runnable[Any, Any]) -> Runnable[Any, Any]:
            nothing_to_wait_for = isinstance(bound, RunnablePassthrough)  # `__start__` and the like
            return bound if nothing_to_wait_for else _Waiting(bound, name, self)

        return with_nodes(graph, waiting)

    @asynccontextmanager
    async def turn(self, task: str, node: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it; raises `GraphInterrupt` when there will be none.

        A task that failed keeps its place: it is retried, or the call ends and none is to begin any more.
        """
        await self._begin(task)
        kept = False
        try:
            yield
        except Exception as error:
            kept = not isinstance(error, GraphBubbleUp) and not is_invalid_resume(error)
            raise
        finally:
            self.took[task] = node, self._passed() - self._began[task]
            if kept:
                self._kept.add(task)
            else:
                self._places.release()

    async def _begin(self, task: str) -> None:
        if task in self._kept:
            self._kept.discard(task)
            return
        await self._places.acquire()
        try:
            begins = task in self._began or (not self.refused and await self._may_begin(self))
        except BaseException:
            self._places.release()
            raise
        if not begins:
            self._places.release()
            self.refused.add(task)
            raise GraphInterrupt
        self._began.setdefault(task, self._passed())

    def has_begun(self, task: str) -> bool:
        """Whether a task has had a turn."""
        return task in self._began

    @property
    def longest(self) -> float:
        """Seconds that a task took at most; 0 before any has ended."""
        return max((seconds for _, seconds in self.took.values()), default=0.0)


class _Waiting(Around):
    """A node's runnable, which is executed when its task has a turn."""

    def __init__(self, bound: Runnable[Any, Any], node: str, turns: Turns) -> None:
        super().__init__(bound)
        self._node = node
        self._turns = turns

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._bound.invoke(input, config, **kwargs)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        task = namespace(config or {}).rsplit(":", 1)[-1]
        async with self._turns.turn(task, self._node):
            return await self._bound.ainvoke(input, config, **kwargs)
