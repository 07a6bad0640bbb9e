"""A process dies at any request of any change: one pass of the supervisor later every list tells the records."""

import asyncio
import operator
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, cast

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from durablegraph.api.instances import Instances, InstanceView
from durablegraph.api.supervising import supervise
from durablegraph.errors import Conflict
from durablegraph.model.messages import Cursor
from durablegraph.model.records import RunFailure, RunRecord, RunRequest, ThreadRecord, WaitRecord
from durablegraph.model.status import RunStatus
from durablegraph.services import Services
from durablegraph.storage import lifecycle
from durablegraph.storage.indexes import Filter
from durablegraph.storage.indexes.kinds import THREADS
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.run_lists import STILLBORN
from durablegraph.storage.runs import RunStore
from tests.support.stores import FaultStore, SimulatedCrash, When, crash
from tests.unit.execution.durably import NOW, services_for

from .listings import assert_lists_tell_the_records, assert_threads_follow_their_runs, records

LATER = NOW + timedelta(seconds=5)
AFTER_ALL = NOW + 2 * STILLBORN


class State(TypedDict, total=False):
    out: Annotated[list, operator.add]


class Hub:
    """A task hub in which every instance runs."""

    async def view(self, run_id: str) -> InstanceView:
        return InstanceView("Running")

    async def start(self, run_id: str, ticket: Any, *, new: bool = False) -> None:
        pass

    async def ring(self, run_id: str, event: str) -> None:
        pass


def services(store: Any) -> Services:
    builder = StateGraph(State)
    builder.add_node("node", lambda _: {"out": [1]})
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return services_for(builder.compile(), objects=store)


def record(run_id: str = "run", thread: str = "case:1", graph: str = "g", **members: Any) -> RunRecord:
    metadata = {"team": "blue", "size": 3, "deep": {"not": "indexed"}}
    times = {"created_at": NOW, "updated_at": NOW}
    return RunRecord(run_id=run_id, graph=graph, thread_id=thread, **{**times, "metadata": metadata, **members})


async def create(runs: RunStore, wanted: RunRecord | None = None) -> None:
    run = wanted or record()
    request = RunRequest(run_id=run.run_id, graph=run.graph, thread_id=run.thread_id, created_at=run.created_at)
    await runs.create(request, run)


async def start(runs: RunStore, wanted: RunRecord | None = None) -> None:
    run = wanted or record()
    await create(runs, run)
    await lifecycle.claim(runs, run, run.created_at)


async def current(runs: RunStore, run_id: str = "run") -> RunRecord:
    found = await runs.load(run_id)
    assert found is not None
    return found.value


async def begin(runs: RunStore) -> None:
    await lifecycle.begin(runs, await current(runs), LATER)


async def interrupt(runs: RunStore) -> None:
    run = await current(runs)
    wait = WaitRecord(
        wait=run.wait + 1, kind="breakpoint", next=("node",), created_at=LATER, cursor=Cursor(step=1, checkpoint="c")
    )
    await lifecycle.interrupt(runs, run, wait, LATER)


def ending(status: RunStatus) -> Callable[[RunStore], Awaitable[None]]:
    async def end(runs: RunStore) -> None:
        failure = RunFailure(type="E", message="x" * 900) if status is RunStatus.FAILED else None
        await lifecycle.end(runs, await current(runs), status, LATER, failure=failure)

    return end


async def release(runs: RunStore) -> None:
    await lifecycle.release(runs, await current(runs))


async def delete(runs: RunStore) -> None:
    await runs.delete(await current(runs))


async def start_on_the_same_thread(runs: RunStore) -> None:
    await start(runs, record("second", graph="another", created_at=LATER, updated_at=LATER))


async def start_again(runs: RunStore) -> None:
    await start(runs)


async def revive(runs: RunStore) -> None:
    await runs.change(
        "run", lambda run: run.model_copy(update={"instances": 2, "updated_at": LATER + timedelta(seconds=1)})
    )


async def create_thread(runs: RunStore) -> None:
    metadata = {"owner": "ann"}
    await runs.create_thread(ThreadRecord(thread_id="empty", created_at=NOW, updated_at=NOW, metadata=metadata))


async def change_thread(runs: RunStore) -> None:
    await runs.change_thread("empty", lambda thread: thread.model_copy(update={"metadata": {"owner": "bo"}}))


async def delete_thread(runs: RunStore) -> None:
    await runs.delete_thread("empty")


completed, failed = ending(RunStatus.COMPLETED), ending(RunStatus.FAILED)
Step = Callable[[RunStore], Awaitable[None]]

STORIES: dict[str, list[Step]] = {
    "start": [start],
    "start again": [start, start_again],
    "begin": [start, begin],
    "interrupt": [start, begin, interrupt],
    "go on": [start, begin, interrupt, begin],
    "interrupt again": [start, begin, interrupt, begin, interrupt],
    "revive": [start, begin, revive],
    "complete": [start, begin, completed],
    "fail": [start, begin, failed],
    "terminate a waiting run": [start, begin, interrupt, ending(RunStatus.TERMINATED)],
    "cancel a pending run": [start, ending(RunStatus.CANCELLED)],
    "release again": [start, begin, completed, release],
    "delete": [start, begin, completed, delete],
    "delete a run that got no thread": [create, delete],
    "a run of another graph takes the thread": [start, begin, failed, start_on_the_same_thread],
    "create a thread": [create_thread],
    "create a thread again": [create_thread, create_thread],
    "change a thread": [create_thread, change_thread],
    "delete a thread": [create_thread, change_thread, delete_thread],
}
"""Steps in order; the process dies in the last."""


async def told(steps: list[Step]) -> MemoryObjectStore:
    store = MemoryObjectStore()
    for step in steps:
        await step(RunStore(store))
    return store


async def supervised(store: MemoryObjectStore) -> None:
    await supervise(services(store), cast("Instances", Hub()), AFTER_ALL)


@pytest.mark.parametrize("story", STORIES)
async def test_lists_tell_the_records_after_every_change(story: str) -> None:
    store = await told(STORIES[story])
    if story.endswith("start") or story == "start again" or "takes the thread" in story:
        await supervised(store)  # until a run begins its mark is an unsure one
    await assert_lists_tell_the_records(store)
    await assert_threads_follow_their_runs(store)


class TurnsStore(MemoryObjectStore):
    """Lets others go on at each put, and remembers whether two were about the same key at once."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: list[str] = []
        self.twice: set[str] = set()

    async def put(self, key: str, *args: Any, **kwargs: Any) -> str:
        if key in self.under_way:
            self.twice.add(key)
        self.under_way.append(key)
        try:
            await asyncio.sleep(0)
            return await super().put(key, *args, **kwargs)
        finally:
            self.under_way.remove(key)


async def test_two_marks_of_a_run_are_mended_one_after_the_other() -> None:
    store = TurnsStore()
    await start(RunStore(store))
    await begin(RunStore(store))
    left = [entry async for entry in store.list("live/", notes=True)]
    await interrupt(RunStore(store))
    for mark in left:
        await store.put(mark.key, b"", note=mark.note)
    waiting = [entry async for entry in store.list("live/runs/interrupted/", notes=True)]
    await store.put(waiting[0].key, b"", note=left[0].note)
    await supervised(store)
    await assert_lists_tell_the_records(store)
    assert store.twice == set()


@pytest.mark.parametrize("story", STORIES)
async def test_a_crash_at_any_request_is_mended_by_one_pass_of_the_supervisor(story: str) -> None:
    *before, last = STORIES[story]
    healthy = FaultStore(await told(before), at=0)
    await last(RunStore(healthy))
    assert healthy.seen > 0
    for at in range(1, healthy.seen + 1):
        for when in When:
            store = await told(before)
            with pytest.raises(SimulatedCrash):
                await last(RunStore(FaultStore(store, at=at, when=when, fault=crash)))
            await supervised(store)
            try:
                await assert_lists_tell_the_records(store)
                await assert_threads_follow_their_runs(store)
            except AssertionError as error:
                raise AssertionError(f"{story}: died {when} request {at} of {healthy.seen}: {error}") from error


@pytest.mark.parametrize("story", STORIES)
async def test_a_crash_and_then_a_second_call_tell_the_same(story: str) -> None:
    *before, last = STORIES[story]
    healthy = FaultStore(await told(before), at=0)
    await last(RunStore(healthy))
    for at in range(1, healthy.seen + 1):
        store = await told(before)
        with pytest.raises(SimulatedCrash):
            await last(RunStore(FaultStore(store, at=at, when=When.AFTER, fault=crash)))
        if last not in {delete, delete_thread}:  # what is gone cannot be deleted again by who reads it first
            await last(RunStore(store))
        await supervised(store)
        await assert_lists_tell_the_records(store)
        await assert_threads_follow_their_runs(store)


async def test_a_starter_that_dies_and_is_called_again_leaves_nothing_to_mend_once_the_run_begins() -> None:
    healthy = FaultStore(MemoryObjectStore(), at=0)
    await start(RunStore(healthy))
    for at in range(1, healthy.seen + 1):
        store = MemoryObjectStore()
        with pytest.raises(SimulatedCrash):
            await start(RunStore(FaultStore(store, at=at, when=When.BEFORE, fault=crash)))
        await start(RunStore(store))
        await begin(RunStore(store))
        await assert_lists_tell_the_records(store)


class Halving(MemoryObjectStore):
    """Dies halfway through a removal of several objects, once."""

    def __init__(self, part: slice) -> None:
        super().__init__()
        self.part: slice | None = part

    async def delete_many(self, keys: Sequence[str]) -> None:
        part, self.part = self.part, None
        await super().delete_many(keys if part is None else keys[part])
        if part is not None:
            crash()


@pytest.mark.parametrize("part", [slice(None, None, 2), slice(1, None, 2), slice(0, 1), slice(-1, None)])
async def test_a_deletion_that_stops_halfway_is_completed(part: slice) -> None:
    store = Halving(part)
    await create(RunStore(store))
    with pytest.raises(SimulatedCrash):
        await delete(RunStore(store))
    await supervised(store)
    assert [entry.key async for entry in store.list("") if not entry.key.startswith("supervisor/")] == []


async def test_a_run_without_a_record_is_left_alone_as_long_as_its_starter_may_live() -> None:
    store = MemoryObjectStore()
    with pytest.raises(SimulatedCrash):
        await create(RunStore(FaultStore(store, at=2, fault=crash)))  # before the record
    await supervise(services(store), cast("Instances", Hub()), NOW + STILLBORN)
    assert len([entry async for entry in store.list("live/runs/running/")]) == 1
    await create(RunStore(store))
    await supervised(store)
    await assert_lists_tell_the_records(store)
    assert (await current(RunStore(store))).status is RunStatus.PENDING


class Interfering(MemoryObjectStore):
    """Lets somebody else act in the middle of a change: before the `at`-th write, once."""

    def __init__(self) -> None:
        super().__init__()
        self.at, self.act = 0, begin

    async def put(self, key: str, data: bytes, **options: Any) -> str:
        self.at -= 1
        if self.at == 0:
            await self.act(RunStore(self))
        return await super().put(key, data, **options)


@pytest.mark.parametrize(("late", "meanwhile"), [(begin, failed), (interrupt, completed), (begin, completed)])
@pytest.mark.parametrize("at", range(1, 12))
async def test_who_comes_late_with_a_status_does_not_have_the_last_word(late: Step, meanwhile: Step, at: int) -> None:
    store = Interfering()
    for step in [start] if late is begin else [start, begin]:
        await step(RunStore(store))
    store.at, store.act = at, meanwhile
    await late(RunStore(store))
    store.at = 0
    await supervised(store)
    await assert_lists_tell_the_records(store)
    await assert_threads_follow_their_runs(store)


@pytest.mark.parametrize("at", range(1, 10))
async def test_a_thread_that_is_taken_while_it_is_freed_shows_who_has_it(at: int) -> None:
    store = Interfering()
    for step in (start, begin):
        await step(RunStore(store))
    store.at, store.act = at, start_on_the_same_thread_if_free
    await completed(RunStore(store))
    store.at = 0
    await assert_threads_follow_their_runs(store)
    found = await RunStore(store).search_threads(Filter(), limit=9)
    assert found.records == [THREADS.brief(thread) for thread in await records(store, THREADS)]


@pytest.mark.parametrize("at", range(1, 6))
async def test_of_two_runs_that_start_on_a_free_thread_at_once_lists_tell_which_has_it(at: int) -> None:
    store, late = Interfering(), record("late", created_at=LATER, updated_at=LATER)
    for step in (start, begin, completed):
        await step(RunStore(store))
    store.at, store.act = at, start_on_the_same_thread_if_free
    try:
        await start(RunStore(store), late)
    except Conflict:
        await RunStore(store).delete(late)
    store.at = 0
    await supervised(store)
    await assert_lists_tell_the_records(store)
    await assert_threads_follow_their_runs(store)


@pytest.mark.parametrize("at", range(1, 6))
async def test_a_thread_whose_metadata_changes_while_a_run_takes_it_tells_both(at: int) -> None:
    store = Interfering()
    for step in (start, begin, completed):
        await step(RunStore(store))
    store.at, store.act = at, name_the_thread
    await start_on_the_same_thread(RunStore(store))
    store.at = 0
    await supervised(store)
    await assert_lists_tell_the_records(store)
    found = await RunStore(store).search_threads(Filter(status="busy", metadata=(("owner", "ann"),)), limit=5)
    assert [thread.graph for thread in found.records] == ["another"]


async def name_the_thread(runs: RunStore) -> None:
    await runs.change_thread("case:1", lambda thread: thread.model_copy(update={"metadata": {"owner": "ann"}}))


async def start_on_the_same_thread_if_free(runs: RunStore) -> None:
    with suppress(Conflict):
        await start_on_the_same_thread(runs)
