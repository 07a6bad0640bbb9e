"""What a crash leaves behind is removed, and nothing else, whatever goes on meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from durablegraph import BlobCheckpointSaver
from durablegraph.errors import DurableGraphError
from durablegraph.model.messages import Cursor
from durablegraph.model.records import RunRecord, RunRequest, WaitRecord
from durablegraph.model.status import RunStatus
from durablegraph.storage import lifecycle
from durablegraph.storage.objects import ObjectEntry, ObjectStore, StoredObject
from durablegraph.storage.retention import retain, survey
from durablegraph.storage.runs import RunStore
from tests.conformance.storage.checkpoints.savers import TINY, at, id_of, put
from tests.support.retaining import START, Place
from tests.support.stores import FaultStore, SimulatedCrash, When, crash

DAY = {"grace": timedelta(days=1)}
THREAD = "t"


async def _steps(saver: BlobCheckpointSaver, count: int, thread: str = THREAD) -> None:
    found = await saver.aget_tuple(at(thread))
    parent = found.checkpoint["id"] if found else None
    for n in range(count):
        values = {"n": n, "m": ["y" * 40] * (n + 2), "b": b"%d" % n * 100}
        config = await put(saver, thread, values, parent=parent, metadata={"run_id": "r"})
        await saver.aput_writes(config, [("n", n), ("big", "z" * 200)], f"task {n}")
        parent = id_of(config)


async def _prepared(place: Place) -> None:
    saver = place.saver(limits=TINY)
    await _steps(saver, 5)
    await saver.aclose()


def _run(run_id: str = "run") -> tuple[RunRequest, RunRecord]:
    wanted = RunRequest(run_id=run_id, graph="g", thread_id=THREAD, created_at=START)
    return wanted, RunRecord(run_id=run_id, graph="g", thread_id=THREAD, created_at=START, updated_at=START)


async def _ended_run(place: Place) -> None:
    runs = RunStore(place.objects)
    wanted, record = _run()
    await runs.create(wanted, record)
    await lifecycle.claim(runs, record, START)
    wait = WaitRecord(wait=1, kind="breakpoint", cursor=Cursor(), created_at=START)
    await runs.begin_wait("run", wait)
    await runs.put_output("run", {"a": 1})
    await lifecycle.end(runs, record, RunStatus.COMPLETED, START)


async def _create(store: ObjectStore) -> None:
    await RunStore(store).create(*_run("new"))


async def _delete_run(store: ObjectStore) -> None:
    await RunStore(store).delete((await RunStore(store).load("run")).value)  # type: ignore[union-attr]


async def _commit(store: ObjectStore) -> None:
    saver = BlobCheckpointSaver(store, limits=TINY)
    await _steps(saver, 3)
    await saver.aclose()


async def _first_commit(store: ObjectStore) -> None:
    saver = BlobCheckpointSaver(store, limits=TINY)
    await _steps(saver, 1, "fresh")
    await saver.aclose()  # what it seals in the background belongs to its time


async def _delete_thread(store: ObjectStore) -> None:
    await BlobCheckpointSaver(store, limits=TINY).adelete_thread(THREAD)


async def _prune(store: ObjectStore) -> None:
    await BlobCheckpointSaver(store, limits=TINY).aprune([THREAD])


async def _keep(store: ObjectStore) -> None:
    await BlobCheckpointSaver(store, limits=TINY).akeep_last(THREAD, 3)


async def _copy(store: ObjectStore) -> None:
    await BlobCheckpointSaver(store, limits=TINY).acopy_thread(THREAD, "copy")


CASES = {
    "create run": (_ended_run, _create),
    "delete run": (_ended_run, _delete_run),
    "commit with seals": (_prepared, _commit),
    "first commit": (_prepared, _first_commit),
    "delete thread": (_prepared, _delete_thread),
    "prune": (_prepared, _prune),
    "keep last": (_prepared, _keep),
    "copy": (_prepared, _copy),
}


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("case", CASES)
async def test_after_a_crash_at_any_request_a_sweep_past_the_grace_leaves_what_is_reachable_and_nothing_else(
    case: str, when: When
) -> None:
    prepare, act = CASES[case]
    at_, left = 0, 0
    while True:
        at_ += 1
        place = Place()
        await prepare(place)
        store = FaultStore(place.objects, at=at_, when=when, fault=crash)
        with contextlib.suppress(SimulatedCrash, DurableGraphError):
            await act(store)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        left += len(await place.strays())
        before = [one async for one in place.saver().alist(None)]
        place.later(hours=23)
        await place.sweep(**DAY)
        place.later(hours=2)
        told = await survey(place.retention(**DAY), place.now)
        swept = await place.sweep(**DAY)
        assert swept.finds == told.finds
        assert await place.strays() == set(), f"request {at_}"
        assert [one async for one in place.saver().alist(None)] == before, f"request {at_}"
        if store.seen < at_:
            break
    assert left or case in {"create run", "delete run"}, "no crash left anything: the test proves nothing"


class Interleaving:
    """A store that lets somebody else do a step before each of its own requests."""

    def __init__(self, inner: ObjectStore, between: Callable[[], Awaitable[None]]) -> None:
        self.inner, self._between = inner, between

    async def get(self, key: str) -> StoredObject | None:
        await self._between()
        return await self.inner.get(key)

    async def put(self, key: str, data: bytes, **options: Any) -> str:
        await self._between()
        return await self.inner.put(key, data, **options)

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        await self._between()
        return await self.inner.delete(key, if_match=if_match)

    async def delete_many(self, keys: Sequence[str]) -> None:
        await self._between()
        await self.inner.delete_many(keys)

    async def list(self, prefix: str, **options: Any) -> AsyncIterator[ObjectEntry]:
        await self._between()
        async for entry in self.inner.list(prefix, **options):
            yield entry

    async def aclose(self) -> None:
        await self.inner.aclose()


async def _readable(place: Place) -> int:
    """Read every value of every checkpoint; how many there are. A missing object raises."""
    return len([one async for one in place.saver().alist(None)])


@pytest.mark.parametrize("act", [_commit, _first_commit, _copy, _keep, _prune], ids=lambda act: act.__name__)
@pytest.mark.parametrize("grace", [timedelta(0), timedelta(days=1)], ids=["no grace", "stalled for a week"])
async def test_a_writer_that_stalls_at_any_request_while_a_sweep_runs_never_refers_to_what_was_removed(
    act: Callable[[ObjectStore], Awaitable[None]], grace: timedelta
) -> None:
    """The whole sweep happens between two requests of the writer, for each pair of them."""
    at_ = 0
    while True:
        at_ += 1
        place, seen = Place(), 0
        await _prepared(place)

        async def stall(place: Place = place, at_: int = at_) -> None:
            nonlocal seen
            seen += 1
            if seen == at_:
                place.later(days=7)
                await place.sweep(grace=grace)

        with contextlib.suppress(DurableGraphError):  # to be refused is right: the writer tries again
            await act(Interleaving(place.objects, stall))
        if seen >= at_:
            await act(place.objects) if act is not _copy else None
        assert await _readable(place) > 0
        place.later(days=7)
        await place.sweep(grace=grace)
        await _readable(place)
        assert await place.strays() == set()
        if seen < at_:
            break


async def test_a_seal_that_was_stored_before_a_long_wait_is_not_referred_to_after_a_sweep() -> None:
    place = Place()
    saver = place.saver(limits=TINY)
    await _steps(saver, 6)
    await saver._core.archive.settle()
    assert await place.strays() != set()  # a segment that the next commit would refer to
    place.later(days=30)
    assert (await place.sweep(**DAY)).finds
    assert await place.strays() == set()
    await _steps(saver, 6)
    assert await _readable(place) == 12


async def test_a_sweep_while_commits_go_on_at_each_of_its_requests_removes_nothing_that_is_needed() -> None:
    place = Place()
    writer = place.saver(limits=TINY)
    await _steps(writer, 3)
    commits = turns = 0

    async def commit() -> None:
        nonlocal commits, turns
        turns += 1
        if (
            turns % 3 == 0 and commits < 40
        ):  # before each request there would be no moment between reading a head and replacing it
            commits += 1
            await _steps(writer, 1)

    orphan = writer._core.log_names(THREAD, "").objects + "x/orphan"
    store = Interleaving(place.objects, commit)
    removed = 0
    for number in range(4):
        await place.objects.put(f"{orphan}{number}", b"?")
        report = await retain(place.retention(store, grace=timedelta(0)), place.now, at_once=True)
        assert report is not None
        removed += report.objects.total()
        place.later(hours=1)
    assert commits == 40
    assert removed
    assert await _readable(place) == 3 + commits


async def test_young_objects_and_logs_that_somebody_writes_to_are_left_alone() -> None:
    place = Place()
    await _prepared(place)
    log = place.saver()._core.log_names(THREAD, "")
    await place.objects.put(log.objects + "x/orphan", b"?")
    place.later(hours=23)
    assert not (await place.sweep(**DAY)).finds
    writer = place.saver(limits=TINY)
    await _steps(writer, 1)  # the head is young when the object is not
    await writer.aclose()
    place.later(hours=2)
    assert not (await place.sweep(**DAY)).finds
    place.later(days=2)
    assert log.objects + "x/orphan" in await place.strays()
    assert (await place.sweep(**DAY)).objects.total() >= 1
    assert await place.strays() == set()


async def test_logs_that_did_not_change_since_the_last_round_are_not_read_again() -> None:
    from tests.support.stores import CountingStore, Kind

    place = Place()
    for number in range(20):
        saver = place.saver(limits=TINY)
        await _steps(saver, 5, f"thread {number}")
        await saver.aclose()
    place.later(days=3)
    counting = CountingStore(place.objects)
    await place.sweep(counting, **DAY)
    assert counting.start_anew().requests[Kind.READ] > 20
    place.later(days=2)
    await place.sweep(counting, **DAY)  # heads were moved by the first round
    counting.start_anew()
    place.later(days=2)
    await place.sweep(counting, **DAY)
    assert counting.start_anew().requests[Kind.READ] <= 2
