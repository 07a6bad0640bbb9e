"""The object store in one SQLite file: the embedded default, shared by every process that opens the path.

The file is in WAL mode, so readers never wait for the writer. A short call is carried out where it is made, if nothing
would make it wait; every other is carried to a thread that owns a connection, and its answer back to the event loop it
came from. Such writes of one process go through one thread, which puts all that wait into one transaction (group
commit); writes of several processes are kept apart by SQLite's own lock. An acknowledged write survives the death of
the process at any moment. It survives a power cut too when the store was opened with `power_safe`, at the price of one
disk flush a commit.
"""

import secrets
import sqlite3
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from durablegraph import clock
from durablegraph.errors import ConfigurationError, DurableGraphError, TooLarge, TransientError
from durablegraph.storage.objects import (
    ObjectEntry,
    PreconditionFailed,
    StoredObject,
    check_conditions,
    check_key,
    check_note,
)
from durablegraph.storage.sqlite_here import HAS_NOTES, CallsHere, NotHere
from durablegraph.storage.sqlite_threads import ConnectionThreads, ThreadPlan

T = TypeVar("T")

_READERS: Final = 2
_MOST_WRITES_A_COMMIT: Final = 128
_BUSY_SECONDS: Final = 30.0
_LIST_PAGE: Final = 500
_SHORT: Final = 64 * 1024
_LARGEST_IDLE_WAL: Final = 64 * 1024 * 1024  # a burst of writes must not leave a huge WAL file for ever
_PERMANENT: Final = frozenset(
    {
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
    }
)
_REMEDY: Final = "expected a writable SQLite file or a path where one can be made; correct the path or its permissions"
_MICROSECOND: Final = timedelta(microseconds=1)

# The name carries the product's, because a user may keep other tables in the same file. The columns a listing reads
# stand before the value, so that it never visits the pages a long value overflows to.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS durablegraph_objects (
    key TEXT NOT NULL UNIQUE COLLATE BINARY,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    note TEXT,
    data BLOB NOT NULL
)
"""
_ADD_NOTES: Final = "ALTER TABLE durablegraph_objects ADD COLUMN note TEXT"
_GET: Final = "SELECT data, etag, modified FROM durablegraph_objects WHERE key = ?"
_GET_SHORT: Final = (
    "SELECT CASE WHEN length(data) <= ? THEN data END, etag, modified FROM durablegraph_objects WHERE key = ?"
)
_ETAG: Final = "SELECT etag FROM durablegraph_objects WHERE key = ?"
_PUT: Final = (
    "INSERT INTO durablegraph_objects (etag, modified, data, note, key) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET "
    "etag = excluded.etag, modified = excluded.modified, data = excluded.data, note = excluded.note"
)
_PUT_IF_ABSENT: Final = (
    "INSERT INTO durablegraph_objects (etag, modified, data, note, key) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (key) DO NOTHING"
)
_PUT_IF_MATCH: Final = (
    "UPDATE durablegraph_objects SET etag = ?, modified = ?, data = ?, note = ? WHERE key = ? AND etag = ?"
)
_DELETE: Final = "DELETE FROM durablegraph_objects WHERE key = ?"
_DELETE_IF_MATCH: Final = "DELETE FROM durablegraph_objects WHERE key = ? AND etag = ?"
_LIST: Final = (
    "SELECT key, length(data), etag, modified, CASE WHEN ? THEN note END FROM durablegraph_objects "
    "WHERE key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?"
)
_Row: TypeAlias = tuple[str, int, bytes, str | None, str]
_BEYOND_ALL_KEYS: Final = "\x7f"  # keys are ASCII letters, digits and a few signs


class SqliteObjectStore:
    """An ObjectStore in the file at `path`, which is made (with its folder) by the first call.

    One object may be used from any thread and any event loop at once. Open it in each process after that process has
    been started: SQLite's connections do not survive a fork. A value may have up to 1 GB (SQLite's own limit).
    """

    def __init__(self, path: str | Path, *, power_safe: bool = False, now: Callable[[], datetime] = clock.now) -> None:
        if str(path).startswith((":", "file:")) or not str(path):
            raise ConfigurationError(
                f"{str(path)!r} is not a path of a file: expected one such as 'state.db'; "
                "for a store that lasts as long as the object use MemoryObjectStore"
            )
        self._path = Path(path)
        self._now = now
        plan = ThreadPlan(partial(_connect, self._path, power_safe=power_safe), partial(_translated, self._path))
        self._writer = ConnectionThreads(f"{self._path} writer", replace(plan, batch=_MOST_WRITES_A_COMMIT))
        self._readers = ConnectionThreads(f"{self._path} reader", plan, count=_READERS)
        self._here = CallsHere(self._path, plan.translate)
        self._longest_write = -1 if power_safe else _SHORT  # one that waits for the disk is never short
        for threads in (self._writer, self._readers):  # a store that is dropped without aclose leaves no thread
            weakref.finalize(self, threads.stop)
        weakref.finalize(self, self._here.close)

    async def get(self, key: str) -> StoredObject | None:
        """See ObjectStore.get."""
        check_key(key)
        return await self._here.run(partial(_get, key), self._readers, here=partial(_get_short, key))

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False, note: str | None = None
    ) -> str:
        """See ObjectStore.put. Waits up to 30 s for another process's write, then raises TransientError."""
        check_conditions(if_match, if_absent=if_absent)
        row = (secrets.token_hex(8), _microseconds(self._now()), data, check_note(note), check_key(key))
        if if_match is not None:
            return await self._write(partial(_replace, row, if_match), len(data))
        return await self._write(partial(_create, row) if if_absent else partial(_put, row), len(data))

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """See ObjectStore.delete; the answer is exact here."""
        return await self._write(partial(_delete, check_key(key), if_match))

    async def delete_many(self, keys: Sequence[str]) -> None:
        """See ObjectStore.delete_many; one transaction here."""
        rows = [(check_key(key),) for key in keys]
        if rows:
            await self._writer.run(partial(_delete_many, rows))

    async def list(
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None, notes: bool = False
    ) -> AsyncIterator[ObjectEntry]:
        """See ObjectStore.list; read in pages of up to 500 entries, each a consistent view."""
        after, remaining = start_after or "", limit
        while True:
            wanted = _LIST_PAGE if remaining is None else min(remaining, _LIST_PAGE)
            page = await self._readers.run(partial(_list, prefix, after, wanted, notes=notes))
            for entry in page:
                yield entry
            if remaining is not None:
                remaining -= len(page)
            if len(page) < wanted or remaining == 0:
                return
            after = page[-1].key

    async def _write(self, act: Callable[[sqlite3.Connection], T], size: int = 0) -> T:
        if size > self._longest_write:
            return await self._writer.run(act)
        return await self._here.run(act, self._writer, writes=True)

    async def aclose(self) -> None:
        """See ObjectStore.aclose; writes that wait are carried out first."""
        self._here.close()
        await self._writer.aclose()
        await self._readers.aclose()


def _connect(path: Path, *, power_safe: bool) -> sqlite3.Connection:
    """A connection in WAL mode to a file that has the table; called in the thread that will use it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        _enter_wal_mode(connection, path)
        connection.execute(f"PRAGMA synchronous = {'FULL' if power_safe else 'NORMAL'}")
        connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_IDLE_WAL}")
        connection.execute(_SCHEMA)
        _add_notes(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _add_notes(connection: sqlite3.Connection) -> None:
    """Give a table that was made before there were notes their column; who is second finds it there."""
    if connection.execute(HAS_NOTES).fetchone()[0]:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not connection.execute(HAS_NOTES).fetchone()[0]:
            connection.execute(_ADD_NOTES)
    finally:
        connection.execute("COMMIT")


def _enter_wal_mode(connection: sqlite3.Connection, path: Path) -> None:
    """Put the file in WAL mode, or find it there; SQLite's busy timeout does not cover this statement."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # in the thread that owns the connection: no event loop waits
    if mode != "wal":
        raise ConfigurationError(
            f"{path}: SQLite cannot use its WAL mode there (found {mode!r}); expected a file system with shared memory "
            "and locks; put the file on a local disk"
        )


def _translated(path: Path, error: Exception) -> Exception:
    """The error that callers know for what SQLite or the file system raised."""
    match error:
        case PreconditionFailed() | DurableGraphError():
            return error
        case OverflowError() | sqlite3.DataError():
            return TooLarge(
                f"the value does not fit in an object of {path} ({error}): expected less than 1 GB; split it"
            )
        case sqlite3.Error() if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PERMANENT:
            return ConfigurationError(f"{path} cannot be used as an object store: {error}; {_REMEDY}")
        case OSError():
            return ConfigurationError(f"the folder of {path} cannot be made: {error}; {_REMEDY}")
        case sqlite3.OperationalError():
            return TransientError(f"{path}: SQLite could not carry out the call now: {error}")
        case _:  # a bug: shown as what it is
            return error


def _get_short(key: str, connection: sqlite3.Connection) -> StoredObject | None:
    row = connection.execute(_GET_SHORT, (_SHORT, key)).fetchone()
    if row is not None and row[0] is None:
        raise NotHere
    return None if row is None else StoredObject(key, row[0], row[1], _datetime(row[2]))


def _get(key: str, connection: sqlite3.Connection) -> StoredObject | None:
    row = connection.execute(_GET, (key,)).fetchone()
    return None if row is None else StoredObject(key, row[0], row[1], _datetime(row[2]))


# A row is (etag, modified, data, note, key), in the order of the statements' parameters. Each of the following is one
# statement when nothing is amiss: it needs no transaction around it, and takes SQLite's write lock at its start.


def _put(row: _Row, connection: sqlite3.Connection) -> str:
    connection.execute(_PUT, row)
    return row[0]


def _create(row: _Row, connection: sqlite3.Connection) -> str:
    if connection.execute(_PUT_IF_ABSENT, row).rowcount == 0:
        raise PreconditionFailed(f"{row[4]}: wanted no object, found {_found(connection, row[4])}")
    return row[0]


def _replace(row: _Row, if_match: str, connection: sqlite3.Connection) -> str:
    if connection.execute(_PUT_IF_MATCH, (*row, if_match)).rowcount == 0:
        raise PreconditionFailed(f"{row[4]}: wanted etag {if_match}, found {_found(connection, row[4])}")
    return row[0]


def _delete(key: str, if_match: str | None, connection: sqlite3.Connection) -> bool:
    if if_match is None:
        return connection.execute(_DELETE, (key,)).rowcount > 0
    if connection.execute(_DELETE_IF_MATCH, (key, if_match)).rowcount > 0:
        return True
    present = connection.execute(_ETAG, (key,)).fetchone()
    if present is None:
        return False
    raise PreconditionFailed(f"{key}: wanted etag {if_match}, found etag {present[0]}")


def _delete_many(rows: Sequence[tuple[str]], connection: sqlite3.Connection) -> None:
    connection.execute("SAVEPOINT delete_many")  # a transaction of its own, or a part of the batch's
    try:
        connection.executemany(_DELETE, rows)
    except BaseException:
        connection.execute("ROLLBACK TO delete_many")
        raise
    finally:
        connection.execute("RELEASE delete_many")


def _list(prefix: str, after: str, limit: int, connection: sqlite3.Connection, *, notes: bool) -> list[ObjectEntry]:
    if not prefix.isascii():
        return []  # no key is like this, and the end of its range would not be an ASCII string's
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else _BEYOND_ALL_KEYS
    rows = connection.execute(_LIST, (notes, after, prefix, end, limit)).fetchall()
    return [ObjectEntry(key, size, etag, _datetime(modified), note) for key, size, etag, modified, note in rows]


def _found(connection: sqlite3.Connection, key: str) -> str:
    row = connection.execute(_ETAG, (key,)).fetchone()
    return "no object" if row is None else f"etag {row[0]}"


def _microseconds(moment: datetime) -> int:
    return (moment - clock.EPOCH) // _MICROSECOND


def _datetime(microseconds: int) -> datetime:
    return clock.EPOCH + timedelta(microseconds=microseconds)
