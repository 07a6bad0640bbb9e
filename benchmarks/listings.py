"""How long a page of a list takes among a million runs and a million threads, and what it asks of Blob Storage.

Run `python -m benchmarks.listings [--runs N] [--rounds N] [--keep FILE]`. The store is SQLite, filled by
`benchmarks.listing_rows`, which takes minutes and 6 GB for a million; each answer is the body of `GET /api/runs` or
`GET /api/threads` with 20 of them, made by the route's own handler. The lists take turns in random order. On Blob
(Azurite, where Node.js is installed) the requests of first pages are counted by a proxy.
"""

import argparse
import asyncio
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from benchmarks.listing_rows import FIRST, life, load
from benchmarks.report import Report, percentile
from durablegraph.api import reading, threads
from durablegraph.api.context import Call
from durablegraph.api.http import ApiRequest, ApiResponse
from durablegraph.services import Services
from durablegraph.settings import Settings
from durablegraph.storage.runs import RunStore
from durablegraph.storage.sqlite import SqliteObjectStore

GOAL_MS = 50
GOAL_REQUESTS = 3
SAME_REQUESTS = 100
"""Runs and threads on Azurite: how many there are does not change the number of requests."""
PAGES_BEFORE = 999
Query = dict[str, str]

RUNS: dict[str, Query] = {
    "all": {},
    "status (2 of 100)": {"status": "failed"},
    "status (live: 1 of 100)": {"status": "interrupted"},
    "graph (1 of 4)": {"graph": "support"},
    "metadata (1 of 1,000)": {"metadata.tenant": "t7"},
    "time range": {"created_before": (FIRST + (FIRST.replace(month=2) - FIRST)).isoformat()},
    "rare status": {"status": "timed_out"},
    "rare graph": {"graph": "rare"},
    "rare metadata": {"metadata.campaign": "spring"},
    "rare status and frequent region": {"status": "timed_out", "metadata.region": "eu"},
    "rare graph and frequent status": {"graph": "rare", "status": "completed"},
    "rare metadata, status and time": {
        "metadata.campaign": "spring", "status": "timed_out", "created_after": FIRST.isoformat(),
    },
    "frequent graph and frequent status": {"graph": "support", "status": "completed"},
    "graph and status that never meet": {"graph": "support", "status": "failed"},
}  # fmt: skip
THREADS: dict[str, Query] = {
    "all": {},
    "status (97 of 100)": {"status": "idle"},
    "status (1 of 100)": {"status": "interrupted"},
    "graph (1 of 4)": {"graph": "orders"},
    "rare graph": {"graph": "rare"},
    "rare metadata": {"metadata.campaign": "spring"},
    "rare graph and frequent status": {"graph": "rare", "status": "idle"},
    "rare metadata and status": {"metadata.campaign": "spring", "status": "error"},
}
KINDS = {"runs": (RUNS, reading.list_runs), "threads": (THREADS, threads.list_threads)}
DEEP = {"runs": ("all", "graph (1 of 4)"), "threads": ("all", "graph (1 of 4)")}


async def answer(runs: RunStore, kind: str, query: Query) -> ApiResponse:
    """What the route answers, its body encoded."""
    services = cast("Services", SimpleNamespace(runs=runs, settings=Settings()))
    request = ApiRequest("GET", f"http://x/api/{kind}", query=query)
    call = Call(services, cast("Any", None), request, cast("Any", None), lambda: FIRST)
    found = await KINDS[kind][1](call)
    found.encoded()
    return found


async def cursor_of_page(runs: RunStore, kind: str, query: Query, before: int) -> str | None:
    """Leaf `before` pages forward, as a reader would."""
    cursor: str | None = None
    for _ in range(before):
        cursor = (await answer(runs, kind, {**query, **({"cursor": cursor} if cursor else {})})).body["next"]
        if cursor is None:
            return None
    return cursor


async def lists(runs: RunStore) -> dict[str, tuple[str, Query]]:
    """The lists to measure, by what they are called."""
    wanted = {f"{kind}: {name}": (kind, query) for kind, (named, _) in KINDS.items() for name, query in named.items()}
    for kind, names in DEEP.items():
        for name in names:
            query = KINDS[kind][0][name]
            if cursor := await cursor_of_page(runs, kind, query, PAGES_BEFORE):
                wanted[f"{kind}: {name}, page 1,000"] = (kind, {**query, "cursor": cursor})
    return wanted


async def times(path: Path, rounds: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Milliseconds of each answer of each list, and how many each shows."""
    store = SqliteObjectStore(path)
    wanted = await lists(RunStore(store))
    await store.aclose()
    store = SqliteObjectStore(path)  # anew: what leafing has read is not in this connection's cache
    runs, chance = RunStore(store), random.Random(2)  # noqa: S311 -- the order of turns
    taken: dict[str, list[float]] = {name: [] for name in wanted}
    shown: dict[str, int] = {}
    for _ in range(rounds):
        for name in chance.sample(list(wanted), len(wanted)):
            kind, query = wanted[name]
            start = time.perf_counter()
            found = await answer(runs, kind, query)
            taken[name].append((time.perf_counter() - start) * 1000)
            shown[name] = len(found.body[kind])
    await store.aclose()
    return taken, shown


async def requests(count: int) -> dict[str, int]:
    """The requests to Blob Storage of every first page, counted between the store and Azurite."""
    from durablegraph.storage.connections import string_connection
    from durablegraph.storage.opening import open_store
    from tests.support.azurite import connection_string, install, running
    from tests.support.blob_proxy import blob_proxy

    if shutil.which("npm") is None:
        return {}
    install()
    counted: dict[str, int] = {}
    with running() as azurite:
        port = int(azurite.partition("127.0.0.1:")[2].partition("/")[0])
        async with blob_proxy(port) as proxy:
            store = open_store(string_connection(connection_string(proxy.port), container="listings"))
            await fill(store, count)
            for kind, (named, _) in KINDS.items():
                for name, query in named.items():
                    proxy.seen.clear()
                    await answer(RunStore(store), kind, query)
                    counted[f"{kind}: {name}"] = len(proxy.seen)
            await store.aclose()
    return counted


async def fill(store: Any, count: int) -> None:
    """Put lives into a store, one object after the other."""
    from benchmarks.listing_rows import Layout

    chance, layout = random.Random(1), Layout()  # noqa: S311 -- the same data in every run
    for number in range(count):
        lived = list(layout.objects_of(life(number, count, chance)))
        await asyncio.gather(*(store.put(key, data, note=note) for key, data, note in lived))


def made(path: Path, count: int) -> str:
    """Fill the store, unless it was kept; the result says with what."""
    if path.exists():
        return f"a store that was there already, {path.stat().st_size / 2**30:.2f} GiB"
    start = time.perf_counter()
    objects = asyncio.run(load(path, count))
    took, size = time.perf_counter() - start, path.stat().st_size / 2**30
    return f"{objects:,} objects, {size:.2f} GiB, written in {took:.0f} s"


async def measure(report: Report, path: Path, chosen: argparse.Namespace) -> None:
    """The rows, and what is judged."""
    taken, shown = await times(path, chosen.rounds)
    counted = await requests(chosen.blobs)
    for name, found in taken.items():
        cells = (found[0], statistics.median(found), percentile(found, 0.95))
        report.row(name, str(shown[name]), *(f"{cell:.1f}" for cell in cells), str(counted.get(name, "")))
    medians = {name: statistics.median(found) for name, found in taken.items()}
    slowest = max(medians, key=lambda name: medians[name])
    report.goal(f"the slowest list, median ({slowest})", medians[slowest], GOAL_MS, unit=" ms")
    if counted:
        report.goal("requests of a first page to Blob, the most", max(counted.values()), GOAL_REQUESTS)
    report.notes.append(f"{chosen.rounds} rounds in which the lists take turns; the file is in the page cache")
    report.notes.append(
        f"requests: of the first page, counted by a proxy before Azurite, {chosen.blobs} runs and threads"
    )


def main() -> int:
    """Print and keep the table; the result is how many goals were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--blobs", type=int, default=SAME_REQUESTS, help="runs on Azurite")
    parser.add_argument("--keep", type=Path, help="the store's file: used when it exists, else made and kept")
    chosen = parser.parse_args()
    headings = ("shown", "first, ms", "median", "p95", "requests on Blob")
    report = Report("listings", f"A page of a list among {chosen.runs:,} runs and as many threads", headings)
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.keep or Path(folder) / "listings.db"
        report.notes.append(f"SQLite {sqlite3.sqlite_version}: {made(path, chosen.runs)}")
        asyncio.run(measure(report, path, chosen))
    return report.keep()


if __name__ == "__main__":
    sys.exit(main())
