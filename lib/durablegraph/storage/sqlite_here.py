"""SQLite calls that the calling thread carries out itself, when they are short and nothing would make it wait.

The way to another thread and back takes four times the processor time that SQLite needs for a small object (60 against
15 microseconds), and a run's super-step asks for two.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from durablegraph.storage.sqlite_threads import ConnectionThreads

T = TypeVar("T")

_CALLS_IN_A_ROW: Final = 16
_WRITES_IN_A_ROW: Final = 250
HAS_NOTES: Final = "SELECT count(*) FROM pragma_table_info('durablegraph_objects') WHERE name = 'note'"
"""Whether the table is there, and not as it was before there were notes."""


class NotHere(Exception):  # noqa: N818 -- no error: the call is for another thread
    """Raised by a call that has changed nothing and would take long: a thread of the store's is to carry it out."""


class CallsHere:
    """A connection for whatever thread calls next; what it cannot do at once is done by a thread that may wait.

    It never waits for a lock, never makes a file or a table, and never writes the log back into the database: every so
    many writes one is left to the writer's thread, which does that.
    """

    def __init__(self, path: Path, translate: Callable[[Exception], Exception]) -> None:
        self._path = path
        self._translate = translate
        self._turn = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._calls = self._writes = 0
        self._closed = False

    async def run(
        self,
        act: Callable[[sqlite3.Connection], T],
        otherwise: ConnectionThreads,
        *,
        here: Callable[[sqlite3.Connection], T] | None = None,
        writes: bool = False,
    ) -> T:
        """The result of `act` (here of `here`, which may raise NotHere); raises what that raised, translated."""
        self._writes += writes
        if writes and self._writes % _WRITES_IN_A_ROW == 0:
            return await otherwise.run(act)
        try:
            result = self._at_once(here or act)
        except NotHere:
            return await otherwise.run(act)
        self._calls += 1
        if self._calls % _CALLS_IN_A_ROW == 0:
            await asyncio.sleep(0)  # a call from here suspends nobody, and others want the event loop too
        return result

    def close(self) -> None:
        """Close the connection; calls go to the threads from now on, which are closed too or will tell."""
        with self._turn:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _at_once(self, act: Callable[[sqlite3.Connection], T]) -> T:
        if not self._turn.acquire(blocking=False):
            raise NotHere
        try:
            self._connection = self._connection or self._opened()
            return act(self._connection)
        except NotHere:
            raise
        except Exception as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise NotHere from error
            told = self._translate(error)
            if told is error:
                raise
            raise told from error
        finally:
            self._turn.release()

    def _opened(self) -> sqlite3.Connection:
        """A connection to a file that has its table; to make one is for a thread that may wait."""
        if self._closed or not self._path.exists():
            raise NotHere
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        try:
            made = sqlite3.connect(address, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise NotHere from error
        try:
            made.execute("PRAGMA synchronous = NORMAL")
            made.execute("PRAGMA wal_autocheckpoint = 0")
            has_table = bool(made.execute(HAS_NOTES).fetchone()[0])
        except BaseException:
            made.close()
            raise
        if not has_table:
            made.close()
            raise NotHere
        return made
