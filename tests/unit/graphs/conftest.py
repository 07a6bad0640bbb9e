from collections.abc import AsyncIterator

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from durablegraph.storage.checkpoints.saver import BlobCheckpointSaver
from durablegraph.storage.memory import MemoryObjectStore


@pytest.fixture(params=["memory", "sqlite", "ours"])
async def saver(request: pytest.FixtureRequest) -> AsyncIterator[BaseCheckpointSaver[str]]:
    if request.param == "memory":
        yield InMemorySaver()
    elif request.param == "ours":
        yield BlobCheckpointSaver(MemoryObjectStore())
    else:
        async with AsyncSqliteSaver.from_conn_string(":memory:") as found:
            yield found
