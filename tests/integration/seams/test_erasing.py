"""A thread that used all of storage is erased: every key of it is gone, and no other key was touched."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver

from durablegraph.graphs.savers import opened
from durablegraph.services import Services
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.prefixed import ROOTS, PrefixedStore
from durablegraph.storage.retention import Policy, Retention, erase_thread, retain
from tests.conformance.storage.checkpoints.savers import put
from tests.conformance.storage.conftest import backend, store

from .everything import carried, keys, services_on, told_by

__all__ = ["backend", "store"]

THREAD, OTHER = "case:7@example", "other"


async def _nothing(run_id: str) -> None:
    """No Durable instance carries these runs."""


async def retention_of(services: Services, **policy: Any) -> Retention:
    whole = await services.retention(_nothing)
    return Retention(whole.objects, whole.runs, whole.savers, Policy(**policy), _nothing)


@pytest.fixture(params=["alone", "prefixed"])
async def objects(request: pytest.FixtureRequest, store: ObjectStore) -> ObjectStore:
    return PrefixedStore(store, "team/app") if request.param == "prefixed" else store


@pytest.fixture(params=["sync sqlite", "postgres"])
async def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    if request.param == "postgres":
        factory: Any = partial(AsyncPostgresSaver.from_conn_string, request.getfixturevalue("postgres"))
    else:
        factory = partial(SqliteSaver.from_conn_string, str(tmp_path / "own.db"))
    async with AsyncExitStack() as stack:
        yield await opened("the checkpointer", factory, stack)


async def test_every_key_of_a_thread_goes_and_no_other_is_touched(objects: ObjectStore) -> None:
    services = services_on(objects)
    await carried(services, OTHER, "theirs")
    before = await keys(objects)
    await carried(services, THREAD, "first")
    await carried(services, THREAD, "second")
    mine = [key for key in await keys(objects) if key not in before]
    assert {key.partition("/")[0] for key in mine} >= {"h", "d", "runs", "threads", "index", "idempotency"}
    assert any("/parts/" in key for key in mine)
    assert {key.partition("/")[0] for key in await keys(objects)} <= ROOTS
    erased = await erase_thread(await retention_of(services), THREAD, datetime.now(UTC))
    assert erased is not None
    assert erased.runs == 2
    after = await keys(objects)
    shared = {key for key in before if key.startswith("items/")}
    assert after.keys() == before.keys()
    assert {key for key in before if before[key] != after[key]} <= shared
    await carried(services, THREAD, "again")


async def test_a_thread_in_a_savers_own_database_is_erased_there_too(
    foreign: BaseCheckpointSaver[Any], store: ObjectStore
) -> None:
    services, thread, other = services_on(store, foreign), uuid.uuid4().hex, uuid.uuid4().hex
    await carried(services, other, "theirs")
    before = await keys(store)
    kept = [found async for found in foreign.alist(_of(other))]
    await carried(services, thread, "mine")
    assert [found async for found in foreign.alist(_of(thread))]
    await erase_thread(await retention_of(services), thread, datetime.now(UTC))
    assert [found async for found in foreign.alist(_of(thread))] == []
    assert len([found async for found in foreign.alist(_of(other))]) == len(kept) > 0
    assert (await keys(store)).keys() == before.keys()


async def test_a_sweep_by_age_leaves_what_belongs_to_no_thread(objects: ObjectStore) -> None:
    services = services_on(objects)
    await carried(services, THREAD, "mine")
    later = datetime.now(UTC) + timedelta(days=40)
    report = await retain(await retention_of(services, threads=timedelta(days=30)), later)
    assert report is not None
    assert report.complete
    assert report.finds["threads"] == 1
    assert {key.partition("/")[0] for key in await keys(objects)} == {"items", "node-cache", "retention"}


async def test_a_sweep_past_the_grace_changes_nothing_that_is_read(objects: ObjectStore) -> None:
    services = services_on(objects)
    await carried(services, THREAD, "mine")
    told = await _told(services)
    await objects.put(f"d/{_log(await keys(objects))}/x/{'0' * 24}", b"stray")
    await objects.put("runs/00/never/request", b"stray")
    later = datetime.now(UTC) + timedelta(days=40)
    report = await retain(await retention_of(services), later)
    assert report is not None
    assert dict(report.finds) == {"idempotency keys": 1, "objects no checkpoint needs": 1, "objects of no run": 1}
    fresh = services_on(objects)
    assert await _told(fresh) == told
    assert not [key for key in await keys(objects) if "stray" in key or "never" in key]
    thinned = await retain(await retention_of(fresh, keep_last=2), later + timedelta(days=2))
    assert thinned is not None
    assert thinned.finds["threads with old checkpoints"] == 1
    last = await _told(services_on(objects))
    assert last[1] == told[1][:2]
    assert last[0] == told[0]
    assert last[2] == told[2]


async def test_a_thread_that_no_run_was_ever_on_is_erased(objects: ObjectStore) -> None:
    """As `import-threads` leaves it when it is cut short: checkpoints and no record."""
    services = services_on(objects)
    await put(services.saver, THREAD, {"b": "x" * 20_000})
    await put(services.saver, THREAD, {"n": 1}, namespace="sub:1")
    assert await erase_thread(await retention_of(services), THREAD, datetime.now(UTC)) is not None
    assert await keys(objects) == {}


def _of(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def _log(stored: dict[str, str]) -> str:
    return next(key[2:] for key in stored if key.startswith("h/"))


async def _told(services: Services) -> tuple[Any, list[Any], list[Any]]:
    """The state, the checkpoints and the events, as callers read them."""
    state = (await services.state("g", THREAD)).values
    history = [
        (found.config["configurable"]["checkpoint_id"], found.values)
        async for found in services.history("g", THREAD, limit=100)
    ]
    return state, history, [(offset, event.id, event.data) for offset, event in await told_by(services, "mine")]
