"""The three stores, and one of them with encryption, under one name; each empty at the beginning of a test."""

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from durablegraph.storage.connections import SqliteConnection, string_connection
from durablegraph.storage.encryption import EncryptedStore, LocalKeys
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.opening import open_store


@dataclass(frozen=True, slots=True)
class Backend:
    """A place where objects are, and the way to open a store on it, again and again (memory: always the same one)."""

    name: str
    opener: Callable[[], ObjectStore]
    opened: list[ObjectStore] = field(default_factory=list)
    tells_sizes: bool = True
    """Whether a listing tells the sizes of values; else those of what is stored for them."""

    def open(self) -> ObjectStore:
        store = self.opener()
        self.opened.append(store)
        return store


@pytest.fixture(params=["memory", "sqlite", "encrypted", pytest.param("blob", marks=pytest.mark.azurite)])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    match request.param:
        case "memory":
            memory = MemoryObjectStore()
            backend = Backend("memory", lambda: memory)
        case "sqlite":
            connection = SqliteConnection(tmp_path / "state" / "objects.db")
            backend = Backend("sqlite", lambda: open_store(connection))
        case "encrypted":
            connection = SqliteConnection(tmp_path / "state" / "objects.db")
            ring = LocalKeys({"v1": bytes(range(32))})
            backend = Backend("encrypted", lambda: EncryptedStore(open_store(connection), ring), tells_sizes=False)
        case _:
            text = request.getfixturevalue("azurite")
            blob = string_connection(text, container=f"t-{uuid.uuid4().hex}")
            backend = Backend("blob", lambda: open_store(blob))
    yield backend
    for store in backend.opened:
        await store.aclose()


@pytest.fixture
async def store(backend: Backend) -> ObjectStore:
    return backend.open()
