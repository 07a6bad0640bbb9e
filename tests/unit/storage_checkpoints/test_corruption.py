"""Damage is reported, never served."""

import asyncio

import pytest
from langgraph.checkpoint.base.id import uuid6

from durablegraph import BlobCheckpointSaver
from durablegraph.errors import InvalidRequest, InvariantBroken
from durablegraph.storage.checkpoints import EXPECTED_HEAD, CorruptCheckpoint, StrictSerializer, TypeNotAllowedError
from durablegraph.storage.memory import MemoryObjectStore
from tests.conformance.storage.checkpoints.savers import TINY, at, id_of, made, put
from tests.support.stores import CountingStore, Kind


async def _stored() -> tuple[MemoryObjectStore, list[str]]:
    store = MemoryObjectStore()
    saver, parent = BlobCheckpointSaver(store, limits=TINY), None
    for n in range(12):
        values = {"n": n, "grows": ["x" * 40] * (n + 2), "large": b"%d" % (n % 3) * 100}
        parent = id_of(await put(saver, "t", values, parent=parent))
        await saver._core.archive.settle()  # as many seals in every run
    await saver.aclose()
    return store, [entry.key async for entry in store.list("")]


async def _readable(store: MemoryObjectStore) -> bool:
    """Whether all of the thread can be read; a complaint of any other kind fails the test."""
    saver = BlobCheckpointSaver(store)
    try:
        await saver.aget_tuple(at("t"))
        history = [one async for one in saver.alist(at("t"))]
    except CorruptCheckpoint:
        return False
    assert [one.checkpoint["channel_values"]["n"] for one in history] == list(range(11, -1, -1))
    assert all(len(one.checkpoint["channel_values"]["grows"]) == number + 2 for number, one in enumerate(history[::-1]))
    return True


async def _needed() -> tuple[MemoryObjectStore, list[str]]:
    """The objects that the head leads to; a seal that was under way at the end left others."""
    store, keys = await _stored()
    assert await _readable(store)
    needed = []
    for key in keys:
        whole = await store.get(key)
        assert whole is not None
        await store.delete(key)
        if key.startswith("h/") or not await _readable(store):
            needed.append(key)
        await store.put(key, whole.data)
    kinds = {key.split("/")[-2] for key in needed if key.startswith("d/")}
    assert kinds == {"s", "x", "i"}
    assert len(needed) >= len(keys) - 3
    return store, needed


async def test_a_flipped_bit_in_any_object_is_reported() -> None:
    store, keys = await _needed()
    for key in keys:
        whole = await store.get(key)
        assert whole is not None
        for position in range(0, len(whole.data), max(1, len(whole.data) // 7)):
            broken = bytearray(whole.data)
            broken[position] ^= 4
            await store.put(key, bytes(broken))
            assert not await _readable(store)
        await store.put(key, whole.data)
    assert await _readable(store)


async def test_a_swapped_object_is_reported() -> None:
    store, keys = await _needed()
    objects = {key: stored.data for key in keys if (stored := await store.get(key)) is not None}
    for key in keys:
        if key.startswith("h/"):
            continue
        for other in keys:
            if other.split("/")[-2] != key.split("/")[-2]:
                await store.put(key, objects[other])
                assert not await _readable(store)
        await store.put(key, objects[key])


async def test_the_head_of_another_thread_is_not_served() -> None:
    store = MemoryObjectStore()
    saver = BlobCheckpointSaver(store)
    await put(saver, "one", {"n": 1})
    await put(saver, "two", {"n": 2})
    one, two = [entry.key async for entry in store.list("h/")]
    stored = await store.get(one)
    assert stored is not None
    await store.put(two, stored.data)
    wrong = "two" if "=one" in one else "one"
    with pytest.raises(CorruptCheckpoint, match="head of thread") as raised:
        await BlobCheckpointSaver(store).aget_tuple(at(wrong))
    assert isinstance(raised.value, InvariantBroken)
    assert raised.value.code == "corrupt_checkpoint"


async def test_a_head_that_was_lost_is_not_taken_for_a_new_thread() -> None:
    store, keys = await _stored()
    saver = BlobCheckpointSaver(store)
    history = [one.config async for one in saver.alist(at("t"))]
    await store.delete(next(key for key in keys if key.startswith("h/")))
    for config in (history[0], history[-1]):
        with pytest.raises(CorruptCheckpoint, match="head was lost"):
            await BlobCheckpointSaver(store).aget_tuple(config)
    for policy in ("fence", "merge"):
        with pytest.raises(CorruptCheckpoint, match="head was lost"):
            await put(BlobCheckpointSaver(store, on_conflict=policy), "t", {"n": 12}, parent=id_of(history[0]))
    expecting = {"configurable": {"thread_id": "t", "checkpoint_ns": "", EXPECTED_HEAD: id_of(history[0])}}
    with pytest.raises(CorruptCheckpoint, match="head was lost"):
        await BlobCheckpointSaver(store).aput(expecting, made({"n": 12}), {}, {"n": 12})  # type: ignore[arg-type]
    await BlobCheckpointSaver(store).adelete_thread("t")
    assert await BlobCheckpointSaver(store).aget_tuple(history[0]) is None
    assert [entry.key async for entry in store.list("")] == []


async def test_a_new_thread_is_not_suspected_of_having_lost_its_head() -> None:
    store = CountingStore(MemoryObjectStore())
    saver = BlobCheckpointSaver(store)
    assert await saver.aget_tuple(at("new")) is None
    parent = id_of(await put(saver, "new", {"n": 0}))
    await put(saver, "new", {"n": 1}, parent=parent)
    assert store.tally.requests == {Kind.READ: 1, Kind.WRITE: 2}


async def test_parents_that_run_in_a_circle_end_a_walk() -> None:
    store = MemoryObjectStore()
    saver = BlobCheckpointSaver(store, limits=TINY)
    ids = [str(uuid6(clock_seq=n)) for n in range(6)]
    for n, id_ in enumerate(ids):
        await put(
            saver, "t", {"n": n}, id_=id_, parent=ids[n - 1], metadata={"counters_since_delta_snapshot": {"d": 1}}
        )
        await saver.aput_writes(at("t", "", id_), [("d", n)], "task")
    await saver.aclose()
    async with asyncio.timeout(10):
        reader = BlobCheckpointSaver(store)
        history = await reader.aget_delta_channel_history(config=at("t"), channels=["d"])
        assert [value for _, _, value in history["d"]["writes"]] == [0, 1, 2, 3, 4]
        assert len([one async for one in reader.alist(at("t"))]) == 6
        await reader.aprune(["t"])
        assert len([one async for one in BlobCheckpointSaver(store).alist(at("t"))]) == 1


async def test_a_type_that_was_not_allowed_is_an_error_and_not_a_dictionary() -> None:
    store = MemoryObjectStore()
    serde = StrictSerializer(allowed_types=True)
    from pydantic import BaseModel

    class Order(BaseModel):
        amount: int

    Order.__module__, Order.__qualname__ = "shop.orders", "Order"
    checkpoint = made({"order": Order(amount=3)})
    writer = BlobCheckpointSaver(store, serde=serde)
    metadata = {"source": "loop", "step": 0, "parents": {}}
    await writer.aput(at("t"), checkpoint, metadata, checkpoint["channel_versions"])  # type: ignore[arg-type]
    with pytest.raises(TypeNotAllowedError, match=r"shop\.orders\.Order.*allowed_types"):
        await BlobCheckpointSaver(store).aget_tuple(at("t"))


async def test_the_allowlist_of_a_graph_is_taken_over() -> None:
    strict = BlobCheckpointSaver(MemoryObjectStore())
    clone = strict.with_allowlist([("decimal", "Context")])
    assert isinstance(clone, BlobCheckpointSaver)
    assert isinstance(clone.serde, StrictSerializer)
    assert clone.serde is not strict.serde
    await put(clone, "t", {"n": 1})
    assert await strict.aget_tuple(at("t")) is not None


async def test_a_config_that_lacks_its_thread_or_checkpoint_says_so() -> None:
    saver = BlobCheckpointSaver(MemoryObjectStore())
    with pytest.raises(InvalidRequest, match="thread_id is missing"):
        await saver.aget_tuple({"configurable": {}})
    with pytest.raises(InvalidRequest, match="checkpoint_id is missing"):
        await saver.aput_writes(at("t"), [("n", 1)], "task")
    with pytest.raises(InvalidRequest, match="'fence' or 'merge'"):
        BlobCheckpointSaver(MemoryObjectStore(), on_conflict="hope")
    with pytest.raises(InvalidRequest, match="keep_latest"):
        await saver.aprune(["t"], strategy="some")
