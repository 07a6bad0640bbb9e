"""Lists are made anew from the records: after an upgrade from before there were lists, or when entries were lost."""

import json
from typing import cast

import pytest

from durablegraph.api.instances import Instances, InstanceView
from durablegraph.api.supervising import supervise
from durablegraph.model.messages import Cursor
from durablegraph.model.records import RunFailure, ThreadRecord, WaitRecord
from durablegraph.model.status import RunStatus
from durablegraph.storage import lifecycle
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.rebuilding import Rebuilt, rebuild_lists
from durablegraph.storage.runs import RunStore
from tests.support.stores import FaultStore, SimulatedCrash, When, crash

from .listings import assert_lists_tell_the_records, assert_threads_follow_their_runs
from .test_repair import AFTER_ALL, LATER, Hub, record, services, start

LIVE = ("pends", "works", "waits")


async def a_run_of_each_kind(runs: RunStore) -> None:
    for run_id in (*LIVE, "fails", "ends"):
        run = record(run_id=run_id, thread=f"case-{run_id}")
        await start(runs, run)
        if run_id == "pends":
            continue
        run = await lifecycle.begin(runs, run, LATER)
        if run_id == "waits":
            at = Cursor(step=1, checkpoint="c")
            asked = WaitRecord(wait=1, kind="breakpoint", next=("node",), created_at=LATER, cursor=at)
            await lifecycle.interrupt(runs, run, asked, LATER)
        if run_id == "fails":
            failure = RunFailure(type="E", message="it failed")
            await lifecycle.end(runs, run, RunStatus.FAILED, LATER, failure=failure)
        if run_id == "ends":
            await lifecycle.end(runs, run, RunStatus.COMPLETED, LATER)
    await runs.create_thread(ThreadRecord(thread_id="empty", created_at=LATER, updated_at=LATER, metadata={"a": 1}))


async def of_former_layout() -> MemoryObjectStore:
    """A store as it was before there were lists: threads had no status, and live runs a mark of another name."""
    store = MemoryObjectStore()
    await a_run_of_each_kind(RunStore(store))
    keys = [entry.key async for entry in store.list("")]
    await store.delete_many([key for key in keys if key.startswith(("index/", "live/"))])
    for key in keys:
        if key.startswith("threads/"):
            found = await store.get(key)
            assert found is not None
            kept = {name: value for name, value in json.loads(found.data).items() if name not in {"status", "turn"}}
            await store.put(key, json.dumps(kept).encode())
    for run_id in (*LIVE, "gone"):
        await store.put(f"live/{run_id}", b"")
    for number, run_id in enumerate((*LIVE, "fails", "ends")):
        await store.put(f"recent/{number:013d}-{run_id}", run_id.encode())
    return store


async def keys(store: ObjectStore, prefix: str) -> list[str]:
    return [entry.key async for entry in store.list(prefix)]


async def test_lists_of_a_store_of_the_former_layout_are_made_from_its_records() -> None:
    store = await of_former_layout()
    assert await rebuild_lists(store, AFTER_ALL) == Rebuilt(runs=5, threads=6, removed=9)
    await assert_lists_tell_the_records(store)
    await assert_threads_follow_their_runs(store)
    assert await keys(store, "recent/") == []


async def test_the_supervisor_looks_after_live_runs_of_the_former_layout_by_itself() -> None:
    store = await of_former_layout()
    looked: list[str] = []

    class Watched(Hub):
        async def view(self, run_id: str) -> InstanceView:
            looked.append(run_id)
            return await super().view(run_id)

    await supervise(services(store), cast("Instances", Watched()), LATER)
    assert sorted(looked) == sorted(LIVE)
    assert [key for key in await keys(store, "live/") if key.count("/") == 1] == []
    found = await RunStore(store).thread("case-waits")
    assert found is not None
    assert found.value.status == "interrupted"


async def test_entries_that_were_lost_or_are_wrong_are_made_right() -> None:
    store = MemoryObjectStore()
    await a_run_of_each_kind(RunStore(store))
    entries = [entry async for entry in store.list("index/", notes=True)]
    for number, entry in enumerate(entries):
        if number % 3 == 0:
            await store.delete(entry.key)
        elif number % 3 == 1 and "/runs/" in entry.key:
            await store.put(entry.key, b"", note=(entry.note or "").replace("completed", "running"))
    await rebuild_lists(store, AFTER_ALL)
    await assert_lists_tell_the_records(store)


@pytest.mark.parametrize("when", When)
async def test_after_a_crash_at_any_request_a_second_call_completes_it(when: When) -> None:
    counted = FaultStore(await of_former_layout(), at=0)
    await rebuild_lists(counted, AFTER_ALL)
    for at in range(1, counted.seen + 1, 7):
        store = await of_former_layout()
        with pytest.raises(SimulatedCrash):
            await rebuild_lists(FaultStore(store, at=at, when=when, fault=crash), AFTER_ALL)
        await rebuild_lists(store, AFTER_ALL)
        await supervise(services(store), cast("Instances", Hub()), AFTER_ALL)
        await assert_lists_tell_the_records(store)
        await assert_threads_follow_their_runs(store)
