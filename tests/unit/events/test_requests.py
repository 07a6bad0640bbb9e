"""What appending and reading ask of the store, and what becomes of them when it fails."""

from collections import Counter
from typing import Any

import pytest

from durablegraph.errors import TransientError
from durablegraph.storage.events import Event, EventLogs, Limits
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.objects import PreconditionFailed
from tests.support.events import everything, first_kept, told
from tests.support.stores import CountingStore, FaultStore, Kind, SimulatedCrash, When, crash

SMALL = Limits(events=4, size=4000, kept=3, inline=200)
CREATED = Event("created", "metadata", {})


async def no_pause(_: float) -> None:
    return


def logs_on(store: Any, limits: Limits = SMALL) -> EventLogs:
    return EventLogs(store, limits, pause=no_pause)


async def test_an_append_of_the_last_writer_is_one_request_also_where_a_segment_begins() -> None:
    store = CountingStore(MemoryObjectStore())
    logs = logs_on(store)
    await logs.begin("run", CREATED)
    assert store.start_anew().requests == Counter({Kind.WRITE: 1})
    for number in range(8):
        await logs.append("run", [told(number)])
        assert store.start_anew().requests == Counter({Kind.WRITE: 1}), number


async def test_an_append_that_adds_nothing_asks_nothing() -> None:
    store = CountingStore(MemoryObjectStore())
    logs = logs_on(store)
    await logs.append("run", [told(1), told(2)])
    store.start_anew()
    await logs.append("run", [told(1), told(2)])
    await logs.append("run", [])
    assert store.tally.total == 0


async def test_a_writer_that_knows_nothing_looks_and_writes() -> None:
    store = CountingStore(MemoryObjectStore())
    await logs_on(store).append("run", [told(1)])
    assert store.start_anew().requests == Counter({Kind.LIST: 1, Kind.WRITE: 1})
    await logs_on(store).append("run", [told(2)])
    assert store.tally.requests == Counter({Kind.LIST: 1, Kind.READ: 1, Kind.WRITE: 1})


async def test_any_offset_is_read_in_two_requests_and_the_next_look_is_one() -> None:
    store = CountingStore(MemoryObjectStore())
    writer = logs_on(store, Limits(events=4, kept=100))
    for number in range(40):
        await writer.append("run", [told(number)])
    for after in (0, 3, 4, 17, 38, 39):
        reader = logs_on(store)
        store.start_anew()
        page = await reader.read("run", after)
        assert [page.events[0][0], store.tally.total] == [after + 1, 2], after
    store.start_anew()
    assert (await reader.read("run", 40)).events == ()
    assert store.tally.total <= 2
    await writer.append("run", [told(40)])
    await reader.read("run", 40)
    store.start_anew()
    assert (await reader.read("run", 41)).events == ()
    assert store.tally.requests == Counter({Kind.READ: 1})


async def test_retention_asks_once_for_each_segment_that_begins() -> None:
    store = CountingStore(MemoryObjectStore())
    logs = logs_on(store)
    for number in range(100):
        await logs.append("run", [told(number)])
    keys = [entry.key async for entry in store.inner.list("runs/")]
    assert len(keys) == SMALL.kept
    assert await first_kept(logs) == 100 - 3 * 4 + 1
    assert store.tally.requests[Kind.LIST] < 30


@pytest.mark.parametrize("when", When)
async def test_whatever_request_fails_an_append_that_is_repeated_adds_its_events_once(when: When) -> None:
    at = 0
    while True:
        at += 1
        memory = MemoryObjectStore()
        store = FaultStore(memory, at=at, when=when)
        logs = logs_on(store)
        for number in range(30):
            large = {"text": "x" * 300, "n": number} if number % 7 == 0 else None
            for _ in range(2):
                try:
                    await logs.append("run", [told(number, data=large), told(1000 + number)])
                except TransientError:
                    continue
                break
        found = await everything(logs_on(memory), after=await first_kept(logs_on(memory)) - 1)
        kept = [event.id for _, event in found]
        expected = [f"w-{number}" for each in range(30) for number in (each, 1000 + each)]
        assert kept == expected[-len(kept) :]
        assert len(kept) >= 2 * SMALL.events
        assert all(event.data["text"] == "x" * 300 for _, event in found if "text" in event.data)
        if store.seen < at:
            return


@pytest.mark.parametrize("when", When)
async def test_a_writer_that_dies_at_any_request_leaves_a_log_that_another_goes_on_with(when: When) -> None:
    at = 0
    while True:
        at += 1
        memory = MemoryObjectStore()
        store = FaultStore(memory, at=at, when=when, fault=crash)
        acknowledged = []
        try:
            for number in range(30):
                await logs_on(store).append("run", [told(number)])
                acknowledged.append(f"w-{number}")
        except SimulatedCrash:
            pass
        next_writer = logs_on(memory)
        for number in range(len(acknowledged), 34):
            await next_writer.append("run", [told(number)])
        found = await everything(next_writer, after=await first_kept(next_writer) - 1)
        kept = [event.id for _, event in found]
        assert kept == [f"w-{number}" for number in range(34)][-len(kept) :]
        assert len([entry async for entry in memory.list("runs/")]) <= SMALL.kept + 1
        if store.seen < at:
            return


async def test_what_a_removed_segment_kept_apart_goes_with_it() -> None:
    memory = MemoryObjectStore()
    logs = logs_on(memory)
    for number in range(40):
        await logs.append("run", [told(number, data={"text": "x" * 300})])
    parts = [entry.key async for entry in memory.list("runs/") if "/parts/" in entry.key]
    assert len(parts) == len(await everything(logs, after=await first_kept(logs) - 1)) <= 12


async def test_a_writer_that_is_never_the_first_gives_up_for_now() -> None:
    class Crowded(MemoryObjectStore):
        async def put(self, key: str, data: bytes, **conditions: Any) -> str:
            raise PreconditionFailed(key)

    with pytest.raises(TransientError, match="by others"):
        await logs_on(Crowded()).append("run", [told(1)])
