"""`durablegraph rebuild-lists` makes the lists of schedules anew, and what is due, from their records."""

import pytest

from durablegraph.model.status import ScheduleStatus
from durablegraph.storage.indexes import Filter
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.rebuilding import Rebuilt, rebuild_lists
from durablegraph.storage.schedules import ScheduleStore
from tests.support.stores import FaultStore, SimulatedCrash, When, crash

from .schedules import NOW, assert_stored_is_what_records_ask_for, create, keys, runs, tick


async def some_schedules() -> MemoryObjectStore:
    store = MemoryObjectStore()
    await create(store, "hourly")
    await create(store, "on a thread/ü", thread_id="t")
    await create(store, "paused", status=ScheduleStatus.PAUSED, next_run_at=None)
    return store


async def test_schedules_whose_entries_were_lost_are_listed_and_started_again() -> None:
    store = await some_schedules()
    await store.delete_many(list(await keys(store, "index/")))
    assert (await ScheduleStore(store).search(Filter(), limit=10)).records == []
    assert await rebuild_lists(store, NOW) == Rebuilt(schedules=3)
    await assert_stored_is_what_records_ask_for(store)
    page = await ScheduleStore(store).search(Filter(metadata=(("team", "blue"),)), limit=10)
    assert {one.schedule_id for one in page.records} == {"hourly", "on a thread/ü", "paused"}
    assert await ScheduleStore(store).of_thread("t") == ["on a thread/ü"]
    await ScheduleStore(store).delete("on a thread/ü", NOW)
    await tick(store, "2026-01-05T09:00:10Z")
    assert await runs(store, "hourly") == ["2026-01-05T09:00:00+00:00"]


async def test_entries_that_are_right_already_stay_as_they_are() -> None:
    store = await some_schedules()
    before = {(entry.key, entry.note) async for entry in store.list("", notes=True)}
    await rebuild_lists(store, NOW)
    assert {(entry.key, entry.note) async for entry in store.list("", notes=True)} == before


@pytest.mark.parametrize("when", When)
async def test_a_crash_at_any_request_leaves_nothing_that_a_tick_does_not_mend(when: When) -> None:
    counted = FaultStore(await some_schedules(), at=0)
    await rebuild_lists(counted, NOW)
    for at in range(1, counted.seen + 1):
        store = await some_schedules()
        await store.delete_many([key for key in await keys(store, "index/") if "/due/" not in key])
        with pytest.raises(SimulatedCrash):
            await rebuild_lists(FaultStore(store, at=at, when=when, fault=crash), NOW)
        await ScheduleStore(store).change(
            "hourly", lambda found: found.model_copy(update={"metadata": {"team": "red"}}), NOW
        )
        await rebuild_lists(store, NOW)
        await tick(store, "2026-01-05T08:40:00Z")
        await assert_stored_is_what_records_ask_for(store)
