"""What a page of a list holds, beside a look at every record; and what it asks of the store."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks.listing_rows import Layout, Life, life
from durablegraph.model.records import RunFailure, RunRecord, RunRequest
from durablegraph.model.status import RunStatus, ThreadStatus
from durablegraph.storage import lifecycle
from durablegraph.storage.indexes import Filter, Index
from durablegraph.storage.indexes.filters import ALL
from durablegraph.storage.indexes.kinds import RUNS, THREADS
from durablegraph.storage.keys import run_key
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.runs import RunStore
from tests.support.stores import CountingStore, Kind

from .listings import leaf, newest_first, records

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEAMS = ("blue", "Ünïcödé 🦆", "", "blue ")


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 -- the same data in every run


def run(number: int, chance: random.Random, **members: Any) -> RunRecord:
    at = NOW + timedelta(microseconds=500 * number)  # two in each millisecond
    metadata = {"team": chance.choice(TEAMS), "n": number % 5, "ok": number % 2 == 0, "none": None, "list": [1]}
    facts = {
        "run_id": f"{chance.getrandbits(64):016x}",
        "graph": chance.choice(["g", "a graph/with: signs", "rare"] + ["h"] * 30),
        "thread_id": chance.choice(["t", "t:1", "x" * 200]),
        "status": chance.choice(list(RunStatus)),
        "metadata": metadata,
    }
    return RunRecord(created_at=at, updated_at=at, **{**facts, **members})


async def stored(found: list[RunRecord]) -> CountingStore:
    store, layout = CountingStore(MemoryObjectStore()), Layout()
    index = Index(store, RUNS)
    for record in found:
        request = RunRequest(run_id=record.run_id, graph=record.graph, thread_id="t", created_at=NOW)
        lived = life(1, 1, dice(1))
        for key, data, note in layout.objects_of(Life(request, record, lived.thread, None)):
            if key.startswith(("runs/", "index/runs/", "live/")):
                await store.put(key, data, note=note)
        assert index.note(record)
    store.start_anew()
    return store


FILTERS = [
    Filter(),
    *(Filter(status=status) for status in RunStatus),
    Filter(graph="rare"),
    Filter(graph="a graph/with: signs"),
    Filter(graph="never"),
    Filter(thread_id="x" * 200),
    *(Filter(metadata=(("team", team),)) for team in TEAMS),
    Filter(metadata=(("n", "3"),)),
    Filter(metadata=(("ok", "true"),)),
    Filter(metadata=(("none", "null"),)),
    Filter(metadata=(("team", "blue"), ("n", "3"), ("ok", "false"))),
    Filter(graph="rare", status="completed"),
    Filter(graph="h", status="completed", thread_id="t"),
    Filter(graph="rare", status="failed", metadata=(("team", "blue"), ("ok", "true"))),
    Filter(created_after=NOW + timedelta(milliseconds=20)),
    Filter(created_before=NOW + timedelta(microseconds=20_500)),
    Filter(created_after=NOW + timedelta(microseconds=10_500), created_before=NOW + timedelta(microseconds=30_500)),
    Filter(status="failed", created_after=NOW + timedelta(milliseconds=50), created_before=NOW + timedelta(seconds=1)),
    Filter(created_before=datetime(1901, 1, 1, tzinfo=UTC)),
    Filter(created_after=datetime(9000, 1, 1, tzinfo=UTC)),
    Filter(created_after=datetime(1901, 1, 1, tzinfo=UTC), created_before=datetime(9000, 1, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_the_pages_of_every_filter_together_are_what_a_look_at_every_record_gives(limit: int) -> None:
    chance = dice(7)
    store = await stored([run(number, chance) for number in range(300)])
    every = await records(store, RUNS)
    assert len(every) == 300
    for wanted in FILTERS:
        found = await leaf(RunStore(store).search, wanted, limit)
        assert found == [RUNS.brief(record) for record in every if wanted.holds(record)], wanted


def requests_for(wanted: Filter) -> int:
    """The lists of a page: those of all but what completed, of what completed, of what is at work, or of facets."""
    if wanted.status in RUNS.at_work:
        return 2
    if wanted.facets() == [ALL]:
        return 3
    return min(len(wanted.facets()) + (wanted.status not in RUNS.ends), 3)


async def test_a_page_is_at_most_three_requests_however_many_things_are_asked_for() -> None:
    chance = dice(3)
    store = await stored([run(number, chance) for number in range(2000)])
    for wanted in FILTERS:
        store.start_anew()
        await RunStore(store).search(wanted, limit=20)
        asked = store.start_anew().requests
        assert asked == {Kind.LIST: requests_for(wanted)}, wanted


async def test_a_rare_facet_is_not_waited_for_by_reading_a_frequent_one() -> None:
    chance = dice(5)
    found = [run(number, chance, graph="g", status=RunStatus.COMPLETED) for number in range(3000)]
    found[17] = found[17].model_copy(update={"metadata": {"team": "one"}})
    store = await stored(found)
    listed = 0
    plain = store.inner.list

    async def counted(prefix: str, **options: Any) -> Any:
        nonlocal listed
        async for entry in plain(prefix, **options):
            listed += 1
            yield entry

    store.inner.list = counted  # type: ignore[method-assign, assignment] -- counts what it lists
    wanted = Filter(graph="g", status="completed", metadata=(("team", "one"),))
    page = await RunStore(store).search(wanted, limit=20)
    assert [record.run_id for record in page.records] == [found[17].run_id]
    assert page.next is None
    assert listed < 1100


async def test_two_frequent_things_that_never_meet_give_empty_pages_that_lead_to_the_end() -> None:
    chance = dice(9)
    kinds = [("g", RunStatus.COMPLETED), ("h", RunStatus.FAILED)]
    found = []
    for number in range(9000):
        graph, status = kinds[number % 2]
        found.append(run(number, chance, graph=graph, status=status))
    found[0] = found[0].model_copy(update={"status": RunStatus.FAILED})
    store = await stored(found)
    sizes, seen, after = [], [], None
    while True:
        page = await RunStore(store).search(Filter(graph="g", status="failed"), after=after, limit=20)
        sizes.append(len(page.records))
        seen += page.records
        if (after := page.next) is None:
            break
    assert [record.run_id for record in seen] == [found[0].run_id]
    assert sizes[:8] == [0] * 8
    assert len(sizes) <= 12


async def test_with_more_at_work_than_one_request_tells_pages_are_short_and_lead_to_the_end() -> None:
    chance = dice(19)
    found = [run(number, chance, graph="h", status=RunStatus.RUNNING) for number in range(5200)]
    old = run(-5, chance, graph="rare", status=RunStatus.COMPLETED)
    store = await stored([*found, old])
    first = await RunStore(store).search(Filter(graph="rare"), limit=20)
    assert first.records == []
    assert first.next is not None
    assert [one.identity for one in await leaf(RunStore(store).search, Filter(graph="rare"), 20)] == [old.run_id]


async def test_a_small_request_is_in_the_record_and_a_large_one_beside_it() -> None:
    store = CountingStore(MemoryObjectStore())
    for run_id, size in (("small", 10), ("large", 5000)):
        made = run(1, dice(1), run_id=run_id)
        asked = RunRequest(run_id=run_id, graph="g", thread_id="t", input="x" * size, created_at=NOW)
        assert await RunStore(store).create(asked, made)
        store.start_anew()
        assert await RunStore(store).request(run_id) == asked
        assert store.start_anew().requests == {Kind.READ: 1 if run_id == "small" else 2}
    assert [entry.key async for entry in store.list("runs/") if entry.key.endswith("/request")] == [
        run_key("large", "request")
    ]
    page = await RunStore(store).search(Filter(), limit=5)
    assert [one.request for one in page.records] == [None, None]


async def test_pages_stay_where_they_are_while_new_runs_arrive() -> None:
    chance = dice(11)
    old = [run(number, chance) for number in range(50)]
    store = await stored(old)
    runs, seen, after, number = RunStore(store), [], None, 1000
    while True:
        page = await runs.search(Filter(), after=after, limit=9)
        seen += [record.run_id for record in page.records]
        if (after := page.next) is None:
            break
        new = run(number, chance)
        request = RunRequest(run_id=new.run_id, graph=new.graph, thread_id=new.thread_id, created_at=new.created_at)
        assert await runs.create(request, new.model_copy(update={"status": RunStatus.PENDING}))
        number += 1
    assert seen == [record.run_id for record in newest_first(old)]


async def test_what_is_too_long_for_a_note_is_read_from_the_record() -> None:
    chance = dice(13)
    long = {"team": "blue", "story": "ü" * 3000}
    found = [run(number, chance, metadata=long, status=RunStatus.COMPLETED) for number in range(30)]
    store = await stored(found)
    wanted = Filter(metadata=(("story", "ü" * 3000),))
    page = await RunStore(store).search(wanted, limit=5)
    assert page.records == newest_first(found)[:5]
    assert store.start_anew().requests == {Kind.LIST: 2, Kind.READ: 6}
    for entry_facet in ("graph/g", "status/completed"):
        async for _, note in Index(store, RUNS).entries(entry_facet, None, None):
            assert note is not None
            assert len(note.encode()) <= 2048
    await RunStore(store).delete(found[-1])
    assert found[-1].run_id not in {one.run_id for one in (await RunStore(store).search(wanted, limit=30)).records}


async def test_a_list_tells_the_beginning_of_a_long_error() -> None:
    failure = RunFailure(type="ValueError", message="m" * 1999, node="n")
    store = await stored([run(1, dice(1), error=failure, status=RunStatus.FAILED)])
    page = await RunStore(store).search(Filter(status="failed"), limit=5)
    assert page.records[0].error == RunFailure(type="ValueError", message="m" * 500 + "…", node="n")
    assert store.start_anew().requests == {Kind.LIST: 1}


async def test_the_runs_of_a_thread_come_newest_first() -> None:
    chance = dice(17)
    found = [run(number, chance) for number in range(60)]
    runs = RunStore(await stored(found))
    for thread in ("t", "t:1", "x" * 200, "none"):
        told = [run_id async for run_id in runs.of_thread(thread)]
        assert told == [record.run_id for record in newest_first(found) if record.thread_id == thread]


@pytest.mark.parametrize("ends", [RunStatus.COMPLETED, RunStatus.FAILED, None])
async def test_the_rows_that_the_benchmark_loads_are_those_that_the_product_stores(ends: RunStatus | None) -> None:
    store, layout = MemoryObjectStore(), Layout()
    runs, made = RunStore(store), life(5, 100, dice(1))
    fresh = made.record.model_copy(
        update={"status": RunStatus.PENDING, "step": None, "checkpoint": None, "updated_at": NOW, "error": None}
    )
    assert await runs.create(made.request, fresh)
    await lifecycle.claim(runs, fresh, NOW)
    await lifecycle.begin(runs, fresh, NOW)
    if ends is RunStatus.COMPLETED:
        await runs.put_output(fresh.run_id, {"answer": 42})
    if ends is not None:
        await lifecycle.end(runs, fresh, ends, NOW)
    record, thread = await runs.load(fresh.run_id), await runs.thread(fresh.thread_id)
    assert record is not None
    assert thread is not None
    output = b'{"answer": 42}' if ends is RunStatus.COMPLETED else None
    told = {
        key: (data, note)
        for key, data, note in layout.objects_of(Life(made.request, record.value, thread.value, output))
    }
    notes = {entry.key: entry.note async for entry in store.list("", notes=True)}
    objects = {key: await store.get(key) for key in notes}
    assert told == {key: (found.data, notes[key]) for key, found in objects.items() if found is not None}


async def test_every_status_of_a_thread_can_be_asked_for() -> None:
    assert set(THREADS.statuses) == set(ThreadStatus)
    assert {status for status in RUNS.statuses if status in RUNS.live} == {"pending", "running", "interrupted"}
