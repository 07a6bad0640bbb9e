"""Ticks: one run for each due time, whatever dies or comes twice; skips, failures, pauses; what a tick costs."""

import asyncio
from datetime import timedelta

import pytest

from durablegraph.api.firing import run_id_of
from durablegraph.model.records import RunRequest
from durablegraph.model.status import RunStatus
from durablegraph.storage import lifecycle
from durablegraph.storage.indexes import Filter
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.runs import RunStore
from durablegraph.storage.schedules import ScheduleStore
from durablegraph.storage.schedules.turns import MOST_FAILURES
from tests.support.stores import CountingStore, FaultStore, Kind, SimulatedCrash, When, crash

from .schedules import NOW, Hub, assert_stored_is_what_records_ask_for, at, create, current, keys, record, runs, tick

NINE, TEN = "2026-01-05T09:00:00+00:00", "2026-01-05T10:00:00+00:00"


@pytest.fixture
def objects():
    return MemoryObjectStore()


async def test_a_schedule_starts_a_run_when_it_is_due_and_not_before(objects):
    await create(objects)
    hub = Hub()
    assert await tick(objects, "2026-01-05T08:59:59Z", hub) == {}
    assert await tick(objects, "2026-01-05T09:00:01Z", hub) == {"started": 1}
    assert await tick(objects, "2026-01-05T09:01:01Z", hub) == {}
    assert await tick(objects, "2026-01-05T10:00:01Z", hub) == {"started": 1}
    assert await runs(objects) == [NINE, TEN]
    assert hub.started == [run_id_of("s", at(NINE)), run_id_of("s", at(TEN))]
    schedule = await current(objects)
    assert (schedule.last_run_id, schedule.last_run_at) == (hub.started[1], at(TEN))
    assert schedule.next_run_at == at("2026-01-05T11:00:00Z")
    await assert_stored_is_what_records_ask_for(objects)


async def test_a_run_has_the_input_a_thread_of_its_own_and_tells_its_schedule(objects):
    await create(objects)
    await tick(objects, NINE)
    request = await RunStore(objects).request(run_id_of("s", at(NINE)))
    assert request.input == {"out": [0]}
    assert request.thread_id == request.run_id
    assert request.metadata == {"schedule_id": "s"}
    assert request.config["configurable"] == {"schedule_id": "s", "scheduled_at": NINE}


async def test_a_tick_with_nothing_due_is_one_listing_however_many_schedules_there_are(objects):
    for number in range(30):
        await create(objects, f"s{number}")
    store = CountingStore(objects)
    assert await tick(store, "2026-01-05T08:59:00Z") == {}
    assert store.tally.requests == {Kind.LIST: 1}


async def test_two_workers_at_once_start_one_run(objects):
    await create(objects)
    await asyncio.gather(tick(objects, NINE), tick(objects, NINE), tick(objects, NINE))
    assert await runs(objects) == [NINE]
    await assert_stored_is_what_records_ask_for(objects)


async def test_only_what_is_due_is_started_in_slices(objects):
    for number in range(7):
        await create(objects, f"s{number}", next_run_at=at(NINE) + timedelta(minutes=number))
    assert await tick(objects, "2026-01-05T09:04:30Z", limit=2) == {"started": 5}
    assert await tick(objects, "2026-01-05T09:06:30Z", limit=2, seconds=0) == {"started": 2}


async def test_a_tick_whose_time_is_up_leaves_the_rest_to_the_next(objects):
    for number in range(5):
        await create(objects, f"s{number}")
    assert await tick(objects, NINE, limit=2, seconds=0) == {"started": 2}
    assert await tick(objects, NINE, limit=3, seconds=0) == {"started": 3}


async def test_of_all_times_that_were_missed_only_the_latest_gets_a_run(objects):
    await create(objects)
    assert await tick(objects, "2026-01-09T15:20:00Z") == {"started": 1}
    assert await runs(objects) == ["2026-01-09T15:00:00+00:00"]
    assert (await current(objects)).next_run_at == at("2026-01-09T16:00:00Z")
    await assert_stored_is_what_records_ask_for(objects)


async def test_a_schedule_that_catches_nothing_up_leaves_missed_times_out(objects):
    await create(objects, catch_up="none")
    assert await tick(objects, "2026-01-05T12:06:00Z") == {"left out": 1}
    assert await runs(objects) == []
    assert await tick(objects, "2026-01-05T13:04:00Z") == {"started": 1}
    assert await runs(objects) == ["2026-01-05T13:00:00+00:00"]
    await assert_stored_is_what_records_ask_for(objects)


async def test_a_single_time_and_an_end_end_the_schedule(objects):
    await create(objects, "once", cron=None, at=at(NINE))
    await create(objects, "until", end_time=at(TEN))
    assert await tick(objects, NINE) == {"started": 2}
    assert [(await current(objects, one)).status.value for one in ("once", "until")] == ["ended", "enabled"]
    assert await tick(objects, TEN) == {"started": 1}
    assert (await current(objects, "until")).status.value == "ended"
    assert await tick(objects, "2026-01-06T10:00:00Z") == {}
    found = await ScheduleStore(objects).search(Filter(status="ended"), limit=10)
    assert {one.schedule_id for one in found.records} == {"once", "until"}
    await assert_stored_is_what_records_ask_for(objects)


async def test_a_busy_thread_is_a_skip_with_its_reason_and_no_failure(objects):
    await create(objects, thread_id="case-7")
    assert await tick(objects, NINE) == {"started": 1}
    assert await tick(objects, TEN) == {"skipped": 1}
    schedule = await current(objects)
    assert (schedule.skipped, schedule.failures, schedule.status.value) == (1, 0, "enabled")
    assert schedule.reason.startswith(f"{TEN}: thread 'case-7' is busy with run '{run_id_of('s', at(NINE))}'")
    assert await runs(objects) == [NINE]
    await assert_stored_is_what_records_ask_for(objects)


async def test_failures_in_a_row_pause_the_schedule_and_say_why(objects):
    await create(objects, graph="gone")
    await objects_with_request_of(objects, "gone")
    for number in range(MOST_FAILURES):
        assert (await current(objects)).status.value == "enabled"
        assert await tick(objects, f"2026-01-05T{9 + number:02}:00:00Z") == {"failed": 1}
    schedule = await current(objects)
    assert (schedule.status.value, schedule.failures, schedule.next_run_at) == ("paused", MOST_FAILURES, None)
    assert "gone" in schedule.reason
    assert await tick(objects, "2026-01-06T10:00:00Z") == {}
    await assert_stored_is_what_records_ask_for(objects)


async def objects_with_request_of(objects, graph):
    store = ScheduleStore(objects)
    wanted = RunRequest(run_id="", graph=graph, thread_id="", created_at=NOW)
    await store.change("s", lambda one: one.model_copy(update={"request": "other"}), NOW, request=wanted)


async def test_a_run_that_could_be_started_ends_a_row_of_failures(objects):
    await create(objects, failures=4, reason="before")
    await tick(objects, NINE)
    schedule = await current(objects)
    assert (schedule.failures, schedule.reason) == (0, None)


async def test_a_task_hub_that_does_not_answer_is_no_failure_for_the_supervisor_starts_the_run(objects):
    await create(objects)
    assert await tick(objects, NINE, Hub(failing=OSError("hub is away"))) == {"started": 1}
    assert await runs(objects) == [NINE]


async def test_storage_that_fails_for_a_moment_loses_no_time():
    for number in range(2, await requests_of(fired) + 1):
        store = MemoryObjectStore()
        await create(store)
        first = await tick(FaultStore(store, at=number), NINE)
        assert sum(first.values()) == 1
        await tick(store, "2026-01-05T09:01:01Z")
        assert await runs(store) == [NINE], number
        await assert_stored_is_what_records_ask_for(store)


def points(seen):
    return [(number, when) for number in range(1, seen + 1) for when in When]


async def requests_of(work):
    """How many requests something makes of a store that holds one schedule."""
    objects = MemoryObjectStore()
    await create(objects)
    store = FaultStore(objects, at=0)
    await work(store)
    return store.seen


async def fired(store):
    await tick(store, NINE)


async def late(store):
    await tick(store, "2026-01-05T12:30:00Z")


async def test_a_death_at_any_request_of_a_tick_gives_one_run_for_each_due_time():
    seen = await requests_of(fired)
    assert seen > 10
    for number, when in points(seen):
        objects = MemoryObjectStore()
        await create(objects)
        with pytest.raises(SimulatedCrash):
            await tick(FaultStore(objects, at=number, when=when, fault=crash), NINE)
        await tick(objects, "2026-01-05T09:01:01Z")
        assert await runs(objects) == [NINE], (number, when)
        await assert_stored_is_what_records_ask_for(objects)
        for hour in (10, 11):
            await tick(objects, f"2026-01-05T{hour}:00:01Z")
        assert await runs(objects) == [NINE, TEN, "2026-01-05T11:00:00+00:00"], (number, when)


async def test_a_death_while_missed_times_are_caught_up_gives_one_run_for_the_latest():
    for number, when in points(await requests_of(late)):
        objects = MemoryObjectStore()
        await create(objects)
        with pytest.raises(SimulatedCrash):
            await tick(FaultStore(objects, at=number, when=when, fault=crash), "2026-01-05T12:30:00Z")
        for minute in (31, 32):
            await tick(objects, f"2026-01-05T12:{minute}:00Z")
        assert await runs(objects) == ["2026-01-05T12:00:00+00:00"], (number, when)
        await assert_stored_is_what_records_ask_for(objects)


async def test_a_run_that_began_before_a_death_is_kept_though_the_next_tick_comes_after_the_next_time():
    for number, when in points(await requests_of(fired)):
        objects = MemoryObjectStore()
        await create(objects)
        with pytest.raises(SimulatedCrash):
            await tick(FaultStore(objects, at=number, when=when, fault=crash), NINE)
        begun = await RunStore(objects).request(run_id_of("s", at(NINE))) is not None
        for minute in (30, 31, 32):
            await tick(objects, f"2026-01-05T12:{minute}:00Z")
        noon = "2026-01-05T12:00:00+00:00"
        assert await runs(objects) == ([NINE, noon] if begun else [noon]), (number, when)
        await assert_stored_is_what_records_ask_for(objects)


async def creating(store):
    await create(store, "other", metadata={"team": "red"})


async def changing(store):
    def change(one):
        told = {"metadata": {"team": "red"}, "status": "paused", "next_run_at": None, "request": "second"}
        return record(**{**one.model_dump(), **told})

    wanted = RunRequest(run_id="", graph="g", thread_id="", created_at=NOW)
    await ScheduleStore(store).change("s", change, NOW, request=wanted)


async def rescheduling(store):
    def change(one):
        return one.model_copy(update={"next_run_at": at("2026-01-05T08:45:00Z"), "cron": "45 8 * * *"})

    await ScheduleStore(store).change("s", change, NOW)


async def deleting(store):
    await ScheduleStore(store).delete("s", NOW)


@pytest.mark.parametrize("work", [creating, changing, rescheduling, deleting], ids=lambda work: work.__name__)
async def test_a_death_at_any_request_of_a_change_is_mended_by_the_tick_five_minutes_later(work):
    seen = await requests_of(work)
    assert seen >= 8
    for number, when in points(seen):
        objects = MemoryObjectStore()
        await create(objects)
        with pytest.raises(SimulatedCrash):
            await work(FaultStore(objects, at=number, when=when, fault=crash))
        await tick(objects, "2026-01-05T08:35:01Z")
        await assert_stored_is_what_records_ask_for(objects)
        found = await ScheduleStore(objects).search(Filter(), limit=10)
        assert len(found.records) == len([key for key in await keys(objects, "schedules/") if key.endswith("/record")])


class Between(CountingStore):
    """Somebody changes the schedule just before the `at`-th read or write of a tick."""

    def __init__(self, inner, at):
        super().__init__(inner)
        self.left = at

    async def get(self, key):
        await self._meanwhile()
        return await self.inner.get(key)

    async def put(self, key, data, **given):
        await self._meanwhile()
        return await self.inner.put(key, data, **given)

    async def _meanwhile(self):
        self.left -= 1
        if self.left == 0:
            told = {"metadata": {"changed": True}}
            await ScheduleStore(self.inner).change("s", lambda one: one.model_copy(update=told), at(NINE))


async def test_a_change_at_any_moment_of_a_tick_is_kept_and_loses_no_run():
    for number in range(1, await requests_of(fired)):
        objects = MemoryObjectStore()
        await create(objects)
        store = Between(objects, number)
        await tick(store, NINE)
        await tick(objects, "2026-01-05T09:01:00Z")
        assert await runs(objects) == [NINE], number
        schedule = await current(objects)
        assert schedule.metadata == ({"changed": True} if store.left <= 0 else {"team": "blue", "size": 3})
        assert schedule.next_run_at == at(TEN)
        await assert_stored_is_what_records_ask_for(objects)


async def test_a_schedule_that_is_deleted_while_its_run_is_started_leaves_nothing_but_the_run(objects):
    await create(objects)
    store = ScheduleStore(objects)

    class Deleting(Hub):
        async def start(self, run_id, ticket, *, new=False):
            await store.delete("s", at(NINE))

    await tick(objects, NINE, Deleting())
    assert await keys(objects, "schedules/") == set()
    assert await keys(objects, "index/schedules/") == set()
    assert await runs(objects) == [NINE]


async def test_a_worker_that_is_late_does_not_delete_the_run_that_another_one_started_and_that_has_ended(
    objects, monkeypatch
):
    await create(objects, thread_id="case-7")
    store, claim, run_id = RunStore(objects), lifecycle.claim, run_id_of("s", at(NINE))

    async def late(runs_, record, now):
        if record.run_id == run_id:
            await claim(runs_, record, now)
            await lifecycle.end(store, record, RunStatus.COMPLETED, now)
            other = record.model_copy(update={"run_id": "other"})
            await store.create(RunRequest(run_id="other", graph="g", thread_id="case-7", created_at=now), other)
            await claim(store, other, now)
        await claim(runs_, record, now)

    monkeypatch.setattr(lifecycle, "claim", late)
    hub = Hub()
    assert await tick(objects, NINE, hub) == {"started": 1}
    assert (await store.load(run_id)).value.status is RunStatus.COMPLETED
    assert hub.started == []
