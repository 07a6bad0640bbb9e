"""What many threads cost in memory, and long ones in room."""

import gc

from langgraph.checkpoint.base import empty_checkpoint

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints.frames import GrowingBody
from durablegraph.storage.checkpoints.sealing import Limits
from durablegraph.storage.memory import MemoryObjectStore

THREADS = 150


async def put(saver, thread, n, parent=None):
    config = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
    if parent is not None:
        config["configurable"]["checkpoint_id"] = parent
    checkpoint = {**empty_checkpoint(), "channel_values": {"n": n}, "channel_versions": {"n": n + 1}}
    stored = await saver.aput(config, checkpoint, {"source": "loop", "step": n, "parents": {}}, {"n": n + 1})
    return stored["configurable"]["checkpoint_id"]


def bodies():
    gc.collect()
    return sum(isinstance(found, GrowingBody) for found in gc.get_objects())


async def test_a_thread_that_waits_keeps_no_compressor_and_goes_on_all_the_same():
    store, before = MemoryObjectStore(), bodies()
    saver = BlobCheckpointSaver(store)
    first = {thread: await put(saver, str(thread), 0) for thread in range(THREADS)}
    assert 0 < bodies() - before <= THREADS // 2
    for thread in (0, THREADS - 1):  # the one lost its compressor, the other did not
        second = await put(saver, str(thread), 1, first[thread])
        asked = {"configurable": {"thread_id": str(thread), "checkpoint_ns": ""}}
        found = [one async for one in BlobCheckpointSaver(store).alist(asked)]
        assert [one.checkpoint["id"] for one in found] == [second, first[thread]]
        assert [one.checkpoint["channel_values"] for one in found] == [{"n": 1}, {"n": 0}]


async def test_a_segment_is_no_larger_for_the_segments_before_it():
    store = MemoryObjectStore()
    saver, parent = BlobCheckpointSaver(store, limits=Limits(seal_records=20, keep=2, linger=0)), None
    for n in range(600):
        parent = await put(saver, "t", n, parent)
        await saver._core.archive.settle()
    sizes = [entry.size async for entry in store.list("d/") if "/s/" in entry.key]
    assert len(sizes) > 30
    assert max(sizes[-10:]) <= 1.1 * max(sizes[1:11])
    asked = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    found = [one.checkpoint["channel_values"]["n"] async for one in BlobCheckpointSaver(store).alist(asked)]
    assert found == list(range(599, -1, -1))
