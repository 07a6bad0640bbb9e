"""What is due by its age goes, in slices that any worker may do."""

import dataclasses
from datetime import timedelta

import pytest

from durablegraph.model.records import ThreadRecord
from durablegraph.settings import Settings
from durablegraph.storage.keys import run_key
from durablegraph.storage.retention import Policy, Span, retain, survey
from durablegraph.storage.retention.slices import ROUND, STATE
from durablegraph.storage.runs import RunStore
from tests.conformance.storage.checkpoints.savers import TINY, put
from tests.support.retaining import START, Place
from tests.support.stores import CountingStore, FaultStore, SimulatedCrash, crash
from tests.unit.retention.test_erasing import a_run


async def runs_of(place):
    return [key.split("/")[2] for key in await place.keys("runs/") if key.endswith("/record")]


async def test_by_default_nothing_goes_but_old_idempotency_keys():
    place = Place()
    await a_run(place.objects, "t", "run")
    await put(place.saver(), "t", {"n": 1})
    before = set(await place.keys())
    place.later(days=3650)
    report = await place.sweep()
    assert dict(report.finds) == {"idempotency keys": 1}
    gone = before - set(await place.keys())
    assert {key.partition("/")[0] for key in gone} == {"idempotency"}
    assert len(gone) == 1


async def test_ended_runs_go_when_they_are_due_with_all_that_is_stored_about_them():
    place = Place()
    await a_run(place.objects, "t", "old")
    place.later(days=20)
    await a_run(place.objects, "t", "fresh", ends=False)
    place.later(days=9, hours=23)
    assert not (await place.sweep(runs=timedelta(days=30))).finds["runs"]
    place.later(hours=2)
    told = await survey(place.retention(runs=timedelta(days=30)), place.now)
    assert told.finds["runs"] == 1
    assert told.size["runs"] > 0
    assert (await place.sweep(runs=timedelta(days=30))).finds == told.finds
    assert await runs_of(place) == ["fresh"]
    assert place.purged == ["old"]
    assert not [key for key in await place.keys() if key.endswith("-old")]


async def test_a_run_that_waits_is_kept_however_long():
    place = Place()
    await a_run(place.objects, "t", "waits", ends=False)
    place.later(days=400)
    await place.sweep(runs=timedelta(days=1), threads=timedelta(days=1))
    assert await runs_of(place) == ["waits"]
    assert (await RunStore(place.objects).thread("t")).value.active_run == "waits"


async def test_idle_threads_are_erased_and_busy_ones_are_not():
    place = Place()
    await a_run(place.objects, "idle", "one")
    await a_run(place.objects, "busy", "two", ends=False)
    await put(place.saver(), "idle", {"n": 1})
    await RunStore(place.objects).create_thread(ThreadRecord(thread_id="unused", created_at=START, updated_at=START))
    place.later(days=8)
    await RunStore(place.objects).create_thread(
        ThreadRecord(thread_id="young", created_at=place.now, updated_at=place.now)
    )
    report = await place.sweep(threads=timedelta(days=7))
    assert report.finds["threads"] == 2
    assert sorted([key.rpartition("/")[2] for key in await place.keys("threads/")]) == ["busy", "young"]
    assert await runs_of(place) == ["two"]
    assert not await place.keys("h/")


async def test_a_thread_that_is_used_between_the_look_and_the_removal_stays():
    place = Place()
    await a_run(place.objects, "t", "one")
    place.later(days=8)
    retention = place.retention(threads=timedelta(days=7))
    used = []

    class Used(FaultStore):
        async def put(self, key, data, **options):
            if key.startswith("threads/") and not used:
                used.append(key)
                await a_run(place.objects, "t", "two", ends=False)
            return await super().put(key, data, **options)

    await retain(place.retention(Used(place.objects, at=0), threads=timedelta(days=7)), place.now)
    assert used
    assert sorted(await runs_of(place)) == ["one", "two"]
    assert (await RunStore(place.objects).thread("t")).value.active_run == "two"
    assert retention.policy.threads == timedelta(days=7)


async def test_threads_that_were_long_before_the_setting_are_thinned_out():
    place = Place()
    await a_run(place.objects, "t", "run")
    for n in range(30):
        await put(place.saver(), "t", {"n": n})
    assert (await place.sweep(keep_last=4)).finds["threads with old checkpoints"] == 1
    config = {"configurable": {"thread_id": "t"}}
    assert len([one async for one in place.saver().alist(config)]) == 4
    place.later(days=3)
    assert not (await place.sweep(keep_last=4)).finds["threads with old checkpoints"]  # not looked at again


async def test_a_slice_stops_at_its_limit_and_the_next_goes_on_there():
    place = Place()
    for number in range(30):
        await a_run(place.objects, f"t{number}", f"run{number}")
    place.later(days=40)
    calls, span = 0, Span(keys=20, seconds=1e9)
    while True:
        report = await retain(place.retention(runs=timedelta(days=30)), place.now, span)
        calls += 1
        assert report is not None
        assert report.keys <= 20 + 10  # one run has ten objects
        if report.complete:
            break
    assert calls > 5
    assert await runs_of(place) == []


async def test_a_slice_stops_when_its_time_is_up():
    place = Place()
    for number in range(5):
        await a_run(place.objects, f"t{number}", f"run{number}")
    ticks = iter(range(1000))
    report = await retain(place.retention(), place.now, Span(seconds=3, clock=lambda: next(ticks)))
    assert report is not None
    assert not report.complete
    assert report.keys < 40


async def test_one_call_at_a_time_does_a_slice_and_a_dead_one_is_followed_after_a_while():
    place = Place()
    for number in range(5):
        await a_run(place.objects, f"t{number}", f"run{number}")
    store = FaultStore(place.objects, at=5, fault=crash)
    with pytest.raises(SimulatedCrash):
        await retain(place.retention(store), place.now)
    assert await retain(place.retention(), place.now) is None
    place.later(minutes=6)
    report = await retain(place.retention(), place.now)
    assert report is not None
    assert report.complete


async def test_a_call_that_was_overtaken_does_not_say_how_far_it_got():
    place = Place()
    await a_run(place.objects, "t", "run")
    overtaken = []

    class Slow(FaultStore):
        async def list(self, prefix, **options):
            if prefix == "r/" and not overtaken:
                place.later(hours=1)
                overtaken.append(await retain(place.retention(), place.now, Span(keys=1)))
            async for entry in super().list(prefix, **options):
                yield entry

    report = await retain(place.retention(Slow(place.objects, at=0)), place.now)
    assert report is not None
    assert not report.complete
    assert overtaken[0] is not None
    assert b'"stage"' in (await place.objects.get(STATE)).data


async def test_a_round_begins_once_a_day():
    place = Place()
    assert (await retain(place.retention(), place.now)).complete
    place.later(hours=1)
    assert await retain(place.retention(), place.now) is None
    place.now = START + ROUND
    assert await retain(place.retention(), place.now) is not None


async def test_a_dry_run_writes_nothing():
    place = Place()
    await a_run(place.objects, "t", "run")
    place.later(days=100)
    counting = CountingStore(place.objects)
    report = await survey(place.retention(counting, runs=timedelta(days=30), threads=timedelta(days=30)), place.now)
    assert report.finds.total() == 3
    assert {kind.value for kind in counting.tally.requests} <= {"read", "list"}


def test_the_settings_make_the_policy():
    assert Policy.of(Settings()) == Policy()
    made = Settings(keep_runs_days=30, keep_threads_days=0.5, keep_last=7, keep_idempotency_days=1)
    assert Policy.of(made) == Policy(
        runs=timedelta(days=30), threads=timedelta(hours=12), keep_last=7, claims=timedelta(days=1)
    )


async def test_what_is_damaged_stays_and_the_sweep_goes_on_behind_it(caplog):
    place = Place()
    for n in range(3):
        await a_run(place.objects, f"thread-{n}", f"run-{n}")
    async with place.saver(limits=TINY) as saver:
        for n in range(4):
            await put(saver, "thread-1", {"b": b"%d" % n * 300})
    damaged = [run_key("run-0", "record"), *await place.keys("threads/"), *await place.keys("h/")]
    for key in damaged:
        await place.objects.put(key, b"damaged")
    place.later(days=40)
    report = await place.sweep(runs=timedelta(days=30), threads=timedelta(days=30))
    assert report.finds["runs"] == 2
    assert set(damaged) <= set(await place.keys())
    assert sum("cannot be read" in line for line in caplog.messages) == len(damaged)


async def test_a_removal_that_fails_is_left_to_a_later_round(caplog):
    place = Place()
    for n in range(3):
        await a_run(place.objects, f"thread-{n}", f"run-{n}")
    place.later(days=40)
    whole = place.retention(runs=timedelta(days=30))

    async def purge(run_id):
        if run_id == "run-1":
            raise OSError("the task hub is away")

    report = await retain(dataclasses.replace(whole, purge=purge), place.now)
    assert report is not None
    assert report.complete
    assert report.finds["runs"] == 2
    assert "could not be removed" in caplog.text
    place.later(days=1)
    assert (await place.sweep(runs=timedelta(days=30))).finds["runs"] == 1


async def test_a_setting_that_comes_later_reaches_what_was_looked_at_before():
    place = Place()
    async with place.saver() as saver:
        for n in range(8):
            await put(saver, "t", {"n": n})
    await RunStore(place.objects).create_thread(ThreadRecord(thread_id="t", created_at=START, updated_at=START))
    for _ in range(3):
        place.later(days=2)
        assert not (await place.sweep()).finds
    place.later(days=2)
    assert (await place.sweep(keep_last=3)).finds["threads with old checkpoints"] == 1
    place.later(days=2)
    assert not (await place.sweep(keep_last=3)).finds


async def test_a_shorter_grace_reaches_what_was_too_young_before():
    place = Place()
    async with place.saver(limits=TINY) as saver:
        for n in range(8):
            await put(saver, "t", {"b": b"%d" % n * 300})
    log = (await place.keys("h/"))[0][2:]
    await place.objects.put(f"d/{log}/x/{'0' * 24}", b"stray")
    place.later(days=3)
    assert not (await place.sweep(grace=timedelta(days=9))).finds
    place.later(days=2)
    assert (await place.sweep(grace=timedelta(hours=1))).finds["objects no checkpoint needs"] == 1


async def test_a_sweep_lists_the_idempotency_keys_once_however_many_threads_are_due():
    place = Place()
    for n in range(5):
        await a_run(place.objects, f"thread-{n}", f"run-{n}")
    place.later(days=40)
    listed = []

    class Watched(CountingStore):
        def list(self, prefix, **options):
            listed.append(prefix)
            return super().list(prefix, **options)

    report = await place.sweep(Watched(place.objects), threads=timedelta(days=30))
    assert report.finds["threads"] == 5
    assert listed.count("idempotency/") == 1
    assert not await place.keys("idempotency/")
