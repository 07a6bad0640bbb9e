"""A worker inside the host's own process: for tests, debuggers and one-process runs."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from durablegraph.host.app.calls import FunctionApp, run_anywhere, thread_pool
from durablegraph.host.invocation import (
    FunctionIndex,
    Invocation,
    InvocationResult,
    InvocationTimedOut,
    WorkerExited,
)

_ORDINARY_EXIT_CODES = (int, type(None))


class InProcessWorker:
    """Runs the app's functions in this process.

    The process cannot be replaced, so a call that exits (SystemExit) fails alone, and a timed-out sync function goes
    on in its thread although its call has failed.
    """

    def __init__(self, script: Path) -> None:
        """`script` is imported by `start`; environment, folder and import path are the caller's to prepare."""
        self._script = script
        self._app: FunctionApp | None = None
        self._threads: ThreadPoolExecutor | None = None

    async def start(self) -> FunctionIndex:
        """Load the app. Raises AppLoadError."""
        self._app = FunctionApp(self._script)
        self._threads = thread_pool()
        return self._app.index

    async def invoke(self, call: Invocation, *, timeout: float | None) -> InvocationResult:  # noqa: ASYNC109 -- the contract's word
        """Run one call. Raises WorkerExited when the function ends its process, InvocationTimedOut past `timeout`."""
        if self._app is None or self._threads is None:
            raise WorkerExited(0)
        try:
            return await asyncio.wait_for(_run(self._app, call, self._threads), timeout)
        except TimeoutError:
            raise InvocationTimedOut from None

    async def stop(self) -> None:
        """Forget the app; calls in flight go on in their threads but nobody waits for them."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._app = self._threads = None


async def _run(app: FunctionApp, call: Invocation, threads: ThreadPoolExecutor) -> InvocationResult:
    """Run one call; a SystemExit must not reach the event loop, which would end the host by it."""
    try:
        return await run_anywhere(app, call, threads)
    except SystemExit as exit_:
        raise WorkerExited(exit_code(exit_)) from exit_


def exit_code(exit_: SystemExit) -> int:
    """The code that a process ending by this would have."""
    if isinstance(exit_.code, _ORDINARY_EXIT_CODES):
        return exit_.code or 0
    return 1
