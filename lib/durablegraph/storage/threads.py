"""Threads: their records, and the lists of them.

Several parties change a thread at once: the starter that claims it, the run that waits or ends, the supervisor. Each
reads the record, writes the entries of the lists, and then changes the record conditionally: that fails when somebody
else was faster, and then the entries are written again as the record has it. A busy thread has one entry, that of its
status; what its other entries tell does not count meanwhile (see `indexes.search`).

A crash in between is mended by way of the active run's mark (see `storage.run_lists`). A change that takes a thread out
of a list, or that no run stands for, leaves a mark of its own first: ``live/threads/{thread}/{digest}`` with the keys.
"""

import hashlib
from collections.abc import Callable, Iterable

from pydantic import BaseModel

from durablegraph.errors import StaleHead
from durablegraph.model.records import ThreadRecord
from durablegraph.storage.documents import Documents, Versioned
from durablegraph.storage.indexes import Filter, Index, Page, search
from durablegraph.storage.indexes.kinds import THREADS
from durablegraph.storage.keys import thread_key, thread_marks
from durablegraph.storage.objects import ObjectStore

_TRIES = 50
_REMEMBERED = 256
"""Records of threads that this process has claimed, so that the end of a run need not read what its start wrote."""


class _Mark(BaseModel):
    """Entries that may stand though the thread's record does not ask for them."""

    thread_id: str
    keys: list[str]


class ThreadStore:
    """Everything that is stored about threads but their checkpoints."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._threads = Documents(store, ThreadRecord, remembered=_REMEMBERED)
        self._marks = Documents(store, _Mark)
        self._index = Index(store, THREADS)

    async def load(self, thread_id: str) -> Versioned[ThreadRecord] | None:
        """The thread's record."""
        return await self._threads.load(thread_key(thread_id))

    async def search(self, wanted: Filter, *, after: str | None, limit: int) -> Page[ThreadRecord]:
        """Threads, newest first."""
        return await search(self._index, wanted, self._current, after=after, limit=limit)

    async def create(self, thread: ThreadRecord) -> bool:
        """Store a thread; False when it exists."""
        mark = None if thread.active_run else await self._mark(thread.thread_id, self._index.everywhere(thread))
        created = await self._threads.create(thread_key(thread.thread_id), thread)
        if created:
            await self._index.put(thread, self._index.own(thread))
        if mark is None:  # that of a run that is about to begin stands for it
            return created
        if created and await self._current(thread.thread_id) == thread:
            await self._store.delete(mark)
        else:  # not created: whoever was first may have died before its entries were written
            await self.mend(mark)
        return created

    async def change(
        self,
        thread_id: str,
        change: Callable[[ThreadRecord], ThreadRecord],
        *,
        by_run: bool = False,
        from_memory: bool = False,
    ) -> ThreadRecord | None:
        """Change a thread's record (see `Documents.change`); `by_run` when a run's mark stands for it meanwhile."""
        marks: list[str] = []
        tried: list[ThreadRecord] = []

        async def before_write(before: ThreadRecord, after: ThreadRecord) -> None:
            tried.append(after)
            old, new = set(self._index.everywhere(before)), set(self._index.everywhere(after))
            if old != new or not by_run:
                marks.append(await self._mark(thread_id, old ^ new))
            await self._index.put(after, self._index.own(after))
            busy = after.status in THREADS.at_work
            await self._index.remove({*(old - new), *([] if busy else self._index.others(after))})

        changed = await self._threads.change(
            thread_key(thread_id), change, before_write=before_write, from_memory=from_memory
        )
        if len(tried) > 1 or (tried and changed is not tried[0]):
            await self.retell(thread_id, {key for one in tried for key in self._index.own(one)})
        for mark in marks:
            await (self._store.delete(mark) if len(tried) == 1 else self.mend(mark))
        return changed

    async def delete(self, thread_id: str) -> bool:
        """Remove a thread's record and its entries; False when there is none. Runs and checkpoints stay."""
        found = await self.load(thread_id)
        if found is None:
            return False
        mark = await self._mark(thread_id, [*self._index.own(found.value), *self._index.others(found.value)])
        await self._store.delete(thread_key(thread_id))
        await self.mend(mark)
        return True

    async def mend(self, mark: str) -> None:
        """Make the entries right that a mark stands for; the mark goes."""
        found = await self._marks.load(mark)
        if found is not None:
            await self.retell(found.value.thread_id, found.value.keys)
            await self._store.delete(mark)

    async def retell(self, thread_id: str, retired: Iterable[str] = ()) -> None:
        """Write a thread's entries anew, whatever they were, and remove those that it should not have."""
        stale, thread = set(retired), await self._current(thread_id)
        for _ in range(_TRIES):
            own = set(self._index.own(thread)) if thread else set()
            if thread is not None:
                await self._index.put(thread, own)
                stale |= self._index.others(thread)
            await self._index.remove(stale - own)
            told, thread = thread, await self._current(thread_id)
            if thread == told:
                return
            stale |= own
        raise StaleHead(f"the thread {thread_id!r} was changed by others {_TRIES} times in a row; try again")

    async def _mark(self, thread_id: str, keys: Iterable[str]) -> str:
        listed = sorted(keys)
        name = hashlib.sha256("\n".join(listed).encode()).hexdigest()[:16]
        key = thread_marks(thread_id) + name
        await self._store.put(key, _Mark(thread_id=thread_id, keys=listed).model_dump_json().encode())
        return key

    async def _current(self, thread_id: str) -> ThreadRecord | None:
        found = await self.load(thread_id)
        return found.value if found else None
