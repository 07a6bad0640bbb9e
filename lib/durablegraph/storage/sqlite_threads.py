"""Threads that own SQLite connections, and the way of a call from an event loop to them and back."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from durablegraph.storage.objects import StoreClosed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Call:
    """What to do on a connection, and who waits for it."""

    act: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a call ended: by `error` when there is one, else by `result`."""

    call: _Call
    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class ThreadPlan:
    """How a thread works. It must not refer to the store, so that dropping the store ends the thread.

    With `batch` above 1 up to so many waiting calls share one transaction; a call that raises undoes its own statements
    only. `translate` turns what went wrong into what callers catch.
    """

    connect: Callable[[], sqlite3.Connection]
    translate: Callable[[Exception], Exception]
    batch: int = 1


class ConnectionThreads:
    """A few threads with a connection each that carry out calls in order of arrival; started by the first call."""

    def __init__(self, name: str, plan: ThreadPlan, *, count: int = 1) -> None:
        self._name = name
        self._plan = plan
        self._count = count
        self._threads: list[threading.Thread] = []
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()  # None ends one thread
        self._lock = threading.Lock()  # no call may be queued behind the None that would have served it
        self._stopped = False

    async def run(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `act`, run in one of the threads; raises what `act` raised, translated.

        After `stop` it raises StoreClosed. A caller that is cancelled does not undo `act`.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            if self._stopped:
                raise StoreClosed(f"{self._name}: the object store was closed; open a new one")
            if not self._threads:
                self._start()
            self._calls.put(_Call(act, future, loop))
        return await future

    def stop(self) -> None:
        """End the threads once they have served the calls made before; does not wait for that."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                for _ in self._threads:
                    self._calls.put(None)

    async def aclose(self) -> None:
        """As `stop`, and wait until the connections are closed."""
        self.stop()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _start(self) -> None:
        for number in range(self._count):
            arguments = (self._calls, self._plan)
            thread = threading.Thread(target=_serve, args=arguments, name=f"{self._name}-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()


def _serve(calls: "SimpleQueue[_Call | None]", plan: ThreadPlan) -> None:
    """A thread's life: connect when first needed, serve batches, connect anew after one failed as a whole."""
    connection: sqlite3.Connection | None = None
    running = True
    while running:
        batch, running = _take(calls, plan.batch)
        connection = _serve_batch(batch, connection, plan)
        del batch  # values may be large, and the next call late
    if connection is not None:
        connection.close()


def _take(calls: "SimpleQueue[_Call | None]", most: int) -> tuple[list[_Call], bool]:
    """The calls that wait, at least one unless the end was reached, and whether the thread goes on."""
    batch: list[_Call] = []
    with suppress(Empty):
        while len(batch) < most:
            call = calls.get(block=not batch)
            if call is None:
                return batch, False
            batch.append(call)
    return batch, True


def _serve_batch(
    batch: Sequence[_Call], connection: sqlite3.Connection | None, plan: ThreadPlan
) -> sqlite3.Connection | None:
    """Carry out the batch and tell those who wait; returns the connection to go on with."""
    if not batch:
        return connection
    try:
        connection = connection or plan.connect()
        outcomes = _carry_out(batch, connection, plan)
    except Exception as error:  # noqa: BLE001 -- whatever it is, those who wait must hear of it
        if connection is not None:
            connection.close()  # rolls back what the batch began
            connection = None
        outcomes = [_Outcome(call, error=plan.translate(error)) for call in batch]
    _answer(outcomes)
    return connection


def _carry_out(batch: Sequence[_Call], connection: sqlite3.Connection, plan: ThreadPlan) -> list[_Outcome]:
    """One transaction over the batch; raises when nothing of it was kept."""
    grouped = len(batch) > 1  # one call alone needs no transaction around it, and is faster without
    if grouped:
        connection.execute("BEGIN IMMEDIATE")
    outcomes: list[_Outcome] = []
    for call in batch:
        try:
            outcomes.append(_Outcome(call, call.act(connection)))
        except Exception as error:
            if connection.in_transaction != grouped:
                raise  # a full disk and the like: SQLite has rolled back all of the batch, or cannot end a single call
            outcomes.append(_Outcome(call, error=plan.translate(error)))
    if grouped:
        connection.execute("COMMIT")
    return outcomes


def _answer(outcomes: Sequence[_Outcome]) -> None:
    """Wake each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome.call.loop, []).append(outcome)
    for loop, own in by_loop.items():
        with suppress(RuntimeError):  # that loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, own)


def _settle(outcomes: Sequence[_Outcome]) -> None:
    for outcome in outcomes:
        future = outcome.call.future
        if future.done():  # cancelled meanwhile
            continue
        if outcome.error is not None:
            future.set_exception(outcome.error)
        else:
            future.set_result(outcome.result)
