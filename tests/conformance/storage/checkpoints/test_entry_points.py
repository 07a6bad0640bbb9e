"""The two ways a program without the rest of this library opens a saver."""

import asyncio
import operator
import re
import uuid
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from azure.storage.blob import ContainerClient as SyncContainerClient
from azure.storage.blob.aio import ContainerClient
from langgraph.graph import START, StateGraph

from durablegraph import BlobCheckpointSaver
from durablegraph.errors import ConfigurationError
from durablegraph.storage.objects import ObjectStore, StoreClosed
from durablegraph.storage.opening import open_lent_store
from durablegraph.storage.prefixed import PrefixedStore
from tests.conformance.storage.checkpoints.savers import at, put
from tests.support.azurite import connection_string
from tests.support.blob_proxy import LoseAnswer, blob_proxy


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


async def test_a_prepared_client_is_used_and_not_closed(azurite: str) -> None:
    async with _client(azurite) as client:
        for expected in ([0], [0, 1]):
            async with BlobCheckpointSaver.from_container_client(client, prefix="app") as saver:
                assert (await _graph(saver).ainvoke({"x": []}, at("t")))["x"] == expected
            with pytest.raises(StoreClosed):
                await saver.aget_tuple(at("t"))
        assert [name async for name in client.list_blob_names(name_starts_with="app/h/")]  # it still works


async def test_a_prepared_client_serves_the_synchronous_face_in_other_threads(azurite: str) -> None:
    async with _client(azurite) as client, BlobCheckpointSaver.from_container_client(client) as saver:
        graph = _graph(saver)
        assert (await asyncio.to_thread(graph.invoke, {"x": []}, at("t")))["x"] == [0]
        assert len(await asyncio.to_thread(lambda: list(saver.list(at("t"))))) == 3


def test_an_unused_prepared_client_serves_a_program_without_a_loop(azurite: str) -> None:
    client = _client(azurite)
    with BlobCheckpointSaver.from_container_client(client) as saver:
        assert _graph(saver).invoke({"x": []}, at("t"))["x"] == [0]
        saver._core.home.wait(client.close(), "close")


async def test_a_prepared_client_on_a_second_loop_is_refused(azurite: str) -> None:
    async with _client(azurite) as client:
        store = open_lent_store(client)
        assert await store.get("nothing") is None
        with pytest.raises(ConfigurationError, match="two event loops"):
            await asyncio.to_thread(lambda: asyncio.run(_get(store)))


async def _get(store: ObjectStore) -> None:
    await store.get("nothing")


async def test_a_conditional_write_through_a_prepared_client_is_known_again_when_its_answer_was_lost(
    azurite: str,
) -> None:
    found = re.search(r"127\.0\.0\.1:(\d+)", azurite)
    assert found is not None
    async with blob_proxy(int(found[1])) as proxy, _client(connection_string(proxy.port), retry_total=0) as client:
        store = open_lent_store(client)
        etag = await store.put("a", b"1")
        proxy.script.append(LoseAnswer())
        await store.put("a", b"2", if_match=etag)
        stored = await store.get("a")
        assert stored is not None
        assert stored.data == b"2"


def test_a_synchronous_client_is_refused_with_what_to_do(azurite: str) -> None:
    client: Any = SyncContainerClient.from_connection_string(azurite, "c-sync")
    with client, pytest.raises(ConfigurationError, match=r"expected azure\.storage\.blob\.aio\.ContainerClient"):
        BlobCheckpointSaver.from_container_client(client)


def _client(connection: str, **options: Any) -> ContainerClient:
    container = f"t-{uuid.uuid4().hex}"
    return ContainerClient.from_connection_string(connection, container, api_version="2023-11-03", **options)


@pytest.mark.parametrize("prefix", ["x" * 201, "a//b", "spaced out", "ends./x", "../up", "ünï"])
def test_a_prefix_that_no_key_can_have_is_refused_at_once(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        BlobCheckpointSaver.from_path(tmp_path / "s.db", prefix=prefix)


async def test_the_longest_prefix_leaves_room_for_the_longest_names(azurite: str) -> None:
    long = "\u00e9" * 700
    async with BlobCheckpointSaver.from_connection_string(
        azurite, container=f"t-{uuid.uuid4().hex}", prefix="x" * 199
    ) as saver:
        inner = BlobCheckpointSaver(PrefixedStore(saver._core.store, "y" * 200), prefix="x" * 200)
        for one in (saver, inner):
            config = await put(one, long, {"n": "v" * 9000}, namespace=long, metadata={"run_id": long})
            assert await one.aget_tuple(config) is not None
            await one.adelete_for_runs([long])
            assert await one.aget_tuple(config) is None
            await one.adelete_thread(long)
        await inner.aclose()
