"""`durablegraph dev`: one app in the embedded host, in the foreground, reloading when its files change."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from durablegraph.host.errors import AppLoadError, HostError
from durablegraph.host.event_loop import new_event_loop
from durablegraph.host.preparation import HostOptions, Prepared, StateLock, check_app, prepare
from durablegraph.host.running import FunctionsHost
from durablegraph.host.watching import changes
from durablegraph.host.worker.console import configure_logging, level_of

_log = logging.getLogger("durablegraph.host")
_FAILED = 1
_LOOK_SECONDS = 1.0
_READ_AT_START = {"host.json", "local.settings.json"}
_OTHER_KINDS = ("orchestrator", "activity", "entity", "timer")


def run_dev(options: HostOptions, *, reload: bool) -> int:
    """Run until SIGINT or SIGTERM. Returns the exit code; what keeps the host from starting is said on stderr."""
    try:
        check_app(options)
        lock = StateLock(options.state, f"the host of {options.root}")
    except HostError as error:
        return _refuse(error)
    try:
        prepared = prepare(options)
        with asyncio.Runner(loop_factory=partial(new_event_loop, prepared.environment)) as runner:
            return runner.run(_run(prepared, reload=reload))
    except HostError as error:
        return _refuse(error)
    finally:
        lock.release()


async def _run(prepared: Prepared, *, reload: bool) -> int:
    configure_logging(level_of(prepared.environment["DURABLEGRAPH_LOG_LEVEL"]))
    host = FunctionsHost(prepared)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    try:
        await _start_unless(stop, host)
        if not stop.is_set():
            _say(banner(host))
            async with _watching(host, reload=reload and prepared.workers > 0):
                failure = await _until(stop, host)
            _say("\nStopping: waiting for what runs." if failure is None else f"\nThe hub cannot go on: {failure!r}")
    finally:
        failed = host.failure
        await host.stop()
    return 0 if failed is None else _FAILED


async def _until(stop: asyncio.Event, host: FunctionsHost) -> BaseException | None:
    """Wait until asked to stop or until the host cannot go on."""
    while not stop.is_set() and host.failure is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
    return host.failure


async def _start_unless(stop: asyncio.Event, host: FunctionsHost) -> None:
    """Start the host, or leave off when asked to stop before it has started."""
    starting = asyncio.create_task(host.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting


@contextlib.asynccontextmanager
async def _watching(host: FunctionsHost, *, reload: bool) -> AsyncIterator[None]:
    task = asyncio.create_task(_reload_on_change(host)) if reload else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _reload_on_change(host: FunctionsHost) -> None:
    prepared = host.prepared
    async for changed in changes(prepared.options.root, prepared.options.state):
        names = ", ".join(sorted({Path(path).name for path in changed}))
        _say(f"Changed: {names}. Loading the app anew ...")
        if _READ_AT_START & {Path(path).name for path in changed}:
            _say("host.json and local.settings.json are read at the start: restart the host to use what changed there.")
        try:
            await host.reload()
        except AppLoadError as error:
            _say(f"The app does not load; the one before goes on.\n{error}")
        else:
            _say(f"Loaded: {len(host.index.functions)} functions.")
            for line in _error_lines(host):
                _say(line)


def banner(host: FunctionsHost) -> str:
    """What a person wants to know at the start: functions, addresses, what is wrong."""
    base = f"http://localhost:{host.prepared.port}"
    lines = ["", f"Functions of {host.prepared.options.root}:", ""]
    if host.table.functions:
        width = max(len(each.function.name) for each in host.table.functions)
        for each in host.table.functions:
            methods = ",".join(sorted(each.methods)) or "ANY"
            lines.append(f"    {each.function.name:{width}}  [{methods}] {base}/{each.route.template}")
        lines.append("")
    kinds = {kind: [each.durable_name for each in host.index.functions if each.kind == kind] for kind in _OTHER_KINDS}
    lines += [f"    {kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
    lines += _error_lines(host)
    options = host.prepared.options
    lines += ["", f"    state in {options.state}; stop with Ctrl+C", f"    listening on {base}"]
    if options.enable_auth:
        lines.append(f"    keys are asked for; they are in {host.keys.path}")
    return "\n".join([*lines, ""])


def _error_lines(host: FunctionsHost) -> list[str]:
    return [f"    The '{name}' function is in error: {text}" for name, text in host.errors.items()]


def _refuse(error: HostError) -> int:
    sys.stderr.write(f"{error}\n")
    return _FAILED


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
