"""Makes all lists anew from the records: for stores of before there were lists, or whose entries were lost.

It may run while the app does, and again after it was broken off: each record is told as after a crash.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from durablegraph.model.records import RunRecord, ScheduleRecord, ThreadRecord
from durablegraph.model.status import thread_status
from durablegraph.storage.documents import Documents
from durablegraph.storage.indexes.marks import LIVE
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.parallel import in_parallel
from durablegraph.storage.runs import RunStore
from durablegraph.storage.schedules import ScheduleStore

_FORMER_LIST = "recent/"
"""Where runs were listed before; nothing reads it."""
_AT_ONCE = 500


@dataclass(slots=True)
class Rebuilt:
    """What was told anew, and how many objects of the former layout were removed."""

    runs: int = 0
    threads: int = 0
    schedules: int = 0
    removed: int = 0


async def rebuild_lists(objects: ObjectStore, now: datetime) -> Rebuilt:
    """Write every entry that runs, threads and schedules want; about ten requests for each of them."""
    runs, schedules, done = RunStore(objects), ScheduleStore(objects), Rebuilt()
    records, threads = Documents(objects, RunRecord), Documents(objects, ThreadRecord)
    timetable = Documents(objects, ScheduleRecord)

    async def tell_run(key: str) -> None:
        if (found := await records.load(key)) is not None:
            await runs.retell(found.value)

    async def tell_thread(key: str) -> None:
        if (found := await threads.load(key)) is not None:
            await _tell_thread(runs, found.value)

    async def tell_schedule(key: str) -> None:
        if (found := await timetable.load(key)) is not None:
            await schedules.retell(found.value.schedule_id, now)

    async for keys in _slices(objects, "runs/", "/record"):
        await in_parallel(keys, tell_run)
        done.runs += len(keys)
    async for keys in _slices(objects, "threads/"):
        await in_parallel(keys, tell_thread)
        done.threads += len(keys)
    async for keys in _slices(objects, "schedules/", "/record"):
        await in_parallel(keys, tell_schedule)
        done.schedules += len(keys)
    former = [entry.key async for entry in objects.list(_FORMER_LIST)]
    former += [entry.key async for entry in objects.list(LIVE) if "/" not in entry.key.removeprefix(LIVE)]
    await objects.delete_many(former)
    done.removed = len(former)
    return done


async def _tell_thread(runs: RunStore, thread: ThreadRecord) -> None:
    """A thread that no run is active on shows how the last one ended."""
    last = await runs.load(thread.last_run) if thread.last_run and not thread.active_run else None
    if last is not None:
        status = thread_status(last.value.status)

        def change(current: ThreadRecord) -> ThreadRecord:
            if current.active_run or current.last_run != thread.last_run or current.status is status:
                return current
            return current.model_copy(update={"status": status})

        await runs.change_thread(thread.thread_id, change)
    await runs.retell_thread(thread.thread_id)


async def _slices(objects: ObjectStore, prefix: str, end: str = "") -> AsyncIterator[list[str]]:
    keys: list[str] = []
    async for entry in objects.list(prefix):
        if entry.key.endswith(end):
            keys.append(entry.key)
        if len(keys) == _AT_ONCE:
            yield keys
            keys = []
    yield keys
