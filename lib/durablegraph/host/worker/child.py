"""One child worker process, as the host sees it."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from durablegraph.host.errors import AppLoadError
from durablegraph.host.invocation import (
    FunctionIndex,
    Invocation,
    InvocationResult,
    InvocationTimedOut,
    WorkerExited,
)
from durablegraph.host.worker.frames import Unpacker, call_to_wire, index_from_wire, pack, result_from_wire

_PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); from pathlib import Path; "
    "from durablegraph.host.worker.child_main import main; main(int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))"
)
_SIGNALLED = 128
_LOAD_SECONDS = 120.0


class ChildWorker(asyncio.BufferedProtocol):
    """A child process that holds the app. It dies with the host, and the host learns at once when it dies."""

    def __init__(self, script: Path, environment: Mapping[str, str]) -> None:
        self._script = script
        self._environment = environment
        self._child: asyncio.subprocess.Process | None = None
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._unpacker = Unpacker()
        self._numbers = itertools.count()
        self._calls: dict[int, tuple[asyncio.Future[InvocationResult], asyncio.TimerHandle | None]] = {}
        self._loaded: asyncio.Future[FunctionIndex] = asyncio.get_running_loop().create_future()
        self._timed_out = False
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int | None:
        """The process id once started."""
        return self._child.pid if self._child else None

    @property
    def busy(self) -> int:
        """How many calls are in its hands."""
        return len(self._calls)

    @property
    def usable(self) -> bool:
        """Whether it takes further calls."""
        return not (self.exited.done() or self._timed_out or self._transport is None)

    async def start(self) -> FunctionIndex:
        """Spawn the process and wait until it has loaded the app. Raises AppLoadError, also when it dies doing so."""
        ours, theirs = socket.socketpair()
        self._socket = ours
        with theirs:
            self._child = await self._spawn(theirs.fileno())
        loop = asyncio.get_running_loop()
        self._watching = loop.create_task(self._watch(self._child), name="worker exit")
        self._transport, _ = await loop.create_connection(lambda: self, sock=ours)
        try:
            return await asyncio.wait_for(asyncio.shield(self._loaded), _LOAD_SECONDS)
        except TimeoutError:
            await self.stop()
            raise AppLoadError(
                f"Found {self._script.name} still importing after {_LOAD_SECONDS:.0f} s, expected it to end. "
                "Look for work at module level that waits for something.",
            ) from None
        except AppLoadError:
            await self.stop()
            raise

    def invoke(self, call: Invocation, *, timeout: float | None) -> asyncio.Future[InvocationResult]:
        """Run one call. A timeout kills the process, and with it every call that it holds."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[InvocationResult] = loop.create_future()
        if self._transport is None or self.exited.done():
            answer.set_exception(WorkerExited(self.exited.result() if self.exited.done() else 0))
            return answer
        number = next(self._numbers)
        self._send(self._transport, pack(call_to_wire(number, call)))
        alarm = loop.call_later(timeout, self._time_out, answer) if timeout is not None else None
        self._calls[number] = answer, alarm
        return answer

    def _send(self, transport: asyncio.Transport, frame: bytes) -> None:
        """Hand over at once what the socket takes: uvloop's transport writes when this round of the loop is over."""
        sent = 0
        if self._socket is not None and not transport.get_write_buffer_size():
            with contextlib.suppress(OSError):  # it is full, or closed: the transport waits, or tells
                sent = self._socket.send(frame)
        if sent < len(frame):
            transport.write(frame[sent:])

    async def drain(self, seconds: float) -> None:
        """Wait until the calls in its hands have ended, at most so long."""
        if self._calls:
            await asyncio.wait([answer for answer, _ in self._calls.values()], timeout=seconds)

    async def stop(self) -> None:
        """End the process: closing the connection ends it at once, a stuck one is killed."""
        if self._child is None:
            return
        if self._transport is not None:
            self._transport.close()
        try:
            await asyncio.wait_for(asyncio.shield(self.exited), 2)
        except TimeoutError:
            self._kill()
            await self.exited

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where bytes from the child go."""
        del sizehint
        return self._unpacker.room

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes from the child."""
        for message in self._unpacker.messages(nbytes):
            self._receive(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """The child closed its end: it is ending."""
        del exc
        self._transport = None

    def _receive(self, message: tuple[Any, ...]) -> None:
        match message[0]:
            case "result":
                number, result = result_from_wire(message)
                answer, alarm = self._calls.pop(number)
                if alarm is not None:
                    alarm.cancel()
                if not answer.done():
                    answer.set_result(result)
            case "ready":
                self._loaded.set_result(index_from_wire(message))
            case "failed":
                self._loaded.set_exception(AppLoadError(message[1]))

    async def _spawn(self, descriptor: int) -> asyncio.subprocess.Process:
        arguments = (_PACKAGE_ROOT, str(descriptor), str(self._script), str(os.getpid()))
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            _BOOT,
            *arguments,
            pass_fds=(descriptor,),
            stdin=asyncio.subprocess.DEVNULL,
            env={**self._environment, "PYTHONUNBUFFERED": "1"},
            cwd=self._script.parent,
        )

    async def _watch(self, child: asyncio.subprocess.Process) -> None:
        code = await child.wait()
        code = _SIGNALLED - code if code < 0 else code
        self.exited.set_result(code)
        if not self._loaded.done():
            self._loaded.set_exception(
                AppLoadError(f"Found the worker ended with code {code} while importing {self._script.name}."),
            )
        for answer, _ in self._calls.values():
            if not answer.done():
                answer.set_exception(InvocationTimedOut() if self._timed_out else WorkerExited(code))

    def _time_out(self, answer: asyncio.Future[InvocationResult]) -> None:
        if not answer.done():
            self._timed_out = True
            self._kill()

    def _kill(self) -> None:
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(signal.SIGKILL)
