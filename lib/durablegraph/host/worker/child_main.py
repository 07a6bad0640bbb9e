"""The child worker's own side: started by the host, ends with it.

The main thread runs the one event loop, which reads calls, runs async functions and hands sync ones to the pool, whose
threads answer by themselves. A function that blocks the loop keeps later calls waiting, as on the real worker.
"""

import asyncio
import ctypes
import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from durablegraph.host.app.calls import FunctionApp, thread_pool
from durablegraph.host.app.loading import enter
from durablegraph.host.errors import AppLoadError
from durablegraph.host.event_loop import new_event_loop
from durablegraph.host.invocation import Invocation
from durablegraph.host.worker.console import configure_logging
from durablegraph.host.worker.frames import Unpacker, call_from_wire, index_to_wire, pack, result_to_wire

_PR_SET_PDEATHSIG = 1
_COLLECT_AFTER = 5_000


class Child:
    """Serves calls until the connection ends or a function ends the process."""

    def __init__(self, connection: socket.socket, app: FunctionApp, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._app = app
        self._loop = loop
        self._threads: ThreadPoolExecutor = thread_pool()
        self._unpacker = Unpacker()
        self._writing = threading.Lock()
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, message: tuple[Any, ...]) -> None:
        """Write one frame, unless the process is already ending: the dead do not answer."""
        frame = pack(message)
        with self._writing:
            if not self._ending:
                self._connection.sendall(frame)

    def serve(self) -> None:
        """Take calls until the host is gone or a function ends the process. SystemExit is that function's."""
        self._loop.add_reader(self._connection, self._read)
        self._connection.setblocking(True)  # noqa: FBT003 -- libuv has made it a socket that does not wait
        threading.Thread(target=self._await_end, name="end of the host", daemon=True).start()
        self._loop.run_forever()

    def _read(self) -> None:
        try:
            # Only reading must not wait: the socket itself blocks, so that whole frames can be written from any thread.
            count = self._connection.recv_into(self._unpacker.room, 0, socket.MSG_DONTWAIT)
            for message in self._unpacker.messages(count):
                number, call = call_from_wire(message)
                if self._app.is_async(call.function):
                    self._begin(number, call)
                else:
                    self._threads.submit(self._run, number, call)
        except BlockingIOError:
            return
        except Exception:  # noqa: BLE001 -- shown, then the process ends: a worker that cannot hear is no use
            traceback.print_exc()
            _leave(1)
        if not count:
            self._loop.remove_reader(self._connection)

    def _await_end(self) -> None:
        """When the host is gone the process ends at once, even with a blocked loop: nobody is left to work for."""
        hearing = select.poll()
        hearing.register(self._connection, 0)  # nothing but the end of the connection
        hearing.poll()
        if not self._ending:
            _leave(0)

    def _run(self, number: int, call: Invocation) -> None:
        try:
            self.send(result_to_wire(number, self._app.run(call)))
        except SystemExit as exit_:  # ends the worker, as on the real one
            self._loop.call_soon_threadsafe(self._end, exit_)
        except OSError:
            _leave(0)

    def _begin(self, number: int, call: Invocation) -> None:
        task = self._loop.create_task(self._await(number, call), name=f"{call.function}:{call.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _await(self, number: int, call: Invocation) -> None:
        try:
            self.send(result_to_wire(number, await self._app.run_async(call)))
        except SystemExit as exit_:
            self._loop.call_soon(self._end, exit_)
        except OSError:
            _leave(0)

    def _end(self, exit_: SystemExit) -> None:
        with self._writing:
            self._ending = True
        raise exit_


def main(descriptor: int, script: Path, host_pid: int) -> None:
    """Load the app, say so, serve. Ends the process with the code of a function's SystemExit, if there is one."""
    _die_with_host(host_pid)
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _leave_it_to_the_host)
    configure_logging()
    connection = socket.socket(fileno=descriptor)
    enter(script.parent, os.environ, {})
    loop = new_event_loop(os.environ)
    asyncio.set_event_loop(loop)
    try:
        app = FunctionApp(script)
    except AppLoadError as error:
        connection.sendall(pack(("failed", str(error))))
        _leave(0)
    _spare_the_collector()
    child = Child(connection, app, loop)
    child.send(index_to_wire(app.index))
    child.serve()


def _spare_the_collector() -> None:
    """Take what the app has loaded out of the collector's sight, and let it look less often.

    A LangGraph app has some hundred thousand objects that live as long as the process; going through them again and
    again took a seventh of each super-step.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 10, 10)


def _leave_it_to_the_host(number: int, frame: object) -> None:
    """A signal to the whole group is the host's to act on, which lets calls end first."""
    del number, frame


def _leave(code: int) -> NoReturn:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _die_with_host(host_pid: int) -> None:
    """On Linux the kernel kills this process when the host dies; elsewhere the closed connection has to do."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != host_pid:
        os._exit(0)
