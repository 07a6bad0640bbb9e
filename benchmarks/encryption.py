"""What encryption costs a write and a read, beside the same without it, in turns on the same store.

Run `python -m benchmarks.encryption [rounds]`; Azurite is installed and started when Node.js is there. A document is
JSON, which is compressed before it is encrypted; noise cannot be compressed, as checkpoint objects cannot.
"""

import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lib"), str(ROOT)]

from benchmarks.report import Report  # noqa: E402 -- after the path is set
from durablegraph.storage.connections import SqliteConnection, string_connection  # noqa: E402 -- as above
from durablegraph.storage.encryption import EncryptedStore, LocalKeys  # noqa: E402 -- as above
from durablegraph.storage.encryption.data_keys import DataKeys  # noqa: E402 -- as above
from durablegraph.storage.encryption.sealing import Sealer  # noqa: E402 -- as above
from durablegraph.storage.objects import ObjectStore  # noqa: E402 -- as above
from durablegraph.storage.opening import open_store  # noqa: E402 -- as above
from tests.support.azurite import install, running  # noqa: E402 -- as above

DOCUMENT = json.dumps(
    {"run_id": uuid.uuid4().hex, "thread_id": uuid.uuid4().hex, "graph": "agent", "status": "interrupted", "step": 12}
    | {"next": ["ask"], "metadata": {"customer": "4711", "region": "north"}, "created_at": "2026-01-01T00:00:00Z"}
).encode()
VALUES = {
    "document": DOCUMENT,
    "noise, 2 KB": os.urandom(2048),
    "noise, 32 KB": os.urandom(32 * 1024),
    "noise, 1 MB": os.urandom(1024 * 1024),
}
KEYS = 100


def stores(ending: ExitStack) -> Iterator[tuple[str, ObjectStore]]:
    folder = ending.enter_context(tempfile.TemporaryDirectory())
    yield "sqlite", open_store(SqliteConnection(Path(folder) / "objects.db"))
    if shutil.which("npm") is not None:
        install()
        connection = ending.enter_context(running())
        yield "blob (Azurite)", open_store(string_connection(connection, container=f"bench-{uuid.uuid4().hex}"))


async def in_turns(plain: ObjectStore, encrypted: ObjectStore, value: bytes, rounds: int) -> list[float]:
    """Medians in milliseconds: put plain, put encrypted, get plain, get encrypted."""
    taken: list[list[float]] = [[], [], [], []]
    for number in range(rounds + KEYS):
        for place, store in enumerate((plain, encrypted)):
            key = f"{place}/{number % KEYS:04d}"
            begun = time.perf_counter()
            await store.put(key, value)
            put = time.perf_counter()
            found = await store.get(key)
            got = time.perf_counter()
            assert found is not None
            assert found.data == value
            if number >= KEYS:  # the first round of all keys warms up
                taken[place].append((put - begun) * 1000)
                taken[2 + place].append((got - put) * 1000)
    return [statistics.median(times) for times in taken]


async def alone(value: bytes, ring: LocalKeys) -> tuple[float, float, int]:
    """Microseconds of processor time to seal and to open a value, and its size when sealed."""
    sealer, rounds = Sealer(DataKeys(ring)), 2000 if len(value) < 100_000 else 100
    sealed = await sealer.seal("key", value)
    begun = time.process_time()
    for _ in range(rounds):
        sealed = await sealer.seal("key", value)
    middle = time.process_time()
    for _ in range(rounds):
        await sealer.open("key", sealed)
    ended = time.process_time()
    return (middle - begun) / rounds * 1e6, (ended - middle) / rounds * 1e6, len(sealed)


async def measure(report: Report, rounds: int) -> None:
    """The rows, a value each: what it costs alone, then on each store."""
    ring = LocalKeys({"v1": os.urandom(32)})
    cells: dict[str, list[str]] = {}
    for name, value in VALUES.items():
        seal, open_, size = await alone(value, ring)
        cells[name] = [str(len(value)), str(size), f"{seal:.0f}", f"{open_:.0f}"]
    with ExitStack() as ending:
        for store_name, store in stores(ending):
            encrypted = EncryptedStore(store, ring)
            for name, value in VALUES.items():
                fewer = rounds if len(value) < 100_000 else max(20, rounds // 10)
                times = await in_turns(store, encrypted, value, fewer)
                shown = [f"{with_:.2f} ({with_ / without:.2f})" for without, with_ in (times[:2], times[2:])]
                report.row(f"{name}, {store_name}", *cells[name], *shown)
            await store.aclose()


def main(rounds: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    headings = ("bytes", "stored", "seal, µs", "open, µs", "put, ms", "get, ms")
    report = Report("encryption", "What encryption costs", headings, packages=("cryptography",))
    asyncio.run(measure(report, rounds))
    report.notes += [
        "seal and open: microseconds of processor time, without a store",
        f"put and get: p50 of {rounds} rounds (a tenth of them for 1 MB); in parentheses, against the same without it",
    ]
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
