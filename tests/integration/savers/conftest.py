"""Savers that are not ours, opened as a worker opens them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from durablegraph.graphs.savers import opened

KINDS = {
    "postgres": AsyncPostgresSaver,
    "sync postgres": PostgresSaver,
    "sqlite": AsyncSqliteSaver,
    "sync sqlite": SqliteSaver,
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def factory(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """What an app gives as its checkpointer: a function that makes a context manager."""
    address = request.getfixturevalue("postgres") if "postgres" in kind else str(tmp_path / "saver.db")
    return partial(KINDS[kind].from_conn_string, address)


@asynccontextmanager
async def open_saver(factory: Any) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    async with AsyncExitStack() as stack:
        yield await opened("the checkpointer", factory, stack)


@pytest.fixture
async def saver(factory: Any) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    async with open_saver(factory) as found:
        yield found
