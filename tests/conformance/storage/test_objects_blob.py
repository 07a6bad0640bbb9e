"""What the blob store does when requests fail, told by a proxy before a real Azurite."""

import asyncio
import re
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig

from durablegraph import opening
from durablegraph.errors import ConfigurationError, TransientError
from durablegraph.storage.azure_blob import BlobObjectStore
from durablegraph.storage.azure_retries import RetryPolicy
from durablegraph.storage.connections import string_connection
from durablegraph.storage.objects import PreconditionFailed
from durablegraph.storage.opening import open_store
from tests.support.azurite import connection_string
from tests.support.blob_proxy import Answer, BlobProxy, LoseAnswer, Pass, blob_proxy

QUICK = RetryPolicy(waits=(0.01, 0.01, 0.01))


@pytest.fixture
async def proxy(azurite: str) -> AsyncIterator[BlobProxy]:
    found = re.search(r"127\.0\.0\.1:(\d+)", azurite)
    assert found is not None
    async with blob_proxy(int(found[1])) as proxy:
        yield proxy


@pytest.fixture
async def open_blob(proxy: BlobProxy) -> AsyncIterator[Callable[..., BlobObjectStore]]:
    opened = []
    container = f"t-{uuid.uuid4().hex}"

    def open_one(*, create_container: bool = True, retries: RetryPolicy = QUICK) -> BlobObjectStore:
        connection = string_connection(connection_string(proxy.port), container=container)
        store = open_store(connection, create_container=create_container, retries=retries)
        assert isinstance(store, BlobObjectStore)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.aclose()


@pytest.fixture
async def store(open_blob: Callable[..., BlobObjectStore], proxy: BlobProxy) -> BlobObjectStore:
    store = open_blob()
    await store.put("made/container", b"")
    proxy.seen.clear()
    return store


async def test_every_method_is_one_request(store: BlobObjectStore, proxy: BlobProxy) -> None:
    etag = await store.put("a", b"x" * 2048, if_absent=True)
    await store.put("a", b"y" * 5_000_000, if_match=etag)
    await store.get("a")
    assert [entry.key async for entry in store.list("a", limit=1)] == ["a"]
    await store.delete("a")
    await store.delete_many([f"k/{number}" for number in range(256)])
    assert proxy.methods == ["PUT", "PUT", "GET", "GET", "DELETE", "POST"]


async def test_the_first_write_makes_the_container_and_a_read_does_not(
    open_blob: Callable[..., BlobObjectStore], proxy: BlobProxy
) -> None:
    store = open_blob()
    assert await store.get("a") is None
    assert [entry async for entry in store.list("")] == []
    assert proxy.methods == ["GET", "GET"]
    await store.put("a", b"1")
    assert proxy.methods[2:] == ["PUT", "PUT", "PUT"]


async def test_a_missing_container_that_may_not_be_made_is_named(open_blob: Callable[..., BlobObjectStore]) -> None:
    store = open_blob(create_container=False)
    with pytest.raises(ConfigurationError, match=r"container t-\w+ at http://127.* does not exist"):
        await store.put("a", b"")


@pytest.mark.parametrize("condition", ["if_absent", "if_match"])
async def test_a_conditional_write_whose_answer_was_lost_is_known_again(
    store: BlobObjectStore, proxy: BlobProxy, condition: str
) -> None:
    etag = await store.put("head", b"0")
    options = {"if_match": etag} if condition == "if_match" else {"if_absent": True}
    key = "head" if condition == "if_match" else "claim"
    proxy.seen.clear()
    proxy.script.append(LoseAnswer())
    written = await store.put(key, b"mine", **options)
    stored = await store.get(key)
    assert stored is not None
    assert (stored.data, stored.etag) == (b"mine", written)
    assert proxy.methods == ["PUT", "PUT", "HEAD", "GET"]


async def test_an_answer_lost_on_a_new_connection_is_known_again(
    open_blob: Callable[..., BlobObjectStore], store: BlobObjectStore, proxy: BlobProxy
) -> None:
    fresh = open_blob()
    proxy.script.append(LoseAnswer())
    await fresh.put("claim", b"mine", if_absent=True)
    assert proxy.methods == ["PUT", "PUT", "HEAD"]


async def test_a_write_that_was_lost_and_replaced_is_refused_as_ambiguous(
    store: BlobObjectStore, proxy: BlobProxy
) -> None:
    await store.put("claim", b"theirs")
    proxy.script.extend([Answer(500, "InternalError"), Pass()])
    with pytest.raises(PreconditionFailed) as refused:
        await store.put("claim", b"mine", if_absent=True)
    assert refused.value.ambiguous


async def test_an_ordinary_refusal_costs_one_request_and_is_not_ambiguous(
    store: BlobObjectStore, proxy: BlobProxy
) -> None:
    await store.put("claim", b"theirs")
    proxy.seen.clear()
    with pytest.raises(PreconditionFailed) as refused:
        await store.put("claim", b"mine", if_absent=True)
    assert not refused.value.ambiguous
    assert proxy.methods == ["PUT"]


@pytest.mark.parametrize(("status", "code"), [(503, "ServerBusy"), (500, "InternalError"), (429, ""), (408, "")])
async def test_a_failure_that_may_pass_is_tried_again(
    store: BlobObjectStore, proxy: BlobProxy, status: int, code: str
) -> None:
    proxy.script.extend([Answer(status, code), Answer(status, code)])
    await store.put("a", b"1")
    proxy.script.append(Answer(status, code))
    stored = await store.get("a")
    assert stored is not None
    assert proxy.methods == ["PUT", "PUT", "PUT", "GET", "GET"]


async def test_a_busy_service_is_a_transient_error_when_it_stays_busy(store: BlobObjectStore, proxy: BlobProxy) -> None:
    proxy.script.extend([Answer(503, "ServerBusy")] * 4)
    with pytest.raises(TransientError, match="503 ServerBusy"):
        await store.put("a", b"1")
    assert proxy.methods == ["PUT"] * 4


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "AuthorizationPermissionMismatch", "Storage Blob Data Contributor"),
        (403, "AuthorizationFailure", "firewall"),
        (403, "AuthenticationFailed", "account key"),
        (403, "KeyBasedAuthenticationNotPermitted", "AzureWebJobsStorage__accountName"),
        (400, "InvalidHeaderValue", "--skipApiVersionCheck"),
    ],
)
async def test_a_missing_right_is_named_at_once(
    store: BlobObjectStore, proxy: BlobProxy, status: int, code: str, says: str
) -> None:
    for attempt in (store.get("a"), store.put("a", b""), store.delete("a"), store.delete_many(["a"])):
        proxy.seen.clear()
        proxy.script.append(Answer(status, code))
        with pytest.raises(ConfigurationError, match=says) as refused:
            await attempt
        assert code in str(refused.value)
        assert len(proxy.seen) == 1


async def test_a_container_that_may_not_be_made_names_the_role(
    open_blob: Callable[..., BlobObjectStore], proxy: BlobProxy
) -> None:
    store = open_blob()
    proxy.script.extend([Pass(), Answer(403, "AuthorizationPermissionMismatch")])
    with pytest.raises(ConfigurationError, match=r"making the container.*Storage Blob Data Contributor"):
        await store.put("a", b"")


async def test_no_service_at_all_is_a_transient_error_that_names_the_address() -> None:
    store = open_store(string_connection(connection_string(1)), retries=QUICK)
    with pytest.raises(TransientError, match=r"http://127\.0\.0\.1:1/devstoreaccount1.*no answer"):
        await store.get("a")
    await store.aclose()


async def test_a_batch_with_failures_is_finished_one_by_one(store: BlobObjectStore, proxy: BlobProxy) -> None:
    for number in range(3):
        await store.put(f"k/{number}", b"")
    proxy.script.append(Answer(202, "", headers=(("Content-Type", "multipart/mixed; boundary=b"),)))
    await store.delete_many([f"k/{number}" for number in range(3)])
    assert [entry.key async for entry in store.list("k/")] == []


async def test_a_worker_has_one_pooled_client_for_everything_it_stores(
    azurite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "langgraph.json").write_text('{"graphs": {"never": "./never_loaded.py:graph"}}')
    monkeypatch.setenv("AzureWebJobsScriptRoot", str(tmp_path))
    monkeypatch.setenv("AzureWebJobsStorage", azurite)
    monkeypatch.setenv("DURABLEGRAPH_CONTAINER", f"t-{uuid.uuid4().hex}")
    opening.use(None)
    before = _client_threads()
    found = await asyncio.gather(*(opening.services() for _ in range(8)))
    assert all(one is found[0] for one in found)
    services = found[0]
    try:
        await services.objects.put("a", b"1")
        config: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        assert await services.saver.aget_tuple(config) is None
        await asyncio.gather(*(services.kept.items.aput(("n",), f"k{n}", {"v": n}) for n in range(32)))
        await asyncio.to_thread(services.saver.get_tuple, config)
        assert len(_client_threads() - before) == 1
    finally:
        opening.use(None)
        await services.objects.aclose()


def _client_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "durablegraph-blob"}
