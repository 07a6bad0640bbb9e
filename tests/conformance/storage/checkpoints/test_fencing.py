"""Two writers on one thread: what is refused, what is merged, and that If-Match is what makes the difference."""

import asyncio
from typing import Any

import pytest

from durablegraph import BlobCheckpointSaver
from durablegraph.errors import StaleHead
from durablegraph.storage.checkpoints import EXPECTED_HEAD, ConcurrentWriterError
from tests.conformance.storage.checkpoints.savers import TINY, Savers, at, id_of, made, put

THREAD = "t"
METADATA: Any = {"source": "loop", "step": 1, "parents": {}}


async def _ids(saver: BlobCheckpointSaver) -> list[str]:
    return [one.checkpoint["id"] async for one in saver.alist(at(THREAD))]


async def _writes(saver: BlobCheckpointSaver) -> list[tuple[str, str, Any]]:
    found = await saver.aget_tuple(at(THREAD))
    assert found is not None
    return found.pending_writes or []


async def test_the_loser_of_two_writers_stops_until_it_reads_again(savers: Savers) -> None:
    mine, theirs = savers(), savers()
    first = id_of(await put(mine, THREAD, {"n": 0}))
    await theirs.aget_tuple(at(THREAD))
    second = id_of(await put(theirs, THREAD, {"n": 1}, parent=first))
    for _ in range(2):
        with pytest.raises(ConcurrentWriterError, match="another writer"):
            await put(mine, THREAD, {"n": 2}, parent=first)
        with pytest.raises(StaleHead):
            await mine.aput_writes(at(THREAD, "", first), [("x", 1)], "task")
    found = await mine.aget_tuple(at(THREAD))
    assert found is not None
    assert found.checkpoint["id"] == second
    third = id_of(await put(mine, THREAD, {"n": 2}, parent=second))
    assert await _ids(savers()) == [third, second, first]


async def test_reading_does_not_let_a_run_go_on_from_a_checkpoint_that_was_superseded(savers: Savers) -> None:
    mine, theirs = savers(), savers()
    first = id_of(await put(mine, THREAD, {"n": 0}))
    await theirs.aget_tuple(at(THREAD))
    await put(theirs, THREAD, {"n": 1}, parent=first)
    await mine.aget_tuple(at(THREAD))  # somebody shows the thread's state, while the run still goes on
    with pytest.raises(ConcurrentWriterError, match="no longer the latest"):
        await put(mine, THREAD, {"n": 2}, parent=first)


async def test_a_checkpoint_that_was_asked_for_by_its_id_may_be_forked(savers: Savers) -> None:
    mine, theirs = savers(), savers()
    first = id_of(await put(mine, THREAD, {"n": 0}))
    await theirs.aget_tuple(at(THREAD))
    await put(theirs, THREAD, {"n": 1}, parent=first)
    await mine.aget_tuple(at(THREAD, "", first))
    await put(mine, THREAD, {"n": 2}, parent=first)
    assert len(await _ids(savers())) == 3


async def test_merging_writers_keep_both_branches(savers: Savers) -> None:
    mine, theirs = savers(on_conflict="merge"), savers(on_conflict="merge")
    first = id_of(await put(mine, THREAD, {"n": 0}))

    async def branch(saver: BlobCheckpointSaver) -> None:
        parent = first
        for n in range(10):
            parent = id_of(await put(saver, THREAD, {"n": n}, parent=parent))

    await asyncio.gather(branch(mine), branch(theirs))
    assert len(await _ids(savers())) == 21


async def test_two_hot_writers_lose_nothing_that_was_acknowledged(savers: Savers) -> None:
    acknowledged: list[str] = []

    async def run(saver: BlobCheckpointSaver) -> None:
        while len(acknowledged) < 20:
            found = await saver.aget_tuple(at(THREAD))
            try:
                config = await put(saver, THREAD, {"n": 1}, parent=found.checkpoint["id"] if found else None)
            except ConcurrentWriterError:
                continue
            acknowledged.append(id_of(config))

    await asyncio.gather(run(savers()), run(savers(limits=TINY)))
    history = await _ids(savers())
    assert sorted(history) == sorted(acknowledged)
    parents = [one.parent_config async for one in savers().alist(at(THREAD))]
    # Nobody forked: every checkpoint is the child of the one before it.
    assert [id_of(parent) for parent in parents if parent] == history[1:]


async def test_a_zombie_attempt_never_commits_whatever_it_reads(savers: Savers) -> None:
    saver = savers()
    first = id_of(await put(saver, THREAD, {"n": 0}))
    zombie, successor = saver.attempt(), saver.attempt()
    for attempt in (zombie, successor):
        await attempt.aget_tuple(at(THREAD))
    second = id_of(await put(successor, THREAD, {"n": 1}, parent=first))
    await zombie.aget_tuple(at(THREAD))
    for parent in (first, second):
        with pytest.raises(ConcurrentWriterError):
            await put(zombie, THREAD, {"n": 2}, parent=parent)
        with pytest.raises(ConcurrentWriterError):
            await zombie.aput_writes(at(THREAD, "", parent), [("x", 1)], "task")
    third = id_of(await put(successor, THREAD, {"n": 2}, parent=second))
    assert await _ids(savers()) == [third, second, first]


async def test_attempts_in_one_process_that_commit_at_once_have_one_winner(savers: Savers) -> None:
    saver = savers()
    first = id_of(await put(saver, THREAD, {"n": 0}))
    attempts = [saver.attempt() for _ in range(5)]
    for attempt in attempts:
        await attempt.aget_tuple(at(THREAD))
    done = await asyncio.gather(
        *(put(attempt, THREAD, {"n": n}, parent=first) for n, attempt in enumerate(attempts)), return_exceptions=True
    )
    assert sum(isinstance(one, ConcurrentWriterError) for one in done) == 4
    assert len(await _ids(savers())) == 2


async def test_an_attempt_refuses_a_parent_that_is_not_the_latest(savers: Savers) -> None:
    saver = savers()
    first = id_of(await put(saver, THREAD, {"n": 0}))
    await put(saver, THREAD, {"n": 1}, parent=first)
    attempt = saver.attempt()
    with pytest.raises(ConcurrentWriterError, match="builds on"):
        await put(attempt, THREAD, {"n": 2}, parent=first)
    await attempt.aget_tuple(at(THREAD))
    with pytest.raises(ConcurrentWriterError, match="the parent is"):
        await put(attempt, THREAD, {"n": 2}, parent=first)
    await attempt.aget_tuple(at(THREAD, "", first))  # a fork is asked for
    await put(attempt, THREAD, {"n": 2}, parent=first)


async def test_an_attempt_may_fork_a_checkpoint_that_it_was_shown_in_a_listing(savers: Savers) -> None:
    saver = savers()
    first = id_of(await put(saver, THREAD, {"n": 0}))
    second = id_of(await put(saver, THREAD, {"n": 1}, parent=first))
    attempt = saver.attempt()
    shown = [one.checkpoint["id"] async for one in attempt.alist(at(THREAD), before=at(THREAD, "", second), limit=1)]
    assert shown == [first]
    await put(attempt, THREAD, {"n": 2}, parent=first)


async def test_parallel_tasks_on_several_workers_add_their_writes_and_one_commits(savers: Savers) -> None:
    workers = [savers().attempt(shared=True) for _ in range(4)]
    first = await put(savers(), THREAD, {"n": 0})
    for worker in workers:
        await worker.aget_tuple(at(THREAD))
    await asyncio.gather(*(worker.aput_writes(first, [("x", n)], f"t{n}") for n, worker in enumerate(workers)))
    committer = savers().attempt()
    assert sorted(value for _, _, value in await _writes(committer)) == [0, 1, 2, 3]
    await put(committer, THREAD, {"n": 1}, parent=id_of(first))
    with pytest.raises(ConcurrentWriterError):
        await workers[0].aput_writes(first, [("x", 9)], "t9")


async def test_a_task_that_shares_the_head_commits_no_checkpoint_over_what_it_has_not_seen(savers: Savers) -> None:
    first = await put(savers(), THREAD, {"n": 0})
    mine, theirs = (savers().attempt(shared=True) for _ in range(2))
    for worker in (mine, theirs):
        await worker.aget_tuple(at(THREAD))
    await theirs.aput_writes(first, [("x", 1)], "t1")
    await mine.aput_writes(first, [("x", 2)], "t2")
    with pytest.raises(ConcurrentWriterError):
        await put(mine, THREAD, {"n": 1}, parent=id_of(first))


async def test_a_put_that_names_the_head_it_replaces_is_refused_on_any_other(savers: Savers) -> None:
    saver = savers(on_conflict="merge")
    assert saver.guards_head
    checkpoint = made({"n": 0})
    first = await saver.aput(_expecting(None), checkpoint, METADATA, checkpoint["channel_versions"])
    for wrong in (None, "another"):
        with pytest.raises(StaleHead, match="started from"):
            await saver.aput(_expecting(wrong), made({"n": 1}), METADATA, {"n": 1})
    child = made({"n": 1})
    await saver.aput(_expecting(id_of(first)), child, METADATA, {"n": 1})
    assert await _ids(savers()) == [child["id"], id_of(first)]
    found = await saver.aget_tuple(at(THREAD))
    assert found is not None
    assert EXPECTED_HEAD not in found.metadata


def _expecting(head: str | None) -> Any:
    return {"configurable": {"thread_id": THREAD, "checkpoint_ns": "", EXPECTED_HEAD: head}}


async def test_a_child_made_under_a_clock_behind_its_parents_becomes_the_latest(savers: Savers) -> None:
    ahead = "1f000000-0000-6000-8000-000000000000"
    behind = ["1e000000-0000-6000-8000-000000000000", "1d000000-0000-6000-8000-000000000000"]
    parent = id_of(await put(savers(limits=TINY), THREAD, {"n": 0}, id_=ahead))
    order = [parent]
    for n, id_ in enumerate(behind):
        saver = savers(limits=TINY)
        await saver.aget_tuple(at(THREAD))
        order.append(id_of(await put(saver, THREAD, {"n": n}, parent=order[-1], id_=id_)))
    for n in range(6):
        saver = savers(limits=TINY)
        found = await saver.aget_tuple(at(THREAD))
        assert found is not None
        assert found.checkpoint["id"] == order[-1]
        order.append(
            id_of(await put(saver, THREAD, {"n": n}, parent=order[-1], id_=f"1c{n}00000-0000-6000-8000-000000000000"))
        )
    assert await _ids(savers()) == order[::-1]
    before = at(THREAD, "", behind[0])
    assert [one.checkpoint["id"] async for one in savers().alist(at(THREAD), before=before)] == [parent]
