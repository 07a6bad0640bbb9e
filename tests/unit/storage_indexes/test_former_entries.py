"""Entries as an earlier version wrote them: every facet of every record, whatever its status."""

from collections.abc import Callable
from typing import Any

import pytest

from durablegraph.model.records import RunRecord, RunRequest
from durablegraph.model.status import RunStatus
from durablegraph.storage.documents import encode
from durablegraph.storage.indexes import Filter, Index
from durablegraph.storage.indexes.kinds import RUNS, THREADS
from durablegraph.storage.indexes.positions import position
from durablegraph.storage.keys import run_key
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.runs import RunStore
from tests.unit.execution.durably import NOW

from .listings import assert_threads_follow_their_runs, filters, leaf, records
from .test_repair import Step, begin, completed, current, delete, ending, failed, interrupt, record, start, supervised

STORIES: dict[str, list[Step]] = {
    "pending": [start],
    "running": [start, begin],
    "waiting": [start, begin, interrupt],
    "going on": [start, begin, interrupt, begin],
    "completed": [start, begin, completed],
    "failed": [start, begin, failed],
}
NEXT: dict[str, list[Step]] = {
    "pending": [begin, ending(RunStatus.CANCELLED)],
    "running": [interrupt, completed, failed],
    "waiting": [begin, ending(RunStatus.TERMINATED)],
    "going on": [interrupt, completed],
    "completed": [delete],
    "failed": [delete],
}


async def of_former_version(steps: list[Step]) -> MemoryObjectStore:
    """What the earlier version would have stored by now, beside runs that ended long ago."""
    store = MemoryObjectStore()
    for number, status in enumerate(RunStatus):
        if status.ended:
            await start(RunStore(store), record(f"old{number}", thread=f"case-{number}"))
            await RunStore(store).change(f"old{number}", becomes(status))
    for step in steps:
        await step(RunStore(store))
    for entry in [entry async for entry in store.list("")]:
        if entry.key.startswith(("index/", "live/")):
            await store.delete(entry.key)
    for run in await records(store, RUNS):
        assert isinstance(run, RunRecord)
        request = RunRequest(run_id=run.run_id, graph=run.graph, thread_id=run.thread_id, created_at=run.created_at)
        await store.put(run_key(run.run_id, "request"), encode(request))
        await store.put(run_key(run.run_id, "record"), encode(run.model_copy(update={"request": None})))
        at = position(run.created_at, run.run_id)
        place = "index/runs/status" if run.status.ended else "live/runs"
        await written(store, Index(store, RUNS), run, f"{place}/{run.status.value}/{at}")
    for thread in await records(store, THREADS):
        at = position(thread.created_at, thread.thread_id)
        await written(store, Index(store, THREADS), thread, f"index/threads/status/{thread.status.value}/{at}")
    return store


def becomes(status: RunStatus) -> Callable[[RunRecord], RunRecord]:
    return lambda run: run.model_copy(update={"status": status})


async def written(store: ObjectStore, index: Index[Any], found: Any, status_key: str) -> None:
    for key in (*index.everywhere(found), status_key):
        await store.put(key, b"", note=index.note(found))


async def assert_lists_are_right(store: ObjectStore) -> None:
    """As `assert_lists_tell_the_records`, though entries stand where they are not wanted any more."""
    runs = RunStore(store)
    for kind, search in ((RUNS, runs.search), (THREADS, runs.search_threads)):
        every = await records(store, kind)
        ways = {way for one in every for way in filters(one)} | {Filter(status=status) for status in kind.statuses}
        for wanted in ways:
            found = await leaf(search, wanted, limit=2)
            assert found == [kind.brief(one) for one in every if wanted.holds(one)], wanted


@pytest.mark.parametrize("story", STORIES)
async def test_lists_of_former_entries_are_right_at_once(story: str) -> None:
    store = await of_former_version(STORIES[story])
    await assert_lists_are_right(store)
    if story in {"running", "waiting"}:
        assert [run async for run in RunStore(store).of_thread("case:1")] == ["run"]


@pytest.mark.parametrize(("story", "step"), [(story, step) for story in NEXT for step in NEXT[story]])
async def test_what_happens_to_a_run_of_the_former_version_is_in_every_list(story: str, step: Step) -> None:
    store = await of_former_version(STORIES[story])
    await step(RunStore(store))
    await assert_lists_are_right(store)
    await supervised(store)
    await assert_lists_are_right(store)
    if step is not delete:  # its thread goes on to show how it ended
        await assert_threads_follow_their_runs(store)


async def test_a_run_of_the_former_version_that_ends_leaves_no_entry_that_is_not_wanted() -> None:
    store = await of_former_version(STORIES["pending"])
    for step in (begin, interrupt, begin, completed):
        await step(RunStore(store))
    at = position(NOW, "run")
    stood = {key for key in [entry.key async for entry in store.list("")] if key.endswith(at)}
    assert stood == set(Index(store, RUNS).own(await current(RunStore(store))))


async def test_the_request_of_a_run_of_the_former_version_is_found() -> None:
    store = await of_former_version(STORIES["running"])
    found = await RunStore(store).request("run")
    assert found is not None
    assert found.run_id == "run"


async def test_one_pass_of_the_supervisor_moves_the_marks_of_live_runs() -> None:
    store = await of_former_version(STORIES["pending"])
    await supervised(store)
    assert [entry.key async for entry in store.list("live/")] == [f"live/runs/running/{position(NOW, 'run')}"]
