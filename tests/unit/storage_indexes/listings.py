"""What lists must hold, told by reading every record."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from durablegraph.model.records import Listed, RunRecord, ThreadRecord
from durablegraph.storage.indexes import Filter, Index, Kind, Page
from durablegraph.storage.indexes.filters import text_of
from durablegraph.storage.indexes.kinds import RUNS, THREADS
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.runs import RunStore

_MS = timedelta(milliseconds=1)
Search = Callable[..., Awaitable[Page[Any]]]


async def records(store: ObjectStore, kind: Kind[Any]) -> list[Any]:
    """Every record of a kind, newest first."""
    found = []
    async for entry in store.list(f"{kind.name}/"):
        if kind is THREADS or entry.key.endswith("/record"):
            stored = await store.get(entry.key)
            assert stored is not None
            found.append(kind.model.model_validate_json(stored.data))
    return newest_first(found)


def newest_first(found: list[Any]) -> list[Any]:
    """The order of lists: by the millisecond, then by id."""
    return sorted(found, key=lambda one: (-((one.created_at - datetime(2000, 1, 1, tzinfo=UTC)) // _MS), one.identity))


async def leaf(search: Search, wanted: Filter, limit: int = 7) -> list[Listed]:
    """All pages of a list."""
    page = await search(wanted, limit=limit)
    found = list(page.records)
    while page.next is not None:
        page = await search(wanted, after=page.next, limit=limit)
        assert len(page.records) <= limit
        found += page.records
    return found


def filters(record: Listed) -> list[Filter]:
    """Each way to ask for this record."""
    texts = {name: text_of(value) for name, value in record.metadata.items()}
    pairs = tuple((name, text) for name, text in texts.items() if text is not None)
    ways = [Filter(), Filter(status=record.status), Filter(graph=record.graph), Filter(metadata=pairs)]
    ways += [Filter(status=record.status, graph=record.graph), Filter(status=record.status, metadata=pairs)]
    return [*ways, Filter(thread_id=record.thread_id)] if isinstance(record, RunRecord) else ways


def expected_keys(index: Index[Any], found: list[Any]) -> set[str]:
    """The entries that records want."""
    return {key for record in found for key in index.own(record)}


def outdated_keys(index: Index[Any], found: list[Any]) -> set[str]:
    """The entries that may stand besides, from before these records were at work; none of them is a mark."""
    at_work = [record for record in found if record.status in index.kind.at_work]
    return {key for record in at_work for key in index.others(record) if not key.startswith("live/")}


async def assert_lists_tell_the_records(store: ObjectStore) -> None:
    """Every list, through its search, is what a look at all records gives; and nothing else is stored of lists."""
    runs = RunStore(store)
    wanted_keys, outdated = set(), set()
    for kind, search in ((RUNS, runs.search), (THREADS, runs.search_threads)):
        every = await records(store, kind)
        for wanted in {way for record in every for way in filters(record)} | {
            Filter(status=status) for status in kind.statuses
        }:
            found = await leaf(search, wanted)
            assert found == [kind.brief(record) for record in every if wanted.holds(record)], wanted
        wanted_keys |= expected_keys(Index(store, kind), every)
        outdated |= outdated_keys(Index(store, kind), every)
    stored = [entry async for entry in store.list("index/", notes=True)]
    stored += [entry async for entry in store.list("live/", notes=True)]
    assert {entry.key for entry in stored} - outdated == wanted_keys
    assert not [entry for entry in stored if entry.note is None or entry.note.startswith("?")]


async def assert_threads_follow_their_runs(store: ObjectStore) -> None:
    """Row by row: what a thread shows is what its active run does, or how its last run ended."""
    runs = {run.run_id: run for run in await records(store, RUNS)}
    for thread in await records(store, THREADS):
        assert isinstance(thread, ThreadRecord)
        run = runs.get(thread.active_run or thread.last_run or "")
        match run.status.value if run else "completed":
            case "pending" | "running":
                assert thread.status == "busy"
            case "interrupted":
                assert thread.status == "interrupted"
            case "failed" | "timed_out":
                assert thread.status == "error"
            case _:
                assert thread.status == "idle"
