"""What the saver asks of its store: the price of a run."""

import asyncio
from random import Random
from typing import Any

import pytest

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints.sealing import Limits
from durablegraph.storage.memory import MemoryObjectStore
from tests.conformance.storage.checkpoints.savers import at, id_of, made, put
from tests.support.stores import CountingStore, Kind

STEP = 600


async def _step(saver: BlobCheckpointSaver, parent: str | None, n: int, values: dict[str, Any] | None = None) -> str:
    """One super-step as LangGraph saves it: the writes of its task, and its checkpoint right after."""
    writes = asyncio.create_task(saver.aput_writes(at("t", "", parent), [("n", n)], f"task-{n}")) if parent else None
    config = await put(saver, "t", {"n": n, **(values or {})}, parent=parent)
    if writes is not None:
        await writes
    return id_of(config)


async def _run(saver: BlobCheckpointSaver, steps: int, first: str | None = None) -> str | None:
    parent = first
    for n in range(steps):
        parent = await _step(saver, parent, n)
    return parent


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(MemoryObjectStore())


async def test_a_super_step_costs_one_request_however_long_the_thread_is(store: CountingStore) -> None:
    saver = BlobCheckpointSaver(store)
    tip = await _run(saver, STEP)
    assert store.start_anew().total <= STEP * 1.05
    await _run(saver, STEP, tip)
    tally = store.start_anew()
    assert tally.total <= STEP * 1.05
    assert tally.requests[Kind.LIST] == tally.requests[Kind.READ] == 0


async def test_the_writes_of_parallel_tasks_and_their_checkpoint_share_a_request(store: CountingStore) -> None:
    saver = BlobCheckpointSaver(store)
    parent = id_of(await put(saver, "t", {"n": 0}))
    store.start_anew()
    tasks = [asyncio.create_task(saver.aput_writes(at("t", "", parent), [("n", n)], f"t{n}")) for n in range(8)]
    await put(saver, "t", {"n": 1}, parent=parent)
    await asyncio.gather(*tasks)
    assert store.tally.total == 1


async def test_the_latest_checkpoint_costs_one_request_at_any_length(store: CountingStore) -> None:
    await _run(BlobCheckpointSaver(store), STEP)
    store.start_anew()
    await BlobCheckpointSaver(store).aget_tuple(at("t"))
    assert store.tally.total == 1


async def test_a_large_value_costs_one_request_more_and_is_stored_once(store: CountingStore) -> None:
    saver, large = BlobCheckpointSaver(store), b"x" * 1_000_000
    parent = None
    for n in range(5):
        parent = await _step(saver, parent, n, {"large": large})
    assert store.start_anew().bytes_written < 200_000
    await BlobCheckpointSaver(store).aget_tuple(at("t"))
    assert store.tally.total == 2


async def test_a_hand_over_to_a_new_host_at_each_step_costs_a_read_and_a_write(store: CountingStore) -> None:
    await _run(BlobCheckpointSaver(store), 1)
    store.start_anew()
    for n in range(150):
        saver = BlobCheckpointSaver(store)
        found = await saver.aget_tuple(at("t"))
        assert found is not None
        await _step(saver, found.checkpoint["id"], n)
        await saver.aclose()
    assert store.tally.total <= 150 * 2.1


async def test_a_worker_that_is_told_the_newest_commit_needs_no_read(store: CountingStore) -> None:
    saver = BlobCheckpointSaver(store)
    parent = await _step(saver, None, 0)
    token = saver.head_token("t")
    store.start_anew()
    for n in range(10):
        assert token is not None
        attempt = saver.attempt(heads={"t": token})
        found = await attempt.aget_tuple(at("t"))
        assert found is not None
        assert found.checkpoint["id"] == parent
        parent = await _step(attempt, parent, n)
        token = attempt.head_token("t")
    assert store.tally.requests == {Kind.WRITE: 10}


async def test_a_worker_that_is_told_another_commit_than_it_knows_reads(store: CountingStore) -> None:
    saver, other = BlobCheckpointSaver(store), BlobCheckpointSaver(store)
    first = await _step(saver, None, 0)
    await other.aget_tuple(at("t"))
    second = await _step(other, first, 1)
    token = other.head_token("t")
    assert token is not None
    found = await saver.attempt(heads={"t": token}).aget_tuple(at("t"))
    assert found is not None
    assert found.checkpoint["id"] == second


async def _newest(store: CountingStore, count: int = 10) -> tuple[list[dict[str, Any]], int]:
    """The values of the newest checkpoints as a saver lists them that knows nothing yet, and its requests."""
    store.start_anew()
    listed = [one async for one in BlobCheckpointSaver(store).alist(at("t"), limit=count)]
    return [one.checkpoint["channel_values"] for one in listed], store.start_anew().total


async def test_ten_checkpoints_of_a_long_thread_cost_one_request_at_any_moment(store: CountingStore) -> None:
    saver, parent, taken = BlobCheckpointSaver(store), None, []
    for n in range(STEP):
        parent = await _step(saver, parent, n)
        await saver._core.archive.settle()
        if n % 133 in range(4):  # about where a head is sealed
            taken.append((await _newest(store))[1])
    assert len([entry async for entry in store.list("d/") if "/s/" in entry.key]) > 2
    assert set(taken) == {1}


@pytest.mark.parametrize(("size", "steps", "seals"), [(150, 200, 1), (2000, 200, 4), (6000, 70, 3)])
async def test_ten_checkpoints_of_a_growing_list_cost_two_requests_at_each_step(
    store: CountingStore, size: int, steps: int, seals: int
) -> None:
    """The head keeps the ten newest when older ones are sealed, and the pack has what they all grew from."""
    saver, words, parent = BlobCheckpointSaver(store), Random(size), None  # noqa: S311 -- the same each time
    messages: list[str] = []
    for n in range(steps):
        messages.append(words.randbytes(size // 2).hex())
        parent = await _step(saver, parent, n, {"messages": list(messages)})
        await saver._core.archive.settle()
        shown, requests = await _newest(store)
        assert [len(values["messages"]) for values in shown] == list(range(n + 1, max(n - 9, 0), -1))
        assert shown[0]["messages"] == messages
        assert requests <= 2, n
    assert len([entry async for entry in store.list("d/") if "/s/" in entry.key]) >= seals


async def test_ten_checkpoints_beside_a_large_constant_cost_two_requests_after_seals(store: CountingStore) -> None:
    saver, large, parent = BlobCheckpointSaver(store, limits=Limits(seal_records=60)), b"x" * 100_000, None
    for n in range(120):
        parent = await _step(saver, parent, n, {"large": large})
        await saver._core.archive.settle()
        shown, requests = await _newest(store)
        assert len(shown) == min(n + 1, 10)
        assert requests == 2, n
    assert [entry.key async for entry in store.list("d/") if "/s/" in entry.key]


async def test_checkpoints_too_large_to_stay_in_the_head_are_listed_all_the_same(store: CountingStore) -> None:
    saver, words, parent = BlobCheckpointSaver(store), Random(1), None  # noqa: S311 -- the same each time
    messages: list[str] = []
    for n in range(40):
        messages.append(words.randbytes(12_000).hex())
        parent = await _step(saver, parent, n, {"messages": list(messages)})
        await saver._core.archive.settle()
        assert max([entry.size async for entry in store.list("h/")]) < 4 * Limits().seal_bytes
        assert [values["n"] for values in (await _newest(store))[0]] == list(range(n, max(n - 10, -1), -1))


async def test_a_state_larger_than_a_whole_head_does_not_seal_at_each_step(store: CountingStore) -> None:
    """What each head begins with cannot be sealed away: only what was added to it counts."""
    saver, words, parent = BlobCheckpointSaver(store), Random(2), None  # noqa: S311 -- the same each time
    state = {f"channel {n}": words.randbytes(6000) for n in range(30)}
    for n in range(100):
        checkpoint = made({**state, "n": n}, **dict.fromkeys(state, 1), n=n + 1)
        new = {"n": n + 1} if n else checkpoint["channel_versions"]
        told: Any = {"source": "loop", "step": n, "parents": {}}
        parent = id_of(await saver.aput(at("t", "", parent), checkpoint, told, new))
    await saver.aclose()
    assert store.tally.total <= 104


async def test_deleting_a_thread_costs_four_requests_at_any_length(store: CountingStore) -> None:
    saver = BlobCheckpointSaver(store)
    await _run(saver, STEP)
    await saver.aclose()
    store.start_anew()
    await BlobCheckpointSaver(store).adelete_thread("t")
    assert store.tally.total <= 4
    assert [entry.key async for entry in store.list("")] == []


async def test_messages_that_grow_are_stored_once(store: CountingStore) -> None:
    saver, messages = BlobCheckpointSaver(store), []
    parent = None
    for n in range(500):
        messages.append(f"{n:06}" * 333)
        parent = await _step(saver, parent, n, {"messages": list(messages)})
    await saver.aclose()
    assert store.tally.requests[Kind.READ] <= 2  # the head, and the first long list; what a seal stored is at hand
    assert store.tally.total <= 500 * 1.06
    assert sum([entry.size async for entry in store.list("")]) < 2_000_000
    found = await BlobCheckpointSaver(store).aget_tuple(at("t"))
    assert found is not None
    assert found.checkpoint["channel_values"]["messages"] == messages


async def test_a_head_stays_small(store: CountingStore) -> None:
    saver = BlobCheckpointSaver(store)
    parent = None
    for round_ in range(10):
        parent = await _run(saver, 200, parent)
        head = [entry.size async for entry in store.list("h/")]
        assert max(head) < 2 * Limits().seal_bytes, round_


async def test_no_checkpoint_waits_for_a_seal() -> None:
    """While a segment is stored, commits go on: each is one write, and none follows the segment's."""

    class Slow(CountingStore):
        held = asyncio.Event()

        async def put(
            self,
            key: str,
            data: bytes,
            *,
            if_match: str | None = None,
            if_absent: bool = False,
            note: str | None = None,
        ) -> str:
            if "/s/" in key:
                await self.held.wait()
            return await super().put(key, data, if_match=if_match, if_absent=if_absent, note=note)

    store = Slow(MemoryObjectStore())
    saver = BlobCheckpointSaver(store, limits=Limits(seal_records=20))
    async with asyncio.timeout(20):
        tip = await _run(saver, 12)
    store.held.set()
    await _run(saver, 12, tip)
    await saver.aclose()
    assert [entry.key async for entry in store.list("d/") if "/s/" in entry.key]
    assert len([one async for one in BlobCheckpointSaver(store).alist(at("t"))]) == 24


async def test_a_head_that_nobody_could_seal_is_sealed_before_it_grows_further(store: CountingStore) -> None:
    limits = Limits(seal_records=10)
    for n in range(60):
        saver = BlobCheckpointSaver(store, limits=limits)
        found = await saver.aget_tuple(at("t"))
        await _step(saver, found.checkpoint["id"] if found else None, n)
        # The host vanishes before a seal in the background could end: its saver is dropped without aclose.
    assert len([one async for one in BlobCheckpointSaver(store).alist(at("t"))]) == 60
    assert [entry.key async for entry in store.list("d/") if "/s/" in entry.key]
