"""Latency of single writes and reads of the object stores, beside the floor of each.

Run `python benchmarks/object_stores.py [rounds]`; Azurite is installed and started when Node.js is there. The floor of
SQLite is the same statement on the calling thread, the floor of Blob one bare `upload_blob` and `download_blob`.
"""

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lib"), str(ROOT)]

from azure.storage.blob.aio import ContainerClient  # noqa: E402 -- after the path is set

from durablegraph.storage.connections import SqliteConnection, string_connection  # noqa: E402 -- as above
from durablegraph.storage.objects import ObjectStore  # noqa: E402 -- as above
from durablegraph.storage.opening import open_store  # noqa: E402 -- as above
from durablegraph.storage.sqlite import SqliteObjectStore  # noqa: E402 -- as above
from tests.support.azurite import install, running  # noqa: E402 -- as above

SIZE = 2048
KEYS = 100


async def timed(act: Callable[[str], Awaitable[object]], rounds: int) -> list[float]:
    taken = []
    for number in range(rounds):
        key = f"bench/{number % KEYS:04d}"
        start = time.perf_counter()
        await act(key)
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def line(name: str, milliseconds: list[float]) -> str:
    ordered = sorted(milliseconds)
    p95, p99 = (ordered[int(len(ordered) * part)] for part in (0.95, 0.99))
    return f"| {name} | {statistics.median(ordered):.3f} | {p95:.3f} | {p99:.3f} |"


async def of_store(name: str, store: ObjectStore, rounds: int) -> None:
    value = os.urandom(SIZE)
    etags: dict[str, str] = {}

    async def put(key: str) -> None:
        etags[key] = await store.put(key, value)

    async def replace(key: str) -> None:
        etags[key] = await store.put(key, value, if_match=etags[key])

    print(line(f"{name} put", await timed(put, rounds)))
    print(line(f"{name} put if_match", await timed(replace, rounds)))
    print(line(f"{name} get", await timed(store.get, rounds)))
    start = time.perf_counter()
    await asyncio.gather(*(store.put(f"many/{number}", value) for number in range(rounds)))
    print(f"| {name} put, {rounds} at once: {rounds / (time.perf_counter() - start):.0f} a second | | | |")
    await store.aclose()


async def floor_of_sqlite(path: Path, rounds: int) -> None:
    value = os.urandom(SIZE)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE bench (key TEXT PRIMARY KEY, data BLOB)")

    async def put(key: str) -> None:
        connection.execute("INSERT OR REPLACE INTO bench VALUES (?, ?)", (key, value))

    print(line("sqlite floor, on the loop's thread", await timed(put, rounds)))
    connection.close()


async def floor_of_blob(connection: str, container: str, rounds: int) -> None:
    value = os.urandom(SIZE)
    async with ContainerClient.from_connection_string(connection, container, api_version="2023-11-03") as client:

        async def upload(key: str) -> None:
            await client.get_blob_client(key).upload_blob(value, overwrite=True)

        async def download(key: str) -> None:
            await (await client.get_blob_client(key).download_blob()).readall()

        print(line("blob floor, upload_blob", await timed(upload, rounds)))
        print(line("blob floor, download_blob", await timed(download, rounds)))


async def main(rounds: int) -> None:
    print(f"Values of {SIZE} bytes, {rounds} rounds, milliseconds\n\n| case | p50 | p95 | p99 |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        await floor_of_sqlite(Path(folder) / "floor.db", rounds)
        await of_store("sqlite", open_store(SqliteConnection(Path(folder) / "objects.db")), rounds)
        safe = SqliteObjectStore(Path(folder) / "safe.db", power_safe=True)
        await of_store("sqlite, power safe,", safe, rounds)
    install()
    with running() as connection:
        container = f"bench-{uuid.uuid4().hex}"
        await of_store("blob", open_store(string_connection(connection, container=container)), rounds)
        await floor_of_blob(connection, container, rounds)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
