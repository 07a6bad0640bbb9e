"""Several child workers as one: calls go to the least busy, a dead one is replaced, a reload replaces them all."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from durablegraph.host.errors import AppLoadError
from durablegraph.host.invocation import FunctionIndex, Invocation, InvocationResult, WorkerExited
from durablegraph.host.worker.child import ChildWorker

_log = logging.getLogger("durablegraph.host.worker")
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_HEALTHY_SECONDS = 10.0


class WorkerPool:
    """`size` child workers, kept alive until `stop`.

    A call whose worker dies raises WorkerExited; it is not repeated, as the real host does not repeat it. While no
    worker is ready, calls wait: their timeout starts when a worker takes them.
    """

    def __init__(self, spawn: Callable[[], ChildWorker], size: int) -> None:
        self._spawn = spawn
        self._size = size
        self._workers: list[ChildWorker] = []
        self._keepers: dict[ChildWorker, asyncio.Task[None]] = {}
        self._retiring: dict[ChildWorker, asyncio.Task[None]] = {}
        self._ready = asyncio.Event()
        self._stopping = False

    async def start(self) -> FunctionIndex:
        """Start all workers. Raises AppLoadError when the app does not load; then none is left running."""
        workers, index = await self._start_all()
        self._adopt(workers)
        return index

    def invoke(self, call: Invocation, *, timeout: float | None) -> Awaitable[InvocationResult]:
        """Run one call on the least busy worker."""
        if usable := [worker for worker in self._workers if worker.usable]:
            return min(usable, key=lambda worker: worker.busy).invoke(call, timeout=timeout)
        return self._invoke_when_ready(call, timeout)

    async def _invoke_when_ready(self, call: Invocation, timeout: float | None) -> InvocationResult:  # noqa: ASYNC109 -- the contract's word
        while not any(worker.usable for worker in self._workers):
            if self._stopping:
                raise WorkerExited(0)
            self._ready.clear()
            await self._ready.wait()
        return await self.invoke(call, timeout=timeout)

    async def reload(self, drain_seconds: float) -> FunctionIndex:
        """Start new workers from the files as they are now; the old ones retire once they finished what they hold.

        Raises AppLoadError when the app does not load; then the old workers go on.
        """
        workers, index = await self._start_all()
        retired, self._workers = self._workers, []
        self._adopt(workers)
        for worker in retired:
            self._keepers.pop(worker).cancel()
            task = asyncio.create_task(self._retire(worker, drain_seconds), name="worker retirement")
            self._retiring[worker] = task
        return index

    async def drain(self, seconds: float) -> None:
        """Wait until no call is in flight, at most so long."""
        await asyncio.gather(*[worker.drain(seconds) for worker in [*self._workers, *self._retiring]])

    async def stop(self) -> None:
        """End all workers."""
        self._stopping = True
        self._ready.set()
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*[worker.stop() for worker in [*self._workers, *self._retiring]])

    async def _start_all(self) -> tuple[list[ChildWorker], FunctionIndex]:
        workers = [self._spawn() for _ in range(self._size)]
        loaded = await asyncio.gather(*[worker.start() for worker in workers], return_exceptions=True)
        for outcome in loaded:
            if isinstance(outcome, BaseException):
                await asyncio.gather(*[worker.stop() for worker in workers])
                raise outcome
        return workers, next(outcome for outcome in loaded if isinstance(outcome, FunctionIndex))

    def _adopt(self, workers: list[ChildWorker]) -> None:
        for worker in workers:
            self._workers.append(worker)
            self._keepers[worker] = asyncio.create_task(self._keep(worker), name="worker keeper")
        self._ready.set()

    async def _retire(self, worker: ChildWorker, drain_seconds: float) -> None:
        await worker.drain(drain_seconds)
        await worker.stop()
        del self._retiring[worker]

    async def _keep(self, worker: ChildWorker) -> None:
        """Replace this worker when it has died, ever more slowly when its successors do not live."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        began = loop.time()
        code = await asyncio.shield(worker.exited)
        self._workers.remove(worker)
        del self._keepers[worker]
        _log.warning("Language worker process %s exited with code %s; starting another one", worker.pid, code)
        if loop.time() - began < _HEALTHY_SECONDS:
            pause = _FIRST_PAUSE
        while not self._stopping:
            await asyncio.sleep(pause)
            successor = self._spawn()
            try:
                await successor.start()
            except AppLoadError as error:
                pause = min(max(pause, _FIRST_PAUSE) * 2, _LONGEST_PAUSE)
                _log.error("The app does not load; trying again in %.1f s\n%s", pause, error)
                continue
            self._adopt([successor])
            return
