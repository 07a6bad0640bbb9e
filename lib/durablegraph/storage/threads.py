"""Threads: their records, and the lists of them.

Several parties change a thread at once: the starter that claims it, the run that waits or ends, the supervisor. Each
changes the record conditionally, then writes all entries of the lists, and reads the record once more: when it was
changed meanwhile, its entries are written again. So the last to write knows the last record.

A crash in between is mended by way of the active run's mark (see `storage.run_lists`). A change that takes a thread out
of a list, or that no run stands for, leaves a mark of its own first: ``live/threads/{thread}/{digest}`` with the keys.
"""

import hashlib
from collections.abc import Callable, Iterable

from pydantic import BaseModel

from durablegraph.errors import StaleHead
from durablegraph.model.ids import key_part, spread
from durablegraph.model.records import ThreadRecord
from durablegraph.storage.documents import Documents, Versioned
from durablegraph.storage.indexes import Filter, Index, Page, search
from durablegraph.storage.indexes.kinds import THREADS
from durablegraph.storage.objects import ObjectStore, PreconditionFailed

_TRIES = 50


class _Mark(BaseModel):
    """Entries that may stand though the thread's record does not ask for them."""

    thread_id: str
    keys: list[str]


class ThreadStore:
    """Everything that is stored about threads but their checkpoints."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._threads = Documents(store, ThreadRecord)
        self._marks = Documents(store, _Mark)
        self._index = Index(store, THREADS)

    async def load(self, thread_id: str) -> Versioned[ThreadRecord] | None:
        """The thread's record."""
        return await self._threads.load(_thread(thread_id))

    async def search(self, wanted: Filter, *, after: str | None, limit: int) -> Page[ThreadRecord]:
        """Threads, newest first."""

        async def load(thread_id: str) -> ThreadRecord | None:
            found = await self.load(thread_id)
            return found.value if found else None

        return await search(self._index, wanted, load, after=after, limit=limit)

    async def create(self, thread: ThreadRecord) -> bool:
        """Store a thread; False when it exists."""
        mark = None if thread.active_run else await self._mark(thread.thread_id, self._index.keys(thread))
        created = await self._threads.create(_thread(thread.thread_id), thread)
        if created:
            await self._tell(thread.thread_id, thread, fresh=True)
        if mark:  # not created: whoever was first may have died before its entries were written
            await (self._store.delete(mark) if created else self.mend(mark))
        return created

    async def change(self, thread_id: str, change: Callable[[ThreadRecord], ThreadRecord]) -> ThreadRecord | None:
        """Change a thread's record (see `Documents.change`)."""
        for _ in range(_TRIES):
            current = await self.load(thread_id)
            if current is None:
                return None
            wanted = change(current.value)
            if wanted is current.value:
                return wanted
            retired = set(self._index.keys(current.value)) - set(self._index.keys(wanted))
            mark = await self._mark(thread_id, retired) if retired else None
            try:
                await self._threads.replace(_thread(thread_id), wanted, current.etag)
            except PreconditionFailed:
                continue
            await self._tell(thread_id, wanted, retired)
            if mark:
                await self._store.delete(mark)
            return wanted
        raise StaleHead(f"the thread {thread_id!r} was changed by others {_TRIES} times in a row; try again")

    async def delete(self, thread_id: str) -> bool:
        """Remove a thread's record and its entries; False when there is none. Runs and checkpoints stay."""
        found = await self.load(thread_id)
        if found is None:
            return False
        mark = await self._mark(thread_id, self._all_keys(found.value))
        await self._store.delete(_thread(thread_id))
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
        found = await self.load(thread_id)
        await self._tell(thread_id, found.value if found else None, retired)

    async def _mark(self, thread_id: str, keys: Iterable[str]) -> str:
        listed = sorted(keys)
        name = hashlib.sha256("\n".join(listed).encode()).hexdigest()[:16]
        key = f"live/threads/{key_part(thread_id)}/{name}"
        await self._store.put(key, _Mark(thread_id=thread_id, keys=listed).model_dump_json().encode())
        return key

    async def _tell(
        self, thread_id: str, thread: ThreadRecord | None, retired: Iterable[str] = (), *, fresh: bool = False
    ) -> None:
        """Write entries until they are those of the current record; `fresh` when there can be no others."""
        stale = set(retired)
        for _ in range(_TRIES):
            if thread is not None:
                await self._index.put(thread, self._own_keys(thread))
                stale |= set() if fresh else set(self._all_keys(thread))
            await self._index.remove(stale - set(self._own_keys(thread) if thread else ()))
            current = await self.load(thread_id)
            if (current.value if current else None) == thread:
                return
            stale |= set(self._all_keys(thread) if thread else ())
            thread, fresh = current.value if current else None, False
        raise StaleHead(f"the thread {thread_id!r} was changed by others {_TRIES} times in a row; try again")

    def _own_keys(self, thread: ThreadRecord) -> list[str]:
        return [*self._index.keys(thread), self._index.status_key(thread)]

    def _all_keys(self, thread: ThreadRecord) -> list[str]:
        return [*self._index.keys(thread), *self._index.status_keys(thread, THREADS.statuses)]


def _thread(thread_id: str) -> str:
    return f"threads/{spread(thread_id)}/{key_part(thread_id)}"
