"""What a super-step's own checkpoint tells of the next one, before LangGraph has prepared the tasks for it."""

import asyncio
import logging
from collections.abc import Awaitable

from langgraph.checkpoint.base import Checkpoint

from durablegraph.graphs.contract import PendingTask, StepOutcome
from durablegraph.graphs.internals import Graph, sends_as_tasks, sends_in, upcoming

log = logging.getLogger(__name__)


class Early:
    """Lets one call end with its save: the outcome is told then, and LangGraph goes on from the save later.

    What it does then is to prepare what comes next, up to where the loop stands.
    """

    def __init__(self) -> None:
        """To be made on the event loop of the call."""
        self._loop = asyncio.get_running_loop()
        self._on: asyncio.Future[None] = self._loop.create_future()
        self._work: asyncio.Future[None] | None = None
        self.told: asyncio.Future[StepOutcome] = self._loop.create_future()

    def tell(self, outcome: StepOutcome) -> Awaitable[None]:
        """Tell what the call came to; what is returned is done when LangGraph is to go on."""
        self.told.set_result(outcome)
        return self._on

    def let_on(self, work: asyncio.Future[None]) -> None:
        """Have LangGraph go on in the `work` that the call began, in the next round of the event loop."""
        self._work = work
        self._loop.call_soon(self._return)

    def _return(self) -> None:
        if not self._on.done():  # the save may have been cancelled
            self._on.set_result(None)

    async def over(self) -> None:
        """Wait until it has; whatever it failed of is told by a call that starts from the store."""
        if self._work is not None:
            await asyncio.wait({self._work})
            if not self._work.cancelled() and (error := self._work.exception()) is not None:
                log.debug("what comes next could not be prepared", exc_info=error)


def sends_left(graph: Graph, checkpoint: Checkpoint, step: int) -> tuple[PendingTask, ...]:
    """The next tasks, each as LangGraph would tell it, where nothing but pending `Send`s makes them; else none."""
    positions = sends_in(graph, checkpoint)
    told = sends_as_tasks(graph, checkpoint, step, positions) if positions else None
    if told is None:
        return ()
    return tuple(PendingTask(task, node, at) for (task, node), at in zip(told, positions, strict=True))


def one_next(graph: Graph, checkpoint: Checkpoint) -> str | None:
    """The next node, where one task comes next at most.

    Where LangGraph makes no task of it after all, the next call finds that the run has ended.
    """
    nodes = upcoming(graph, checkpoint)
    return nodes[0] if len(nodes) == 1 and nodes[0] in graph.nodes else None
