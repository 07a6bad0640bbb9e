"""Changes that wait for their commit, and which of them share one.

Everything that arrives while a commit is under way goes into the next one. Writes of a task linger for a moment,
because the checkpoint they belong with usually follows at once; a checkpoint never lingers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from durablegraph.storage.checkpoints.changes import Change
from durablegraph.storage.checkpoints.fencing import ConflictPolicy, View


@dataclass(slots=True, eq=False)
class Waiting:
    """A change, whose it is, and where its caller waits."""

    change: Change
    view: View
    urgent: bool
    done: asyncio.Future[None]

    def mixes(self) -> bool:
        """Whether it may share a commit with changes of other views."""
        policy = self.view.policy
        shares = policy is ConflictPolicy.SHARE and not self.change.wanted().is_checkpoint
        return shares or policy is ConflictPolicy.MERGE

    def settle(self, error: BaseException | None = None) -> None:
        """Tell the caller, unless it was told or has gone."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class CommitQueue:
    """Groups changes into batches and has them flushed one batch after the other."""

    def __init__(self, flush: Callable[[list[Waiting]], Awaitable[None]], linger: float) -> None:
        """`flush` settles every change of its batch or raises; `linger` is in seconds."""
        self._flush = flush
        self._linger = linger
        self._queue: list[Waiting] = []
        self._hurry = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._queue and (self._flusher is None or self._flusher.done())

    async def carry_out(self, change: Change, view: View, *, urgent: bool) -> None:
        """Queue a change and wait until it is durable or refused. A caller that is cancelled does not undo it."""
        waiting = Waiting(change, view, urgent, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if urgent:
            self._hurry.set()
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_all())
            self._flusher.add_done_callback(lambda task: task.cancelled() or task.exception())  # the callers know it
        await waiting.done

    async def drained(self) -> None:
        """Wait until nothing is left to do."""
        while self._flusher is not None and not self._flusher.done():
            await asyncio.wait([self._flusher])

    async def _flush_all(self) -> None:
        while self._queue:
            if not any(waiting.urgent for waiting in self._queue):
                await self._lingered()
            batch = self._next_batch()
            try:
                await self._flush(list(batch))
            except BaseException as error:
                for waiting in batch:
                    waiting.settle(error)
                if not isinstance(error, Exception):
                    for waiting in self._queue:
                        waiting.settle(error)
                    raise

    async def _lingered(self) -> None:
        self._hurry.clear()
        timer = asyncio.get_running_loop().call_later(self._linger, self._hurry.set)
        await self._hurry.wait()
        timer.cancel()

    def _next_batch(self) -> list[Waiting]:
        """All queued changes that may share a commit with the first one: those of its view, or those that mix."""
        first = self._queue[0]
        if all(waiting.view is first.view for waiting in self._queue) or not first.mixes():
            batch = [waiting for waiting in self._queue if waiting.view is first.view]
        else:
            batch = [waiting for waiting in self._queue if waiting.mixes()]
        self._queue = [waiting for waiting in self._queue if waiting not in batch]
        return batch
