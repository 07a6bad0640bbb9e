"""The two ways a program without the rest of this library opens a saver."""

import operator
import uuid
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from durablegraph import BlobCheckpointSaver
from durablegraph.errors import ConfigurationError
from tests.conformance.storage.checkpoints.savers import at


class Numbers(TypedDict):
    x: Annotated[list[int], operator.add]


def _graph(saver: BlobCheckpointSaver) -> Any:
    builder = StateGraph(Numbers)
    builder.add_node("a", lambda state: {"x": [len(state["x"])]})
    builder.add_edge(START, "a")
    return builder.compile(checkpointer=saver)


def _run_twice(first: BlobCheckpointSaver, second: BlobCheckpointSaver) -> None:
    with first as saver:
        assert _graph(saver).invoke({"x": []}, at("t"))["x"] == [0]
    with second as saver:
        assert _graph(saver).invoke({"x": []}, at("t"))["x"] == [0, 1]


def test_a_path_is_all_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state.db"
    _run_twice(BlobCheckpointSaver.from_path(path), BlobCheckpointSaver.from_path(str(path)))


def test_a_connection_string_is_all_it_takes(azurite: str) -> None:
    container = f"t-{uuid.uuid4().hex}"
    first, second = (
        BlobCheckpointSaver.from_connection_string(azurite, container=container, prefix="my/app") for _ in range(2)
    )
    _run_twice(first, second)


async def test_an_asynchronous_program_enters_it_on_its_own_loop(azurite: str) -> None:
    container = f"t-{uuid.uuid4().hex}"
    async with BlobCheckpointSaver.from_connection_string(azurite, container=container) as saver:
        assert (await _graph(saver).ainvoke({"x": []}, at("t")))["x"] == [0]
        assert len([one async for one in _graph(saver).aget_state_history(at("t"))]) == 3


async def test_savers_with_different_prefixes_share_a_file_and_nothing_else(tmp_path: Path) -> None:
    one, other = (BlobCheckpointSaver.from_path(tmp_path / "s.db", prefix=prefix) for prefix in ("one", "other"))
    async with one, other:
        await _graph(one).ainvoke({"x": []}, at("t"))
        assert await other.aget_tuple(at("t")) is None
        assert [found async for found in other.alist(None)] == []
        await other.adelete_thread("t")
        assert await one.aget_tuple(at("t")) is not None


@pytest.mark.parametrize("connection", ["", "nonsense", "AccountName=a"])
def test_a_malformed_connection_string_is_refused_at_once(connection: str) -> None:
    with pytest.raises(ConfigurationError):
        BlobCheckpointSaver.from_connection_string(connection)
