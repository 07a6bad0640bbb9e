"""The stores that tests put around others do what tests conclude from."""

import pytest

from durablegraph.errors import TransientError
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.objects import PreconditionFailed
from tests.support.stores import WRITING, CountingStore, FaultStore, Kind, SimulatedCrash, When, crash


async def test_requests_are_counted_by_kind_with_their_bytes() -> None:
    store = CountingStore(MemoryObjectStore())
    await store.put("a", b"123")
    with pytest.raises(PreconditionFailed):
        await store.put("a", b"45", if_absent=True)
    await store.get("a")
    await store.get("b")
    await store.delete_many([f"k/{number}" for number in range(257)])
    assert [entry.key async for entry in store.list("")] == ["a"]
    tally = store.start_anew()
    assert tally.requests == {Kind.WRITE: 2, Kind.READ: 2, Kind.DELETE: 2, Kind.LIST: 1}
    assert (tally.total, tally.bytes_written, tally.bytes_read) == (7, 5, 3)
    assert store.tally.total == 0


async def test_a_long_listing_is_counted_by_pages() -> None:
    store = CountingStore(MemoryObjectStore())
    for number in range(10_001):
        await store.put(f"k/{number:05d}", b"")
    assert len([entry async for entry in store.list("k/")]) == 10_001
    assert store.tally.requests[Kind.LIST] == 3


@pytest.mark.parametrize(("when", "written"), [(When.BEFORE, False), (When.AFTER, True)])
async def test_a_fault_comes_once_at_its_request(when: When, written: bool) -> None:
    store = FaultStore(MemoryObjectStore(), at=2, when=when)
    await store.put("a", b"")
    with pytest.raises(TransientError):
        await store.put("b", b"")
    assert (await store.inner.get("b") is not None) is written
    await store.put("c", b"")
    assert store.seen == 3


async def test_only_the_kinds_named_are_counted_to_the_fault() -> None:
    store = FaultStore(MemoryObjectStore(), at=1, kinds=WRITING)
    await store.get("a")
    assert [entry async for entry in store.list("")] == []
    with pytest.raises(TransientError):
        await store.delete("a")


async def test_after_a_crash_no_request_goes_through() -> None:
    store = FaultStore(MemoryObjectStore(), at=1, when=When.AFTER, fault=crash)
    with pytest.raises(SimulatedCrash):
        await store.put("a", b"")
    for attempt in (store.get("a"), store.put("b", b""), store.delete("a"), store.delete_many(["a"])):
        with pytest.raises(SimulatedCrash):
            await attempt
    assert await store.inner.get("a") is not None
    assert await store.inner.get("b") is None


async def test_a_store_without_a_fault_tells_how_many_points_there_are() -> None:
    store = FaultStore(MemoryObjectStore(), at=0)
    await store.put("a", b"")
    await store.get("a")
    assert store.seen == 2
