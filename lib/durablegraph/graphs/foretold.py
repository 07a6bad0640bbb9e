"""What a super-step's own checkpoint tells of the next one, before LangGraph has prepared the tasks for it."""

import asyncio
import logging
from collections.abc import Awaitable

from langgraph.checkpoint.base import Checkpoint

from durablegraph.graphs.contract import PendingTask, StepOutcome, StepStatus
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


def sends_left(graph: Graph, checkpoint: Checkpoint, step: int, *, stop: int, commits: int) -> StepOutcome | None:
    """The outcome where nothing but pending `Send`s makes the next tasks, each told as LangGraph would tell it."""
    positions = sends_in(graph, checkpoint)
    told = sends_as_tasks(graph, checkpoint, step, positions) if positions else None
    if told is None:
        return None
    tasks = tuple(PendingTask(task, node, at) for (task, node), at in zip(told, positions, strict=True))
    return _advance(checkpoint, step, stop, commits, next_=tuple(node for _, node in told), tasks=tasks)


def one_next(graph: Graph, checkpoint: Checkpoint, step: int, *, stop: int, commits: int) -> StepOutcome | None:
    """The outcome where one task comes next at most; only its node is told, for it is not to be fanned out.

    Where LangGraph makes no task of it after all, the next call finds that the run has ended.
    """
    nodes = upcoming(graph, checkpoint)
    if len(nodes) != 1 or nodes[0] not in graph.nodes:
        return None
    return _advance(checkpoint, step, stop, commits, next_=(nodes[0],))


def _advance(
    checkpoint: Checkpoint,
    step: int,
    stop: int,
    commits: int,
    *,
    next_: tuple[str, ...],
    tasks: tuple[PendingTask, ...] = (),
) -> StepOutcome:
    return StepOutcome(
        status=StepStatus.ADVANCE,
        checkpoint_id=checkpoint["id"],
        step=step,
        stop=stop,
        next=next_,
        tasks=tasks,
        commits=commits,
    )
