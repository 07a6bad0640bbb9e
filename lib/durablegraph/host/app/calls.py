"""Calling the app's functions: sync ones on a thread pool, async ones on the worker's one event loop."""

import asyncio
import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from durablegraph.host.app.context import InvocationLocal, context_for
from durablegraph.host.app.conversion import NONE, decode, encode
from durablegraph.host.app.indexing import LoadedApp, LoadedFunction, index_functions
from durablegraph.host.app.loading import load_functions
from durablegraph.host.app.quickening import quicken_replay
from durablegraph.host.app.stacks import own_stack, whole_stack
from durablegraph.host.invocation import Datum, FunctionIndex, Invocation, InvocationError, InvocationResult

_log = logging.getLogger("durablegraph.host")

THREADS_SETTING = "PYTHON_THREADPOOL_THREAD_COUNT"
_SERIALIZED = r"\s*(?:\$OutOfProcData\$:|\{\"\$type\":)"
"""Where the part of a message begins that is for programs: the SDK's state, a serialized .NET exception."""


class FunctionApp:
    """A loaded app whose functions can be called."""

    def __init__(self, script: Path) -> None:
        """Import `script` and index it. Raises AppLoadError."""
        self._directory = str(script.parent)
        self._app: LoadedApp = index_functions(load_functions(script))
        quicken_replay()
        self._local = InvocationLocal()

    @property
    def index(self) -> FunctionIndex:
        """What loaded, and what did not."""
        return self._app.index

    def is_async(self, name: str) -> bool:
        """Whether the function wants the event loop; an unknown one does not."""
        function = self._app.functions.get(name)
        return function is not None and function.signature.is_async

    def run(self, call: Invocation) -> InvocationResult:
        """Run a sync function in this thread. SystemExit passes through; whatever else is raised is the result."""
        try:
            function = self._find(call)
            arguments = self._arguments(function, call)
            self._local.invocation_id = call.id
            try:
                returned = function.run(**arguments)
            finally:
                self._local.invocation_id = None
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever the user's code raises is the result of the call
            return _failure(call, error, whole_stack(error))
        return _finish(call, function, returned)

    async def run_async(self, call: Invocation) -> InvocationResult:
        """Await an async function on this event loop; as `run` otherwise. Cancelling this call passes through too."""
        try:
            function = self._find(call)
            returned = await function.run(**self._arguments(function, call))
        except SystemExit:
            raise
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            return _failure(call, error, own_stack(error))
        return _finish(call, function, returned)

    def _find(self, call: Invocation) -> LoadedFunction:
        function = self._app.functions.get(call.function)
        if function is None:
            raise LookupError(f"function {call.function!r} is not loaded in this worker")
        return function

    def _arguments(self, function: LoadedFunction, call: Invocation) -> dict[str, Any]:
        arguments = {name: decode(kind, call.inputs[name]) for name, kind in function.signature.inputs.items()}
        if function.signature.wants_context:
            arguments["context"] = context_for(call, self._directory, self._local)
        return arguments


def thread_pool() -> ThreadPoolExecutor:
    """The pool for sync functions, sized by the app setting; a value that is no positive number counts as unset."""
    threads = None
    with contextlib.suppress(ValueError):
        threads = int(os.environ.get(THREADS_SETTING) or 0)
    return ThreadPoolExecutor(max_workers=threads if threads and threads > 0 else None, thread_name_prefix="function")


async def run_anywhere(
    app: FunctionApp,
    call: Invocation,
    threads: ThreadPoolExecutor,
) -> InvocationResult:
    """Run one call from the event loop, whichever kind its function is of."""
    if app.is_async(call.function):
        return await app.run_async(call)
    run: Callable[[Invocation], InvocationResult] = app.run
    return await asyncio.get_running_loop().run_in_executor(threads, run, call)


def _finish(call: Invocation, function: LoadedFunction, returned: Any) -> InvocationResult:
    try:
        return InvocationResult(output=_encoded(function, returned))
    except Exception as error:  # noqa: BLE001 -- a value that cannot be sent is a failed call
        return _failure(call, error, own_stack(error))


def _encoded(function: LoadedFunction, returned: Any) -> Datum:
    if function.signature.returns is None:
        if returned is not None:
            raise RuntimeError(f"function {function.name!r} without a $return binding returned a non-None value")
        return NONE
    output = encode(function.signature.returns, returned)
    sys.stdout.flush()
    return output


def _failure(call: Invocation, error: BaseException, stack: str) -> InvocationResult:
    """The result of a failed call; it is logged too, as far as a person wants to read it."""
    try:
        message = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 -- an exception whose text cannot be made is still a failure to report
        message = "Unhandled exception in function. Could not serialize original exception message."
    shown = re.split(_SERIALIZED, message, maxsplit=1)[0]
    _log.error("%s '%s' failed: %s\n%s", call.kind, call.function, shown, stack.rstrip())
    return InvocationResult(error=InvocationError(message, stack, type(error).__name__))
