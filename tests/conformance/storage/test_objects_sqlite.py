"""What the SQLite store does beside other processes, when processes die, and with files that are none of its own."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import durablegraph
from durablegraph.errors import ConfigurationError, TransientError
from durablegraph.storage.objects import PreconditionFailed
from durablegraph.storage.sqlite import SqliteObjectStore

LIB = Path(durablegraph.__file__).parent.parent

COUNT = """
import asyncio, sys
from durablegraph.storage.objects import PreconditionFailed
from durablegraph.storage.sqlite import SqliteObjectStore

async def main(path, rounds):
    store = SqliteObjectStore(path)
    won = 0
    for number in range(rounds):
        try:
            await store.put(f"claim/{number}", b"", if_absent=True)
            won += 1
        except PreconditionFailed:
            pass
        while True:
            stored = await store.get("counter")
            try:
                await store.put("counter", str(int(stored.data) + 1).encode(), if_match=stored.etag)
                break
            except PreconditionFailed:
                pass
    await store.aclose()
    print(won)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""

WRITE_FOR_EVER = """
import asyncio, sys
from durablegraph.storage.sqlite import SqliteObjectStore

async def lane(store, name, say):
    number = 0
    while True:
        data = f"{name}-{number}-".encode() * (1 + number % 400)
        await store.put(f"{name}/{number % 50}", data)
        say(f"{name} {number}\\n")
        number += 1

async def main(path):
    store = SqliteObjectStore(path)
    def say(line):
        sys.stdout.write(line)
        sys.stdout.flush()
    await asyncio.gather(*(lane(store, f"lane{lane_}", say) for lane_ in range(4)))

asyncio.run(main(sys.argv[1]))
"""

LONG = b"x" * 65_537


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteObjectStore]:
    store = SqliteObjectStore(tmp_path / "objects.db")
    yield store
    await store.aclose()


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(LIB)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


async def test_two_processes_on_one_file_count_exactly_and_share_the_claims(
    store: SqliteObjectStore, tmp_path: Path
) -> None:
    await store.put("counter", b"0")
    processes = [start(COUNT, str(tmp_path / "objects.db"), "150") for _ in range(2)]
    outputs = [await asyncio.to_thread(process.communicate, timeout=120) for process in processes]
    assert sum(int(output) for output, _ in outputs) == 150
    stored = await store.get("counter")
    assert stored is not None
    assert stored.data == b"300"


async def test_processes_that_make_the_file_at_once_all_succeed(tmp_path: Path) -> None:
    once = "import asyncio,sys\nfrom durablegraph.storage.sqlite import SqliteObjectStore as S\n"
    once += "s=S(sys.argv[1])\nasyncio.run(s.put(sys.argv[2], b''))\n"
    processes = [start(once, str(tmp_path / "new.db"), f"p/{number}") for number in range(4)]
    for process in processes:
        assert await asyncio.to_thread(process.wait, timeout=60) == 0
        process.communicate()
    store = SqliteObjectStore(tmp_path / "new.db")
    assert [entry.key async for entry in store.list("p/")] == [f"p/{number}" for number in range(4)]
    await store.aclose()


@pytest.mark.parametrize("seed", range(4))
async def test_kill_9_during_writes_keeps_every_acknowledged_one(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "objects.db"
    process = start(WRITE_FOR_EVER, str(path))
    assert process.stdout is not None
    enough = random.Random(seed).randint(50, 800)  # noqa: S311 -- chooses the moment of death
    lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(enough)]
    process.send_signal(signal.SIGKILL)
    rest, _ = await asyncio.to_thread(process.communicate)
    journal = "".join(lines) + rest[: rest.rfind("\n") + 1]
    acknowledged: dict[str, int] = {}
    for line in journal.splitlines():
        lane, number = line.split()
        acknowledged[f"{lane}/{int(number) % 50}"] = int(number)
    store = SqliteObjectStore(path)
    for key, number in acknowledged.items():
        stored = await store.get(key)
        assert stored is not None
        found = stored.data.split(b"-")[1]
        assert int(found) in {number, number + 50}  # its successor may have been written, and not been told of
        assert stored.data == f"{key.split('/')[0]}-{int(found)}-".encode() * (1 + int(found) % 400)
    assert len(acknowledged) >= 40
    await store.aclose()
    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()


async def test_the_event_loop_runs_on_while_large_values_are_written(store: SqliteObjectStore) -> None:
    value = os.urandom(4_000_000)
    await store.put("warm", b"")
    gaps = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - last)
            last = time.perf_counter()

    ticking = asyncio.ensure_future(tick())
    await asyncio.gather(*(store.put(f"big/{number}", value) for number in range(10)))
    ticking.cancel()
    assert len(gaps) >= 10  # were the 40 MB written on the loop, there would be none


async def test_a_short_call_is_carried_out_where_it_is_made(store: SqliteObjectStore) -> None:
    await store.put("warm", b"")
    threads = set()
    await store._writer.run(lambda connection: connection.set_trace_callback(threads.add))
    await store._readers.run(lambda connection: connection.set_trace_callback(threads.add))
    for number in range(20):
        await store.put(f"a/{number}", b"x", if_absent=True)
        found = await store.get(f"a/{number}")
        assert found is not None
        with pytest.raises(PreconditionFailed):
            await store.put(f"a/{number}", b"y", if_match="another")
        await store.delete(f"a/{number}", if_match=found.etag)
    assert threads == set()


async def test_values_on_both_sides_of_what_is_short_are_read_as_they_were_written(store: SqliteObjectStore) -> None:
    for size in (0, 65_535, 65_536, 65_537):
        for key in ("a", f"a/{size}"):
            await store.put(key, b"x" * size)
            found = await store.get(key)
            assert found is not None
            assert found.data == b"x" * size


async def test_short_calls_in_a_row_leave_the_event_loop_to_others(store: SqliteObjectStore) -> None:
    await store.put("a", b"x")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.ensure_future(tick())
    for _ in range(320):
        await store.get("a")
    ticking.cancel()
    assert ticks >= 19


async def test_short_writes_do_not_let_the_log_grow(store: SqliteObjectStore, tmp_path: Path) -> None:
    for number in range(3_000):
        await store.put("a", os.urandom(4_000), note=str(number))
    assert (tmp_path / "objects.db-wal").stat().st_size < 16_000_000  # three thousand writes are over 24 MB


async def test_writes_that_wait_share_transactions(store: SqliteObjectStore) -> None:
    await store.put("warm", b"")
    statements: list[str] = []
    trace = asyncio.get_running_loop().create_future()

    def spy(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(statements.append)
        trace.get_loop().call_soon_threadsafe(trace.set_result, None)

    await store._writer.run(spy)
    await trace
    await asyncio.gather(*(store.put(f"a/{number}", LONG) for number in range(200)))
    assert sum(statement.startswith("INSERT") for statement in statements) == 200
    assert sum(statement == "COMMIT" for statement in statements) <= 10


async def test_a_refused_write_undoes_nothing_of_its_transaction(store: SqliteObjectStore) -> None:
    await store.put("taken", b"")
    results = await asyncio.gather(
        *(store.put("taken" if number % 3 == 0 else f"a/{number}", b"x", if_absent=True) for number in range(60)),
        return_exceptions=True,
    )
    kept = {f"a/{number}" for number in range(60) if number % 3}
    assert {entry.key async for entry in store.list("a/")} == kept
    assert sum(isinstance(result, str) for result in results) == len(kept)


async def test_a_reader_does_not_wait_for_another_process_that_writes(store: SqliteObjectStore, tmp_path: Path) -> None:
    await store.put("a", b"before")
    other = sqlite3.connect(tmp_path / "objects.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE durablegraph_objects SET data = x'00'")
    stored = await asyncio.wait_for(store.get("a"), timeout=5)
    assert stored is not None
    assert stored.data == b"before"
    writing = asyncio.ensure_future(store.put("b", b""))
    await asyncio.wait([writing], timeout=0.05)
    assert not writing.done()
    other.execute("ROLLBACK")
    other.close()
    await asyncio.wait_for(writing, timeout=10)


@pytest.mark.parametrize("path", [":memory:", "", "file:x?mode=memory"])
def test_a_path_that_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="MemoryObjectStore"):
        SqliteObjectStore(path)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes. " * 100)
    store = SqliteObjectStore(path)
    for attempt in (store.put("a", b""), store.get("a")):
        with pytest.raises(ConfigurationError, match=r"notes\.txt cannot be used"):
            await attempt
    await store.aclose()
    assert path.read_text() == "These are notes. " * 100


async def test_a_folder_and_a_path_below_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "state.db"):
        store = SqliteObjectStore(path)
        with pytest.raises(ConfigurationError, match="cannot be"):
            await store.put("a", b"")
        await store.aclose()


async def test_a_store_that_could_not_be_opened_works_once_the_cause_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.mkdir()
    store = SqliteObjectStore(path)
    with pytest.raises(ConfigurationError):
        await store.put("a", b"")
    path.rmdir()
    await store.put("a", b"1")
    assert await store.get("a") is not None
    await store.aclose()


async def test_other_tables_of_the_file_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    with sqlite3.connect(path) as mine:
        mine.execute("CREATE TABLE objects (name TEXT)")
        mine.execute("INSERT INTO objects VALUES ('kept')")
    mine.close()
    store = SqliteObjectStore(path)
    await store.put("a", b"")
    await store.aclose()
    with sqlite3.connect(path) as mine:
        assert mine.execute("SELECT name FROM objects").fetchall() == [("kept",)]
    mine.close()


BEFORE_NOTES = """
CREATE TABLE durablegraph_objects (
    key TEXT NOT NULL UNIQUE COLLATE BINARY, etag TEXT NOT NULL, modified INTEGER NOT NULL, data BLOB NOT NULL
)
"""


async def test_a_file_of_the_version_before_notes_opens_with_all_it_has(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        old.execute(BEFORE_NOTES)
        old.execute("INSERT INTO durablegraph_objects VALUES ('a', 'e1', 1000000, x'31')")
    old.close()
    stores = [SqliteObjectStore(path) for _ in range(4)]
    found = await asyncio.gather(*(store.get("a") for store in stores))  # all find the old table at once
    assert [stored.data for stored in found if stored] == [b"1"] * 4
    await stores[0].put("a", b"2", if_match="e1", note="new")
    await stores[1].put("b", b"")
    assert [(entry.key, entry.note) async for entry in stores[2].list("", notes=True)] == [("a", "new"), ("b", None)]
    for store in stores:
        await store.aclose()


async def test_a_full_disk_is_a_transient_error_and_the_store_goes_on(store: SqliteObjectStore) -> None:
    await store.put("kept", b"1")

    begun, together = threading.Event(), threading.Event()

    def fill(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        begun.set()
        assert together.wait(10)

    filling = asyncio.create_task(store._writer.run(fill))
    assert await asyncio.to_thread(begun.wait, 10)
    puts = [asyncio.create_task(store.put(f"big/{number}", b"x" * 100_000)) for number in range(5)]
    await asyncio.sleep(0)
    together.set()  # one that came later would find a new connection, without the limit
    await filling
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert all(isinstance(result, TransientError) for result in results)
    assert [entry.key async for entry in store.list("")] == ["kept"]
    stored = await store.get("kept")
    assert stored is not None
    await store.put("small", b"x")  # a new connection was opened, without the limit


async def test_a_power_safe_store_flushes_every_commit(tmp_path: Path) -> None:
    store = SqliteObjectStore(tmp_path / "safe.db", power_safe=True)
    await store.put("a", b"")
    level = await store._writer.run(lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0])
    assert level == 2  # FULL
    await store.aclose()
