"""Latency of single writes and reads of the object stores, beside the floor of each.

Run `python -m benchmarks.object_stores [rounds]`; Azurite is installed and started when Node.js is there. The floor of
SQLite is the same statement on the calling thread, the floor of Blob one bare `upload_blob` and `download_blob`. Store
and floor take turns, so that both meet the same machine at the same time.
"""

import asyncio
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lib"), str(ROOT)]

from azure.storage.blob.aio import ContainerClient  # noqa: E402 -- after the path is set

from benchmarks.report import Report, percentile  # noqa: E402 -- as above
from durablegraph.storage.connections import SqliteConnection, string_connection  # noqa: E402 -- as above
from durablegraph.storage.objects import ObjectStore  # noqa: E402 -- as above
from durablegraph.storage.opening import open_store  # noqa: E402 -- as above
from durablegraph.storage.sqlite import SqliteObjectStore  # noqa: E402 -- as above
from tests.support.azurite import install, running  # noqa: E402 -- as above

SIZE = 2048
KEYS = 100
GOAL = 1.3
"""A put of ours on Blob in bare uploads: the goal that checkpoints have, too."""
Act = Callable[[str], Awaitable[object]]
Cases = dict[str, Act]


def cases_of(name: str, store: ObjectStore) -> Cases:
    """The calls of a store, in the order in which they take turns on one key."""
    value = os.urandom(SIZE)
    etags: dict[str, str] = {}

    async def put(key: str) -> None:
        etags[key] = await store.put(key, value)

    async def replace(key: str) -> None:
        etags[key] = await store.put(key, value, if_match=etags[key])

    return {f"{name}, put": put, f"{name}, put if_match": replace, f"{name}, get": store.get}


async def in_turns(cases: Cases, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call of each case."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + KEYS):
        for name, act in cases.items():
            begun = time.perf_counter()
            await act(f"bench/{number % KEYS:04d}")
            if number >= KEYS:  # the first round of all keys warms up
                taken[name].append((time.perf_counter() - begun) * 1000)
    return taken


async def at_once(store: ObjectStore, rounds: int) -> float:
    """Puts a second when all are asked for at once."""
    value, begun = os.urandom(SIZE), time.perf_counter()
    await asyncio.gather(*(store.put(f"many/{number}", value) for number in range(rounds)))
    return rounds / (time.perf_counter() - begun)


def floor_of_sqlite(path: Path) -> Cases:
    """The same statements on this thread."""
    value = os.urandom(SIZE)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE bench (key TEXT PRIMARY KEY, data BLOB)")

    async def put(key: str) -> None:
        connection.execute("INSERT OR REPLACE INTO bench VALUES (?, ?)", (key, value))

    async def get(key: str) -> None:
        connection.execute("SELECT data FROM bench WHERE key = ?", (key,)).fetchone()

    return {"SQLite floor, put": put, "SQLite floor, get": get}


@asynccontextmanager
async def floor_of_blob(connection: str, container: str) -> AsyncIterator[Cases]:
    """The SDK's own calls."""
    value = os.urandom(SIZE)
    async with ContainerClient.from_connection_string(connection, container, api_version="2023-11-03") as client:

        async def put(key: str) -> None:
            await client.get_blob_client(key).upload_blob(value, overwrite=True)

        async def get(key: str) -> None:
            await (await client.get_blob_client(key).download_blob()).readall()

        yield {"Blob floor, put": put, "Blob floor, get": get}


def tell(report: Report, found: dict[str, list[float]], floor: str, many: dict[str, float]) -> None:
    """The rows of the cases that shared their turns."""
    for name, times in found.items():
        p50, p95, p99 = statistics.median(times), percentile(times, 0.95), percentile(times, 0.99)
        of_floor = p50 / statistics.median(found[f"{floor}, {'get' if name.endswith('get') else 'put'}"])
        rate = many.get(name)
        report.row(
            name, f"{p50:.3f}", f"{p95:.3f}", f"{p99:.3f}", f"{of_floor:.2f}", "" if rate is None else f"{rate:.0f}"
        )


async def on_sqlite(report: Report, rounds: int) -> None:
    """Rows of SQLite, as opened by default and with a flush a commit."""
    with tempfile.TemporaryDirectory() as folder:
        plain = open_store(SqliteConnection(Path(folder) / "objects.db"))
        safe = SqliteObjectStore(Path(folder) / "safe.db", power_safe=True)
        cases = {**cases_of("SQLite", plain), **cases_of("SQLite, power safe", safe)}
        found = await in_turns({**cases, **floor_of_sqlite(Path(folder) / "floor.db")}, rounds)
        many = {"SQLite, put": await at_once(plain, rounds), "SQLite, power safe, put": await at_once(safe, rounds)}
        tell(report, found, "SQLite floor", many)
        await plain.aclose()
        await safe.aclose()


async def on_blob(report: Report, rounds: int) -> None:
    """Rows of Blob, on Azurite."""
    with running() as connection:
        container = f"bench-{uuid.uuid4().hex}"
        store = open_store(string_connection(connection, container=container))
        await store.put("made", b"")
        async with floor_of_blob(connection, container) as floor:
            found = await in_turns({**cases_of("Blob", store), **floor}, rounds)
        tell(report, found, "Blob floor", {"Blob, put": await at_once(store, rounds)})
        await store.aclose()
    for call in ("put", "get"):
        ratio = statistics.median(found[f"Blob, {call}"]) / statistics.median(found[f"Blob floor, {call}"])
        report.goal(f"Blob: a {call} against a bare one of the SDK, medians", ratio, GOAL, unit=" x")


async def measure(report: Report, rounds: int) -> None:
    """All rows that can be had here."""
    await on_sqlite(report, rounds)
    if shutil.which("npm") is None:
        report.notes.append("no Azurite: Node.js is not installed")
        return
    install()
    await on_blob(report, rounds)


def main(rounds: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    headings = ("p50, ms", "p95", "p99", "floors", "a second, all at once")
    report = Report(
        "object_stores", "A write and a read of an object store", headings, packages=("azure-storage-blob",)
    )
    asyncio.run(measure(report, rounds))
    report.notes.append(f"values of {SIZE} bytes, {KEYS} keys, {rounds} rounds in which the calls take turns")
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
