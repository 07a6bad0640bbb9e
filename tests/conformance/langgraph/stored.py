"""The shipped storage in the place of LangGraph's SQLite savers: the mode `stored`."""

import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from durablegraph import BlobCheckpointSaver

SAVERS = {("sync_checkpointer", "sqlite"), ("async_checkpointer", "sqlite_aio")}
"""The fixtures of LangGraph's tests that are given ours, each with its parameter."""

FILE = "objects.db"


def in_the_place_of_sqlite() -> None:
    """Let LangGraph's fixtures named `sqlite` and `sqlite_aio` give our saver. Its conftest must be imported.

    Raises AttributeError when it makes its savers in another way.
    """
    conftest: ModuleType = sys.modules["tests.conftest"]
    for name, ours in (("_checkpointer_sqlite", _saver), ("_checkpointer_sqlite_aio", _asynchronous_saver)):
        getattr(conftest, name)
        setattr(conftest, name, ours)


def on_sqlite(item: pytest.Item) -> bool:
    """Whether a test gets one of the savers that ours stand in for."""
    given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return bool(SAVERS & {(name, value) for name, value in given.items() if isinstance(value, str)})


@contextmanager
def _saver() -> Iterator[BlobCheckpointSaver]:
    with (
        tempfile.TemporaryDirectory() as folder,
        BlobCheckpointSaver.from_path(Path(folder) / FILE, allowed_types=True) as saver,
    ):
        yield saver


@asynccontextmanager
async def _asynchronous_saver() -> AsyncIterator[BlobCheckpointSaver]:
    with tempfile.TemporaryDirectory() as folder:
        async with BlobCheckpointSaver.from_path(Path(folder) / FILE, allowed_types=True) as saver:
            yield saver
