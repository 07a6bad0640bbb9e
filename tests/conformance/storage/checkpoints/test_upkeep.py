"""Deleting, pruning and copying, also while others write."""

import asyncio
from typing import Any

import pytest

from durablegraph import BlobCheckpointSaver
from durablegraph.errors import Conflict
from durablegraph.storage.checkpoints import ConcurrentWriterError
from durablegraph.storage.checkpoints.sealing import Limits
from durablegraph.storage.memory import MemoryObjectStore
from tests.conformance.storage.checkpoints.savers import TINY, Savers, at, id_of, made, put
from tests.conformance.storage.conftest import Backend

THREAD = "t"


async def _steps(saver: BlobCheckpointSaver, thread: str = THREAD) -> list[int]:
    return [one.checkpoint["channel_values"]["n"] async for one in saver.alist(at(thread))]


async def _keys(backend: Backend) -> list[str]:
    return [entry.key async for entry in backend.open().list("")]


async def _run(saver: BlobCheckpointSaver, count: int, thread: str = THREAD, run: str | None = None) -> None:
    found = await saver.aget_tuple(at(thread))
    parent = found.checkpoint["id"] if found else None
    for n in range(count):
        values = {"n": n, "grows": ["y" * 50] * (n + 2), "large": b"%d" % n * 200}
        config = await put(saver, thread, values, parent=parent, metadata={"run_id": run} if run else {})
        await saver.aput_writes(config, [("n", n)], f"task {n}")
        parent = id_of(config)


async def test_writes_that_overtake_their_checkpoint_are_found_behind_any_number_of_seals(savers: Savers) -> None:
    saver, coming = savers(limits=TINY), made({"n": 99})
    await _run(saver, 4)
    await saver.aput_writes(at(THREAD, "", coming["id"]), [("x", 1)], "early")
    forks = [made({"n": n}) for n in range(3)]
    for fork in forks:  # ids between the latest and the one that is coming, and behind it
        await saver.aput(at(THREAD), fork, {}, fork["channel_versions"])
        await saver.aput_writes(at(THREAD, "", fork["id"]), [("x", 2)], "late")
    await saver.aput(at(THREAD), coming, {}, coming["channel_versions"])
    await _run(saver, 12)
    found = await savers().aget_tuple(at(THREAD, "", coming["id"]))
    assert found is not None
    assert found.pending_writes == [("early", "x", 1)]


async def test_a_checkpoint_put_again_keeps_its_writes_behind_any_number_of_seals(savers: Savers) -> None:
    saver, again = savers(limits=TINY), made({"n": 99})
    for count in (0, 1, 2, 5, 9):
        await saver.aput(at(THREAD), again, {}, again["channel_versions"])
        await saver.aput_writes(at(THREAD, "", again["id"]), [("x", 1)], "task")
        await _run(saver, count)
        await saver.aput(at(THREAD), again, {}, again["channel_versions"])
        found = await savers().aget_tuple(at(THREAD, "", again["id"]))
        assert found is not None
        assert found.pending_writes == [("task", "x", 1)]


@pytest.mark.parametrize("size", [10, 5000], ids=["inline", "large"])
async def test_a_version_that_gets_another_value_changes_no_value_that_was_told_as_its_difference(
    savers: Savers, size: int
) -> None:
    saver, old, new = savers(), ["a" * size] * 4, ["b" * size] * 4
    first = made({"m": old}, m="1")
    await saver.aput(at(THREAD), first, {}, {"m": "1"})
    second = id_of(await put(saver, THREAD, {"m": [*old, "c"]}, parent=first["id"], m="2"))
    third = id_of(await put(saver, THREAD, {"m": [*old, "c", "d"]}, parent=second, m="3"))
    again = {**first, "channel_values": {"m": new}}
    both = asyncio.gather(*(saver.aput(at(THREAD), again, {}, {"m": "1"}) for _ in range(2)))  # type: ignore[arg-type]
    await both
    values = {}
    for id_ in (first["id"], second, third):
        found = await savers().aget_tuple(at(THREAD, "", id_))
        assert found is not None
        values[id_] = found.checkpoint["channel_values"]["m"]
    assert values == {first["id"]: new, second: [*old, "c"], third: [*old, "c", "d"]}


async def test_deleting_a_thread_leaves_no_object_of_it(savers: Savers, backend: Backend) -> None:
    for thread in (THREAD, "x" * 700):
        saver = savers(limits=TINY)
        await _run(saver, 12, thread, run="r" * 300)
        await put(saver, thread, {"n": 1}, namespace="sub:1", metadata={"run_id": "another"})
    assert len(await _keys(backend)) > 20
    for thread in (THREAD, "x" * 700):
        await savers().adelete_thread(thread)
    assert await _keys(backend) == []


async def test_a_thread_can_begin_again_after_it_was_deleted(savers: Savers) -> None:
    saver = savers(limits=TINY)
    await _run(saver, 5)
    await saver.adelete_thread(THREAD)
    assert await saver.aget_tuple(at(THREAD)) is None
    await _run(saver, 3)
    assert await _steps(savers()) == [2, 1, 0]


async def test_a_run_is_deleted_wherever_it_put_checkpoints(savers: Savers) -> None:
    saver = savers(limits=TINY)
    for thread in (THREAD, "x" * 700):
        await _run(saver, 5, thread, run="keep")
        await _run(saver, 7, thread, run="drop")
    await savers().adelete_for_runs(["drop", "never was"])
    for thread in (THREAD, "x" * 700):
        reader = savers()
        assert await _steps(reader, thread) == [4, 3, 2, 1, 0]
        found = await reader.aget_tuple(at(thread))
        assert found is not None
        assert found.checkpoint["channel_values"]["grows"] == ["y" * 50] * 6
        assert found.pending_writes == [("task 4", "n", 4)]
        await _run(savers(limits=TINY), 9, thread, run="drop")  # the same id may run again
        assert await _steps(savers(), thread) == [*range(8, -1, -1), 4, 3, 2, 1, 0]
        await savers().adelete_for_runs(["drop"])
        assert await _steps(savers(), thread) == [4, 3, 2, 1, 0]
        await _run(savers(limits=TINY), 1, thread)


async def test_the_latest_of_what_is_left_may_lie_in_a_sealed_segment_above_a_late_fork(savers: Savers) -> None:
    saver = savers(limits=TINY)
    await _run(saver, 6, run="keep")
    history = [one async for one in saver.alist(at(THREAD))]
    await _run(saver, 6, run="drop")
    fork = made({"n": 100}, id_=history[3].checkpoint["id"][:-1] + "0")
    await saver.aput(history[3].config, fork, {}, fork["channel_versions"])
    await savers().adelete_for_runs(["drop"])
    found = await savers().aget_tuple(at(THREAD))
    assert found is not None
    assert found.checkpoint["id"] == history[0].checkpoint["id"]


@pytest.mark.parametrize("keep", [0, 1, 3])
async def test_a_seal_that_waits_for_its_commit_does_not_hide_what_a_deletion_left(savers: Savers, keep: int) -> None:
    for count in range(8 - 2 * keep, 24 - 6 * keep):  # some end with a seal that no commit has taken over yet
        thread, saver = f"{THREAD} {count}", savers(limits=Limits(seal_records=count, keep=keep, linger=0))
        await _run(saver, 2, thread, run="keep")
        left = await saver.aget_tuple(at(thread))
        assert left is not None
        await _run(saver, 3, thread, run="drop")
        await saver.adelete_for_runs(["drop"])
        await saver.aput_writes(left.config, [("x", 1)], "late")
        for reader in (saver, savers()):
            found = await reader.aget_tuple(at(thread))
            assert found is not None, count
            assert found.checkpoint["id"] == left.checkpoint["id"]
            assert ("late", "x", 1) in (found.pending_writes or [])


async def test_a_pruned_thread_needs_none_of_its_old_objects(savers: Savers, backend: Backend) -> None:
    saver = savers(limits=TINY)
    await _run(saver, 14, run="r")
    await saver.aprune([THREAD])
    found = await savers().aget_tuple(at(THREAD))
    assert found is not None
    assert found.parent_config is None
    assert found.checkpoint["channel_values"]["grows"] == ["y" * 50] * 15
    assert found.pending_writes == [("task 13", "n", 13)]
    assert not [key for key in await _keys(backend) if "/s/" in key or "/i/" in key]
    await _run(saver, 5)
    assert await _steps(savers()) == [4, 3, 2, 1, 0, 13]


async def test_a_copy_is_whole_and_independent(savers: Savers) -> None:
    saver = savers(limits=TINY)
    await _run(saver, 14, run="r")
    await put(saver, THREAD, {"n": 7}, namespace="sub:1")
    await savers(limits=TINY).acopy_thread(THREAD, "copy")
    await savers().adelete_thread(THREAD)
    reader = savers()
    copied = [one async for one in reader.alist(at("copy"))]
    assert [one.checkpoint["channel_values"]["n"] for one in copied] == list(range(13, -1, -1))
    assert [len(one.checkpoint["channel_values"]["grows"]) for one in copied] == list(range(15, 1, -1))
    assert {one.config["configurable"]["thread_id"] for one in copied} == {"copy"}
    assert await reader.aget_tuple(at("copy", "sub:1")) is not None
    await _run(savers(limits=TINY), 3, "copy")
    await savers().adelete_for_runs(["r"])
    assert await _steps(savers(), "copy") == [2, 1, 0]


async def test_a_copy_onto_a_thread_with_checkpoints_is_refused(savers: Savers) -> None:
    saver = savers()
    await _run(saver, 2)
    await _run(saver, 3, "other")
    with pytest.raises(Conflict, match="'other' has checkpoints"):
        await saver.acopy_thread(THREAD, "other")
    assert await _steps(savers(), "other") == [2, 1, 0]


@pytest.mark.parametrize("policy", ["merge", "fence"])
async def test_prunes_and_writers_at_once_never_leave_a_broken_thread(policy: str) -> None:
    store, stop = MemoryObjectStore(), asyncio.Event()
    limits = Limits(inline=64, seal_bytes=500, seal_records=3, keep=1, fan=2, linger=0, conflict_attempts=1000)

    class Yielding:
        """Lets others in between any two requests."""

        def __getattr__(self, name: str) -> Any:
            async def call(*arguments: Any, **options: Any) -> Any:
                await asyncio.sleep(0)
                result = await getattr(store, name)(*arguments, **options)
                await asyncio.sleep(0)
                return result

            return store.list if name == "list" else call

    def saver() -> BlobCheckpointSaver:
        return BlobCheckpointSaver(Yielding(), limits=limits, on_conflict=policy)

    async def write(name: str) -> None:
        mine = saver()
        for n in range(20):
            found = await mine.aget_tuple(at(THREAD))
            parent = found.checkpoint["id"] if found else None
            values = {"n": n, "large": f"{name} {n} ".encode() * 50, "grows": ["z" * 50] * n}
            try:
                config = await put(mine, THREAD, values, parent=parent)
                await mine.aput_writes(config, [("x", b"w" * 100)], name)
            except ConcurrentWriterError:
                assert policy == "fence"
        await mine.aclose()

    async def prune() -> None:
        mine = saver()
        while not stop.is_set():
            await mine.aprune([THREAD])
            await asyncio.sleep(0.005)
        await mine.aclose()

    pruning = asyncio.create_task(prune())
    await asyncio.gather(write("a"), write("b"), write("c"))
    stop.set()
    await pruning
    reader = BlobCheckpointSaver(store)
    history = [one async for one in reader.alist(at(THREAD))]  # reads every value there is
    assert history
    assert history[0] == await reader.aget_tuple(at(THREAD))
