"""Where the checkpointers of `benchmarks.checkpointers` keep their checkpoints: this library's stores, and peers.

Requests are counted at the store's port (ours) or in the SDK's pipeline (the peer on Blob). The floor of Blob is one
bare `upload_blob` by the SDK as it ships, the floor of SQLite one put into another file by the same adapter.
"""

import asyncio
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lib"), str(ROOT)]

from azure.core.pipeline.policies import SansIOHTTPPolicy  # noqa: E402 -- after the path is set
from azure.storage.blob import ContainerClient as SyncContainerClient  # noqa: E402 -- as above
from azure.storage.blob.aio import ContainerClient  # noqa: E402 -- as above
from langgraph.checkpoint.base import BaseCheckpointSaver  # noqa: E402 -- as above
from langgraph.checkpoint.memory import InMemorySaver  # noqa: E402 -- as above
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver  # noqa: E402 -- as above

from durablegraph import BlobCheckpointSaver  # noqa: E402 -- as above
from durablegraph.storage.connections import SqliteConnection, string_connection  # noqa: E402 -- as above
from durablegraph.storage.objects import ObjectStore  # noqa: E402 -- as above
from durablegraph.storage.opening import open_store  # noqa: E402 -- as above
from tests.support import postgres  # noqa: E402 -- as above
from tests.support.stores import CountingStore  # noqa: E402 -- as above

Saver = BaseCheckpointSaver[Any]
BLOB = "durablegraph, Blob"
API_VERSION = "2023-11-03"  # the emulator lags behind the SDK
FLOOR_BYTES = 16 * 1024  # as a head is on average


@dataclass
class Place:
    """A fresh, empty storage; `open` gives a saver as another process would have it."""

    name: str
    open: Callable[[], Saver]
    requests: Callable[[], int | None] = lambda: None
    stored: Callable[[], Awaitable[tuple[int, int | None]]] | None = None
    """Bytes of everything stored, and of how many objects where there are objects."""
    floor: Callable[[], Awaitable[float]] | None = None


Opener = Callable[[], AbstractAsyncContextManager[Place]]


async def _milliseconds(work: Awaitable[object]) -> float:
    begun = time.perf_counter()
    await work
    return (time.perf_counter() - begun) * 1000


@asynccontextmanager
async def in_memory() -> AsyncIterator[Place]:
    saver = InMemorySaver()
    yield Place("InMemorySaver", lambda: saver)


@asynccontextmanager
async def sqlite_peer() -> AsyncIterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "peer.db"
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:

            async def stored() -> tuple[int, None]:
                return await asyncio.to_thread(_folder_size, folder), None

            yield Place("SqliteSaver", lambda: saver, stored=stored)


@asynccontextmanager
async def postgres_peer(address: str) -> AsyncIterator[Place]:
    """LangGraph's saver on a real server, on a database of its own."""
    import psycopg
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    name = f"bench_{uuid.uuid4().hex}"
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as admin:

        async def asked(question: str) -> Any:
            row = await (await admin.execute(question.encode())).fetchone()
            return None if row is None else row[0]

        async def size() -> int:
            return int(await asked(f"SELECT pg_database_size('{name}')"))

        await admin.execute(f"CREATE DATABASE {name}".encode())
        server = await asked("SHOW server_version")
        async with AsyncPostgresSaver.from_conn_string(address.replace("/postgres?", f"/{name}?")) as saver:
            await saver.setup()
            empty = await size()

            async def stored() -> tuple[int, None]:
                return await size() - empty, None

            yield Place(f"PostgresSaver, PostgreSQL {server.split()[0]}", lambda: saver, stored=stored)
        await admin.execute(f"DROP DATABASE {name}".encode())


def ours(name: str, store: ObjectStore, floor: Callable[[], Awaitable[float]] | None) -> Place:
    counting, total = CountingStore(store), [0]

    async def stored() -> tuple[int, int]:
        sizes = [entry.size async for entry in store.list("")]
        return sum(sizes), len(sizes)

    def requests() -> int:
        total[0] += counting.start_anew().total
        return total[0]

    return Place(name, lambda: BlobCheckpointSaver(counting), requests, stored, floor)


@asynccontextmanager
async def ours_on_sqlite() -> AsyncIterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(SqliteConnection(Path(folder) / "ours.db"))
        bare = open_store(SqliteConnection(Path(folder) / "bare.db"))

        async def floor() -> float:
            return await _milliseconds(bare.put("floor", os.urandom(FLOOR_BYTES)))

        yield ours("durablegraph, SQLite", store, floor)
        await store.aclose()
        await bare.aclose()


@asynccontextmanager
async def ours_on_blob(connection: str) -> AsyncIterator[Place]:
    container = f"bench-{uuid.uuid4().hex}"
    store = open_store(string_connection(connection, container=container))
    async with ContainerClient.from_connection_string(connection, container, api_version=API_VERSION) as bare:
        await bare.create_container()

        async def floor() -> float:
            return await _milliseconds(bare.upload_blob("floor", os.urandom(FLOOR_BYTES), overwrite=True))

        yield ours(BLOB, store, floor)
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

        async def stored() -> tuple[int, int]:
            sizes = [blob.size for blob in plain.list_blobs()]
            return sum(sizes), len(sizes)

        async def floor() -> float:
            taken = await _milliseconds(client.upload_blob("floor", os.urandom(FLOOR_BYTES), overwrite=True))
            policy.requests -= 1  # it is not the saver's
            return taken

        yield Place(
            "azure-functions-langgraph, Blob",
            lambda: AzureBlobCheckpointSaver(container_client=plain, aio_container_client=client),
            lambda: policy.requests,
            stored,
            floor,
        )


def _folder_size(folder: str) -> int:
    return sum(file.stat().st_size for file in Path(folder).iterdir())


def human(count: int) -> str:
    return f"{count / 1_000_000:.2f} MB"


def our_places(connection: str | None) -> list[Opener]:
    return [ours_on_sqlite] if connection is None else [ours_on_sqlite, lambda: ours_on_blob(connection)]


def places(connection: str | None, server: str | None) -> list[Opener]:
    """Everything that can be measured here; what is missing is said."""
    found: list[Opener] = [in_memory, sqlite_peer]
    reason = postgres.why_not()
    if server is not None:
        found.append(lambda: postgres_peer(server))
    else:
        print(f"(no PostgresSaver: {reason})")
    found += our_places(connection)
    if connection is not None:
        try:
            import azure_functions_langgraph  # noqa: F401 -- whether it is there
        except ImportError:
            print("(azure-functions-langgraph is not installed: its rows are left out)")
        else:
            found.append(lambda: blob_peer(connection))
    return found
