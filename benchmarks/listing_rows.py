"""Runs and threads as the product stores them, made by the million: what `benchmarks.listings` lists.

`objects_of` gives the objects that a run and its thread are made of once the run's life has come to `record`: the
same keys, values and notes that starting, carrying and ending it through the product leave behind (a unit test compares
them). `load` puts them into a SQLite store in the order of time, in one transaction.
"""

import os
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from durablegraph.model.records import Listed, RunFailure, RunRecord, RunRequest, ThreadRecord
from durablegraph.model.status import RunStatus, thread_status
from durablegraph.storage.documents import encode
from durablegraph.storage.indexes import Index
from durablegraph.storage.indexes.kinds import RUNS, THREADS
from durablegraph.storage.keys import run_key, thread_key
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.sqlite import SqliteObjectStore

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
APART = timedelta(seconds=10)
RARE = 10
"""How many runs, and how many threads, the rare filters find."""
GRAPHS = ("support", "orders", "reports", "agents")
TENANTS, REGIONS = 1000, ("eu", "us", "asia")
_INSERT = "INSERT INTO durablegraph_objects (etag, modified, data, note, key) VALUES (?, ?, ?, ?, ?)"
_CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Life:
    """A run and its thread."""

    request: RunRequest
    record: RunRecord
    thread: ThreadRecord
    output: bytes | None


def life(number: int, count: int, chance: random.Random) -> Life:
    """The `number`-th of `count` runs: most completed; waiting ones, failures and a few rare things among them."""
    at = FIRST + number * APART
    rare = number % max(1, count // RARE) == 0
    run_id, thread_id = f"{chance.getrandbits(128):032x}", f"{chance.getrandbits(128):032x}"
    graph = "rare" if rare else GRAPHS[number % 4]
    status = _status(number, rare=rare)
    metadata = {"tenant": f"t{chance.randrange(TENANTS)}", "region": REGIONS[number % 3]}
    if rare:
        metadata["campaign"] = "spring"
    later = at + timedelta(seconds=3)
    failure = RunFailure(type="ValueError", message="no such order", node="fetch") if status == "failed" else None
    began = {"run_id": run_id, "graph": graph, "thread_id": thread_id, "created_at": at, "metadata": metadata}
    request = RunRequest(**began, input={"question": "Where is my order?"})
    record = RunRecord(
        **began, request=request, status=status, updated_at=later, step=7, checkpoint=f"{chance.getrandbits(128):032x}",
        next=("review",) if status == "interrupted" else (), wait=int(status == "interrupted"), error=failure,
        graph_version="4f1c2a90",
    )  # fmt: skip
    thread = ThreadRecord(
        thread_id=thread_id, created_at=at, updated_at=later, graph=graph, status=thread_status(status),
        active_run=None if status.ended else run_id, last_run=run_id if status.ended else None, turn=record.turn,
        metadata={"campaign": "spring"} if rare else {},
    )  # fmt: skip
    output = b'{"answer": "Your order is on its way.", "n": 42}' if status == "completed" else None
    return Life(request, record, thread, output)


def _status(number: int, *, rare: bool) -> RunStatus:
    if rare:
        return RunStatus.TIMED_OUT
    if number % 100 == 1:
        return RunStatus.INTERRUPTED
    return RunStatus.FAILED if number % 40 == 3 else RunStatus.COMPLETED  # of the fourth graph alone


class Layout:
    """Keys, values and notes of lives."""

    def __init__(self) -> None:
        nowhere = MemoryObjectStore()
        self._runs, self._threads = Index(nowhere, RUNS), Index(nowhere, THREADS)

    def objects_of(self, lived: Life) -> Iterator[tuple[str, bytes, str | None]]:
        """(key, value, note) of everything that is stored of a run and its thread but checkpoints and waits."""
        run, thread = lived.record, lived.thread
        yield run_key(run.run_id, "record"), encode(run), None
        if lived.output is not None:
            yield run_key(run.run_id, "output"), lived.output, None
        yield from self._entries(self._runs, run)
        yield thread_key(thread.thread_id), encode(thread), None
        yield from self._entries(self._threads, thread)

    @staticmethod
    def _entries(index: Index[Any], record: Listed) -> Iterator[tuple[str, bytes, str | None]]:
        note = index.note(record)
        for key in index.own(record):
            yield key, b"", note


async def load(path: Path, count: int) -> int:
    """Put `count` runs and as many threads into the store at `path`; the result is the number of objects."""
    store = SqliteObjectStore(path)
    await store.put("made", b"")  # the product's own table
    await store.delete("made")
    await store.aclose()
    with sqlite3.connect(path, isolation_level=None) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -4000000", "locking_mode = EXCLUSIVE"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        objects = _insert(connection, count)
        connection.execute("COMMIT")
    connection.close()
    return objects


def _insert(connection: sqlite3.Connection, count: int) -> int:
    chance, layout, objects = random.Random(1), Layout(), 0  # noqa: S311 -- the same data in every run
    rows: list[tuple[str, int, bytes, str | None, str]] = []
    for number in range(count):
        lived = life(number, count, chance)
        modified = int(lived.record.updated_at.timestamp() * 1_000_000)
        rows += [(os.urandom(8).hex(), modified, data, note, key) for key, data, note in layout.objects_of(lived)]
        if len(rows) >= _CHUNK or number == count - 1:
            connection.executemany(_INSERT, rows)
            objects += len(rows)
            rows.clear()
    return objects
