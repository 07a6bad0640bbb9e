"""Schedules on every store: what is due, in order, by one listing; conditional changes; nothing left behind."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from durablegraph.errors import Conflict
from durablegraph.model.records import RunRequest, ScheduleRecord
from durablegraph.storage.indexes import Filter
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.prefixed import PrefixedStore
from durablegraph.storage.schedules import ScheduleStore, turns
from tests.support.stores import CountingStore, Kind

NOW = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)


@pytest.fixture(params=["", "an-app"])
def counted(request: pytest.FixtureRequest, store: ObjectStore) -> CountingStore:
    return CountingStore(PrefixedStore(store, request.param) if request.param else store)


async def create(schedules: ScheduleStore, name: str, due: datetime, team: str = "blue") -> ScheduleRecord:
    schedule = ScheduleRecord(
        schedule_id=name,
        graph="g",
        thread_id=f"case:{name}",
        cron="* * * * *",
        metadata={"team": team},
        next_run_at=due,
        request="r",
        created_at=NOW,
        updated_at=NOW,
    )
    request = RunRequest(run_id="", graph="g", thread_id="", input={"n": name}, created_at=NOW)
    assert await schedules.create(schedule, request)
    return schedule


async def test_what_is_due_is_one_listing_in_the_order_of_its_times(counted: CountingStore) -> None:
    schedules = ScheduleStore(counted)
    minutes = list(range(40))
    random.Random(1).shuffle(minutes)  # noqa: S311 -- the same order in every run
    await asyncio.gather(*(create(schedules, f"s{n:02}", NOW + timedelta(minutes=n)) for n in minutes))
    counted.start_anew()
    assert await schedules.due(NOW - timedelta(milliseconds=1), limit=100) == []
    assert counted.start_anew().requests == {Kind.LIST: 1}
    found = await schedules.due(NOW + timedelta(minutes=24, seconds=59), limit=10)
    found += await schedules.due(NOW + timedelta(minutes=24, seconds=59), after=found[-1].key, limit=100)
    assert [one.schedule_id for one in found] == [f"s{n:02}" for n in range(25)]
    assert counted.start_anew().requests == {Kind.LIST: 2}


async def test_a_schedule_that_goes_on_moves_its_entry_and_nothing_else(counted: CountingStore) -> None:
    schedules = ScheduleStore(counted)
    await create(schedules, "s", NOW)
    (due,) = await schedules.due(NOW, limit=10)
    found = await schedules.load("s")
    assert found is not None
    counted.start_anew()
    moved = await schedules.go_on(due, found, lambda one: turns.began(one, NOW, "run"))
    assert moved is not None
    assert counted.start_anew().requests == {Kind.READ: 1, Kind.WRITE: 2, Kind.DELETE: 1}
    assert await schedules.due(NOW, limit=10) == []
    assert [one.schedule_id for one in await schedules.due(NOW + timedelta(minutes=1), limit=10)] == ["s"]


async def test_lists_tell_each_schedule_as_it_is_now(counted: CountingStore) -> None:
    schedules = ScheduleStore(counted)
    for name, team in (("a", "blue"), ("b", "red"), ("c", "red")):
        await create(schedules, name, NOW, team)
    await schedules.change("b", lambda one: one.model_copy(update={"failures": 3, "metadata": {"team": "blue"}}), NOW)
    found = await schedules.search(Filter(metadata=(("team", "blue"),)), limit=10)
    assert [(one.schedule_id, one.failures) for one in found.records] == [("a", 0), ("b", 3)]
    assert await schedules.of_thread("case:b") == ["b"]
    assert (await schedules.search(Filter(metadata=(("team", "red"),)), limit=10)).records[0].schedule_id == "c"


async def test_of_changes_to_one_version_one_wins(counted: CountingStore) -> None:
    schedules = ScheduleStore(counted)
    await create(schedules, "s", NOW)
    found = await schedules.load("s")
    assert found is not None
    await schedules.change("s", lambda one: one.model_copy(update={"failures": 1}), NOW, etag=found.etag)
    with pytest.raises(Conflict):
        await schedules.change("s", lambda one: one.model_copy(update={"failures": 2}), NOW, etag=found.etag)
    with pytest.raises(Conflict):
        await schedules.delete("s", NOW, etag=found.etag)
    assert await schedules.delete("s", NOW)
    assert not await schedules.delete("s", NOW)
    assert [entry.key async for entry in counted.list("")] == []
