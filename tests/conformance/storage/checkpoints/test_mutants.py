"""The proofs of fencing are proofs: with the conditions of writes taken out of the store, they fail.

Each test below passes on an unchanged store that is wrapped in the same way, so it is the missing condition, and
nothing else about the wrapper, that makes it fail.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints import ConcurrentWriterError, CorruptCheckpoint
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.objects import ObjectEntry, ObjectStore, StoredObject
from tests.conformance.storage.checkpoints import test_fencing as fencing
from tests.conformance.storage.checkpoints.savers import at, id_of, put


class Wrapper:
    """A store; `careful` says whether it hands on the conditions of a write or ignores them, as without If-Match."""

    def __init__(self, inner: ObjectStore, *, careful: bool) -> None:
        self.inner = inner
        self.careful = careful

    async def get(self, key: str) -> StoredObject | None:
        return await self.inner.get(key)

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False, note: str | None = None
    ) -> str:
        if not self.careful:
            return await self.inner.put(key, data, note=note)
        return await self.inner.put(key, data, if_match=if_match, if_absent=if_absent, note=note)

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        return await self.inner.delete(key, if_match=if_match if self.careful else None)

    async def delete_many(self, keys: Sequence[str]) -> None:
        await self.inner.delete_many(keys)

    def list(
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None, notes: bool = False
    ) -> AsyncIterator[ObjectEntry]:
        return self.inner.list(prefix, start_after=start_after, limit=limit, notes=notes)

    async def aclose(self) -> None:
        await self.inner.aclose()


async def a_late_answer_never_undoes_what_was_acknowledged(savers: Any) -> None:
    """A process stands still with its commit half sent, another one goes on, and the first one wakes up."""
    mine, theirs = savers(on_conflict="merge"), savers(on_conflict="merge")
    parent = id_of(await put(mine, "t", {"n": 0}))
    acknowledged = [parent]
    for n in range(10):
        both = await asyncio.gather(*(put(one, "t", {"n": n}, parent=parent) for one in (mine, theirs)))
        acknowledged += map(id_of, both)
        parent = acknowledged[-1]
    stored = {one.checkpoint["id"] async for one in savers().alist(at("t"))}
    assert stored == set(acknowledged)


MUTANTS = [
    fencing.test_the_loser_of_two_writers_stops_until_it_reads_again,
    fencing.test_two_hot_writers_lose_nothing_that_was_acknowledged,
    fencing.test_merging_writers_keep_both_branches,
    fencing.test_parallel_tasks_on_several_workers_add_their_writes_and_one_commits,
    a_late_answer_never_undoes_what_was_acknowledged,
]
# A lost checkpoint, a refusal that did not come or came too late, an object that only a lost head referred to.
EXPECTED = (AssertionError, ConcurrentWriterError, CorruptCheckpoint, pytest.fail.Exception)


async def _carry_out(test: Any, *, careful: bool) -> None:
    store, made = Wrapper(MemoryObjectStore(), careful=careful), list[BlobCheckpointSaver]()

    def savers(**options: Any) -> BlobCheckpointSaver:
        made.append(BlobCheckpointSaver(store, **options))
        return made[-1]

    try:
        async with asyncio.timeout(20):
            await test(savers)
    finally:
        for saver in made:
            await saver.aclose()


@pytest.mark.parametrize("test", MUTANTS, ids=lambda test: test.__name__)
async def test_this_suite_fails_when_if_match_is_taken_out(test: Any) -> None:
    await _carry_out(test, careful=True)
    with pytest.raises(EXPECTED):
        await _carry_out(test, careful=False)
