"""What a checkpoint costs: this library's saver on Blob (Azurite) and SQLite beside its peers, in one run.

Run `python -m benchmarks.checkpointers [steps]`. A step is what LangGraph does in one super-step: a task's writes, and
the checkpoint right after. Requests are counted at the store's port (ours) or in the SDK's pipeline (the peer on Blob).
The floor is one bare `upload_blob` of the head's size, timed right after each put, so that both meet the same machine.

Targets: at most 1.1 requests a checkpoint, put at most 1.3 floors, latest cold 1 request (2 with a large value),
list(10) at most 2, delete at most 6, 500 messages of 2 KB in at most 2 MB, 5,000 steps flat (1.1), hand-over 2.1.
"""

import asyncio
import os
import secrets
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lib"), str(ROOT)]

from azure.core.pipeline.policies import SansIOHTTPPolicy  # noqa: E402 -- after the path is set
from azure.storage.blob import ContainerClient as SyncContainerClient  # noqa: E402 -- as above
from azure.storage.blob.aio import ContainerClient  # noqa: E402 -- as above
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint  # noqa: E402 -- as above
from langgraph.checkpoint.memory import InMemorySaver  # noqa: E402 -- as above
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver  # noqa: E402 -- as above

from durablegraph import BlobCheckpointSaver  # noqa: E402 -- as above
from durablegraph.storage.connections import SqliteConnection, string_connection  # noqa: E402 -- as above
from durablegraph.storage.objects import ObjectStore  # noqa: E402 -- as above
from durablegraph.storage.opening import open_store  # noqa: E402 -- as above
from tests.support.azurite import install, running  # noqa: E402 -- as above
from tests.support.stores import CountingStore  # noqa: E402 -- as above

Saver = BaseCheckpointSaver[Any]
THREAD = "bench"
API_VERSION = "2023-11-03"  # the emulator lags behind the SDK
METADATA: Any = {"source": "loop", "step": 1, "parents": {}}


@dataclass
class Place:
    """A fresh, empty storage; `open` gives a saver as another process would have it."""

    name: str
    open: Callable[[], Saver]
    requests: Callable[[], int | None] = lambda: None
    stored: Callable[[], Awaitable[str]] | None = None
    floor: Callable[[], Awaitable[float]] | None = None


@dataclass
class Run:
    """Milliseconds of each put, and of the bare upload after it."""

    puts: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)


async def steps(place: Place, saver: Saver, count: int, values: Callable[[int], dict[str, Any]]) -> Run:
    run, parent, versions = Run(), None, {}
    for n in range(count):
        state, checkpoint = values(n), empty_checkpoint()
        new = {
            channel: saver.get_next_version(versions.get(channel), None)
            for channel in state
            if channel != "constant" or n == 0
        }
        versions = {**versions, **new}
        checkpoint["channel_values"], checkpoint["channel_versions"] = state, dict(versions)
        config: Any = {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}
        writes = None
        if parent is not None:
            config["configurable"]["checkpoint_id"] = parent
            writes = asyncio.create_task(saver.aput_writes(config, [("n", n)], str(uuid.uuid4()), "~node"))
            await asyncio.sleep(0)
        begun = time.perf_counter()
        await saver.aput(config, checkpoint, METADATA, new)
        run.puts.append((time.perf_counter() - begun) * 1000)
        if writes is not None:
            await writes
        if place.floor is not None:
            run.floors.append(await place.floor())
        parent = checkpoint["id"]
    return run


def small(n: int) -> dict[str, Any]:
    return {"n": n, "note": f"step {n}", "ok": True}


def with_constant(n: int) -> dict[str, Any]:
    return {"n": n, "constant": CONSTANT}


def growing() -> Callable[[int], dict[str, Any]]:
    messages: list[str] = []

    def values(n: int) -> dict[str, Any]:
        messages.append(secrets.token_hex(1024))
        return {"n": n, "messages": list(messages)}

    return values


CONSTANT = os.urandom(1_000_000)


async def counted(place: Place, act: Callable[[Saver], Awaitable[object]]) -> str:
    """Requests and milliseconds of one call on a cold saver."""
    saver, before, begun = place.open(), place.requests(), time.perf_counter()
    await act(saver)
    taken, after = (time.perf_counter() - begun) * 1000, place.requests()
    asked = "" if before is None or after is None else f" ({after - before})"
    return f"{taken:.1f}{asked}"


async def latest(saver: Saver) -> None:
    found = await saver.aget_tuple({"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}})
    assert found is not None


async def ten(saver: Saver) -> None:
    config: Any = {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}
    assert len([one async for one in saver.alist(config, limit=10)]) == 10


async def delete(saver: Saver) -> None:
    await saver.adelete_thread(THREAD)


async def row(place: Place, count: int, values: Callable[[int], dict[str, Any]]) -> None:
    saver, before = place.open(), place.requests()
    run = await steps(place, saver, count, values)
    await settled(saver)
    after = place.requests()
    puts = sorted(run.puts)
    p50, p95 = statistics.median(puts), puts[int(len(puts) * 0.95)]
    ratio = f"{p50 / statistics.median(run.floors):.2f}" if run.floors else ""
    asked = f"{(after - before) / count:.3f}" if before is not None and after is not None else ""
    stored = await place.stored() if place.stored else ""
    cells = [f"{p50:.2f} / {p95:.2f}", ratio, asked, stored, await counted(place, latest), await counted(place, ten)]
    print("|", place.name, "|", " | ".join([*cells, await counted(place, delete)]), "|", flush=True)


async def settled(saver: Saver) -> None:
    """Let what is under way in the background end, so that its requests count as well."""
    if isinstance(saver, BlobCheckpointSaver):
        await saver.aclose()


@asynccontextmanager
async def in_memory() -> AsyncIterator[Place]:
    saver = InMemorySaver()
    yield Place("InMemorySaver", lambda: saver)


@asynccontextmanager
async def sqlite_peer() -> AsyncIterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "peer.db"
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:

            async def stored() -> str:
                return await asyncio.to_thread(_folder_size, folder)

            yield Place("SqliteSaver", lambda: saver, stored=stored)


def ours(name: str, store: ObjectStore, floor: Callable[[], Awaitable[float]] | None = None) -> Place:
    counting, total = CountingStore(store), [0]

    async def stored() -> str:
        sizes = [entry.size async for entry in store.list("")]
        return f"{_size(sum(sizes))} ({len(sizes)})"

    def requests() -> int:
        total[0] += counting.start_anew().total
        return total[0]

    return Place(name, lambda: BlobCheckpointSaver(counting), requests, stored, floor)


@asynccontextmanager
async def ours_on_sqlite() -> AsyncIterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(SqliteConnection(Path(folder) / "ours.db"))
        yield ours("durablegraph, SQLite", store)
        await store.aclose()


@asynccontextmanager
async def ours_on_blob(connection: str, *, with_floor: bool = True) -> AsyncIterator[Place]:
    container = f"bench-{uuid.uuid4().hex}"
    store = open_store(string_connection(connection, container=container))
    async with ContainerClient.from_connection_string(connection, container, api_version=API_VERSION) as bare:
        await bare.create_container()

        async def floor() -> float:
            body = os.urandom(16 * 1024)
            begun = time.perf_counter()
            await bare.upload_blob("floor", body, overwrite=True)
            return (time.perf_counter() - begun) * 1000

        place = ours("durablegraph, Blob", store, floor if with_floor else None)
        yield place
        await store.aclose()


class _Counting(SansIOHTTPPolicy[Any, Any]):
    def __init__(self) -> None:
        self.requests = 0

    def on_request(self, request: Any) -> None:
        del request
        self.requests += 1


@asynccontextmanager
async def blob_peer(connection: str) -> AsyncIterator[Place]:
    """azure-functions-langgraph's saver on the same Azurite, if it is installed."""
    from azure_functions_langgraph.checkpointers.azure_blob import AzureBlobCheckpointSaver

    container, policy = f"bench-{uuid.uuid4().hex}", _Counting()
    options: dict[str, Any] = {"_additional_pipeline_policies": [policy], "api_version": API_VERSION}
    plain = SyncContainerClient.from_connection_string(connection, container, **options)
    plain.create_container()
    async with ContainerClient.from_connection_string(connection, container, **options) as client:

        async def stored() -> str:
            sizes = [blob.size for blob in plain.list_blobs()]
            return f"{_size(sum(sizes))} ({len(sizes)})"

        yield Place(
            "azure-functions-langgraph, Blob",
            lambda: AzureBlobCheckpointSaver(container_client=plain, aio_container_client=client),
            lambda: policy.requests,
            stored,
        )


def _folder_size(folder: str) -> str:
    return _size(sum(file.stat().st_size for file in Path(folder).iterdir()))


def _size(count: int) -> str:
    return f"{count / 1_000_000:.2f} MB"


Opener = Callable[[], AbstractAsyncContextManager[Place]]


def places(connection: str | None) -> list[Opener]:
    found: list[Opener] = [in_memory, sqlite_peer, ours_on_sqlite]
    if connection is not None:
        found.append(lambda: ours_on_blob(connection))
        try:
            import azure_functions_langgraph  # noqa: F401 -- whether it is there
        except ImportError:
            print("(azure-functions-langgraph is not installed: its rows are left out)")
        else:
            found.append(lambda: blob_peer(connection))
    return found


async def table(
    title: str, openers: list[Opener], count: int, values: Callable[[], Callable[[int], dict[str, Any]]]
) -> None:
    print(f"\n{title}, {count} steps; milliseconds (requests)\n")
    print("| saver | put p50 / p95 | floors | req/checkpoint | stored (objects) | latest cold | list(10) | delete |")
    print("|---|---|---|---|---|---|---|---|")
    for opener in openers:
        async with opener() as place:
            await row(place, count, values())


async def length(opener: Opener, count: int) -> None:
    async with opener() as place:
        saver = place.open()
        run = await steps(place, saver, count, small)
        fifth = count // 5
        first, last = statistics.median(run.puts[:fifth]), statistics.median(run.puts[-fifth:])
        print(f"| {place.name} | {count} | {first:.2f} | {last:.2f} | {last / first:.2f} |", end="")
        if run.floors:
            floors = statistics.median(run.floors[:fifth]), statistics.median(run.floors[-fifth:])
            print(f" the floor meanwhile: {floors[1] / floors[0]:.2f} |", end="")
        print(flush=True)
        await settled(saver)


async def hand_over(opener: Opener, count: int) -> None:
    async with opener() as place:
        saver = place.open()
        await steps(place, saver, 1, small)
        before, taken = place.requests(), []
        for n in range(count):
            begun, fresh = time.perf_counter(), place.open()
            found = await fresh.aget_tuple({"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}})
            assert found is not None
            checkpoint = {**empty_checkpoint(), "channel_values": small(n), "channel_versions": {"n": n + 2}}
            writes = asyncio.create_task(fresh.aput_writes(found.config, [("n", n)], str(uuid.uuid4())))
            await asyncio.sleep(0)
            await fresh.aput(found.config, checkpoint, METADATA, {"n": n + 2})  # type: ignore[arg-type]
            await writes
            taken.append((time.perf_counter() - begun) * 1000)
            await settled(fresh)
        after = place.requests()
        asked = f"{(after - before) / count:.3f}" if before is not None and after is not None else ""
        print(f"| {place.name} | {statistics.median(taken):.2f} | {asked} |", flush=True)


async def measure(connection: str | None, count: int) -> None:
    openers = places(connection)
    await table("Small state", openers, count, lambda: small)
    await table("A list that grows by 2 KB a step", openers, count, growing)
    await table("A constant value of 1 MB", openers, min(count, 100), lambda: with_constant)
    mine: list[Opener] = [ours_on_sqlite]
    if connection is not None:
        mine.append(lambda: ours_on_blob(connection))
    print("\nLength: put p50 of the first and the last fifth\n")
    print("| saver | steps | first | last | ratio |\n|---|---|---|---|---|")
    for opener in mine:
        await length(opener, 10 * count)
    print("\nEach step by a new process\n\n| saver | ms a step | req/step |\n|---|---|---|")
    for opener in mine:
        await hand_over(opener, count)


def main(arguments: list[str]) -> None:
    count = int(arguments[0]) if arguments else 500
    try:
        install()
    except BaseException as error:  # noqa: BLE001 -- pytest's own outcomes are no Exceptions
        print(f"(no Azurite: {error})")
        asyncio.run(measure(None, count))
        return
    with running() as connection:
        asyncio.run(measure(connection, count))


if __name__ == "__main__":
    main(sys.argv[1:])
