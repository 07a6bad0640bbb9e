from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.constants import START
from langgraph.pregel import _loop

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


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The nodes of all tasks that LangGraph prepares, but for that of the input."""
    names: list[str] = []
    prepare = _loop.prepare_next_tasks

    def noting(*arguments: Any, **named: Any) -> Any:
        tasks = prepare(*arguments, **named)
        names.extend(task.name for task in tasks.values() if task.name != START)
        return tasks

    monkeypatch.setattr(_loop, "prepare_next_tasks", noting)
    return names
