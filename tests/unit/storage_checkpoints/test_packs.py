"""The pack is a shortcut: with it the latest state takes two requests, without it everything still reads the same."""

from typing import Any

import pytest

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints.sealing import Limits
from durablegraph.storage.memory import MemoryObjectStore
from tests.conformance.storage.checkpoints.savers import at, id_of, put
from tests.support.stores import CountingStore, FaultStore, Kind, SimulatedCrash, When, crash

LIMITS = Limits(inline=64, seal_bytes=4000, seal_records=12, keep=2, linger=0)


def _messages(count: int) -> list[str]:
    return [f"{n:06}" * 40 for n in range(count)]


async def _grown(store: Any, steps: int, limits: Limits = LIMITS, first: int = 0, *, others: bool = True) -> None:
    saver = BlobCheckpointSaver(store, limits=limits)
    found = await saver.aget_tuple(at("t"))
    parent = found.checkpoint["id"] if found else None
    for n in range(first, first + steps):
        values: dict[str, Any] = {"n": n, "m": _messages(n + 1)}
        values |= {"k": ["k" * 60] * (n + 3), "l": ["l" * 70] * (n + 3)} if others else {}
        parent = id_of(await put(saver, "t", values, parent=parent))
        await saver._core.archive.settle()
    await saver.aclose()


async def _assert_whole(store: Any, steps: int) -> None:
    saver = BlobCheckpointSaver(store)
    latest = await saver.aget_tuple(at("t"))
    assert latest is not None
    assert latest.checkpoint["channel_values"]["m"] == _messages(steps)
    history = [one.checkpoint["channel_values"] async for one in saver.alist(at("t"))]
    assert [len(values["m"]) for values in history] == list(range(steps, 0, -1))
    assert all(values["m"] == _messages(len(values["m"])) for values in history)
    assert all(len(values["k"]) == values["n"] + 3 for values in history)


async def _pack(store: Any) -> list[str]:
    return [entry.key async for entry in store.list("d/") if entry.key.endswith("/p/latest")]


@pytest.mark.parametrize("others", [False, True], ids=["one", "three"])
async def test_the_latest_of_growing_values_takes_two_requests_at_any_length(others: bool) -> None:
    store, taken = CountingStore(MemoryObjectStore()), []
    for round_ in range(30):
        await _grown(store, 7, first=7 * round_, others=others)
        store.start_anew()
        found = await BlobCheckpointSaver(store).aget_tuple(at("t"))
        taken.append(store.tally.requests[Kind.READ])
        assert store.tally.total == taken[-1]
        assert found is not None
        assert found.checkpoint["channel_values"]["m"] == _messages(7 * (round_ + 1))
    # Once in a while a value is stored anew by itself, so that its chain stays short; then it is one object more.
    assert max(taken) <= (4 if others else 2)
    assert sorted(taken)[len(taken) // 2] <= 2


async def test_a_value_too_large_for_the_pack_is_read_through_its_segments() -> None:
    store = MemoryObjectStore()
    await _grown(store, 60, Limits(inline=64, seal_records=12, keep=2, linger=0, largest_pack=5000))
    await _assert_whole(store, 60)


@pytest.mark.parametrize("fate", ["missing", "of another seal", "damaged", "cut off"])
async def test_everything_reads_the_same_when_the_pack_is_no_use(fate: str) -> None:
    store = MemoryObjectStore()
    await _grown(store, 40)
    [key] = await _pack(store)
    early = await store.get(key)
    assert early is not None
    await _grown(store, 30, first=40)
    late = await store.get(key)
    assert late is not None
    assert late.data != early.data
    match fate:
        case "missing":
            await store.delete(key)
        case "of another seal":
            await store.put(key, early.data)
        case "damaged":
            await store.put(key, late.data[:-5] + b"12345")
        case _:
            await store.put(key, late.data[:10])
    await _assert_whole(store, 70)
    await _grown(store, 20, first=70)
    await _assert_whole(store, 90)


async def test_a_crash_before_the_pack_is_stored_loses_nothing() -> None:
    strikes = 0
    for point in range(1, 200, 7):
        store = MemoryObjectStore()
        faulty = FaultStore(store, at=point, when=When.BEFORE, fault=crash)
        try:
            await _grown(faulty, 30)
        except SimulatedCrash:
            strikes += 1
        found = await BlobCheckpointSaver(store).aget_tuple(at("t"))
        steps = 0 if found is None else found.checkpoint["channel_values"]["n"] + 1
        await _assert_whole(store, steps) if steps else None
    assert strikes > 3


async def test_a_pack_that_nothing_needs_any_more_is_removed() -> None:
    store = MemoryObjectStore()
    await _grown(store, 40)
    assert await _pack(store)
    saver = BlobCheckpointSaver(store, limits=LIMITS)
    found = await saver.aget_tuple(at("t"))
    assert found is not None
    parent = found.checkpoint["id"]
    for n in range(30):
        parent = id_of(await put(saver, "t", {"n": n, "m": [], "k": []}, parent=parent))
        await saver._core.archive.settle()
    await saver.aclose()
    assert await _pack(store) == []


async def test_a_version_put_again_with_another_value_is_what_its_successor_is_told_by() -> None:
    store = MemoryObjectStore()
    saver = BlobCheckpointSaver(store, limits=LIMITS)
    old, other = ["a" * 50] * 6, ["b" * 50] * 6
    first = id_of(await put(saver, "t", {"m": old}, m="1"))
    await put(saver, "t", {"m": other}, id_=first, m="1")
    await put(saver, "t", {"m": [*old, "c"]}, parent=first, m="2")
    for n, reader in enumerate((saver, BlobCheckpointSaver(store))):
        found = await reader.aget_tuple(at("t"))
        assert found is not None, n
        assert found.checkpoint["channel_values"]["m"] == [*old, "c"]
