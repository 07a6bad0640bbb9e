"""What tells of runs beside their records: the entries of lists, the marks of live runs, the status of the thread.

A run has a mark, ``live/runs/{status}/{position}``, from before its record exists until it has ended and everything
that tells of it is right; pending and running ones have it in one place. While a run is at work the mark is all that
lists know of it (see `indexes.search`): it is written anew before the record is, which shows by its conditional write
whether the mark was right. A change to another status writes, in this order: the record, the mark, the entries of the
other lists, the thread, and only then removes the mark of the status before. So wherever a process dies, there is a
mark that is not as the record wants it; the supervisor visits all marks, and `mend` completes what was begun.

Who tells that a run waits, or goes on after that, reads the record once more at the end; if the run has ended
meanwhile, that is what is told.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

from durablegraph.errors import StaleHead
from durablegraph.model.records import RunRecord, ThreadRecord
from durablegraph.model.status import RunStatus, thread_status
from durablegraph.storage.documents import Documents
from durablegraph.storage.indexes import Filter, Index, Page, search
from durablegraph.storage.indexes.filters import status_facet, thread_facet
from durablegraph.storage.indexes.kinds import RUNS
from durablegraph.storage.indexes.marks import DELETING, LIVE, Mark
from durablegraph.storage.indexes.positions import position
from durablegraph.storage.keys import run_key
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.threads import ThreadStore

STILLBORN: Final = timedelta(hours=1)
"""A mark without a record is removed after this: its starter died before it stored one."""
_TRIES: Final = 50


class RunLists:
    """The lists of runs. It reads records and never writes them, but for `delete`, which removes all of a run."""

    def __init__(self, store: ObjectStore, records: Documents[RunRecord], threads: ThreadStore) -> None:
        self._store = store
        self._records = records
        self._threads = threads
        self._index = Index(store, RUNS)

    # ---- as a run lives

    async def announce(self, run: RunRecord) -> str:
        """Put the mark of a run that is about to be stored; the result is its key.

        It is an unsure one until the run begins: a supervisor that finds it also looks at the thread, whose claim may
        have been broken off.
        """
        mark = self._index.status_key(run)
        await self._index.put(run, [mark], unsure=True)
        return mark

    async def foretell(self, before: RunRecord, after: RunRecord) -> bool:
        """Tell of a run that will be at work once its record is written; False when there is nothing to tell yet."""
        at_work = after.status in RUNS.at_work and self._index.note(before) != self._index.note(after)
        if at_work:
            await self._index.put(after, [self._index.status_key(after)])
        return at_work

    async def tell(self, before: RunRecord, after: RunRecord) -> None:
        """Tell of a change of the record, and free the thread of a run that has ended."""
        if self._index.note(before) == self._index.note(after) or {before.status, after.status} <= set(RUNS.at_work):
            return
        if after.status.ended:
            await self._index.put(after, self._index.own(after))
            await self._follow(after)
            await self._index.remove(self._index.others(after))
        else:
            await self._tell_living(after, same=before.status is after.status)

    async def _tell_living(self, after: RunRecord, *, same: bool) -> None:
        """Tell that a run waits, or goes on after that; `same` when it waited before and something else changed."""
        mark = self._index.status_key(after)
        if after.status is RunStatus.INTERRUPTED:
            await self._index.put(after, [mark], unsure=same)
            await self._index.put(after, self._index.keys(after))
        if not same:
            await self._follow(after)
        if await self._load(after.run_id) != after:  # somebody else was faster, and may have been before our entries
            await self.retell(after)
        elif same:
            await self._index.put(after, [mark])
        else:
            await self._index.remove(key for key in self._index.others(after) if key.startswith(LIVE))

    async def delete(self, run: RunRecord) -> None:
        """Remove everything about a run but its thread; a mark stands for it until it is done."""
        mark = f"{LIVE}{RUNS.name}/{DELETING}/{position(run.created_at, run.run_id)}"
        await self._store.put(mark, run.model_dump_json(exclude_defaults=True).encode())
        keys = [entry.key async for entry in self._store.list(run_key(run.run_id, ""))]
        await self._store.delete_many([*keys, *self._index.own(run), *self._index.others(run)])
        await self._store.delete(mark)

    # ---- repair

    async def marks(self, *, start_after: str | None, limit: int) -> list[Mark]:
        """The next marks in the order of their keys: one request."""
        entries = self._store.list(LIVE, start_after=start_after, limit=limit, notes=True)
        return [self._mark(entry.key, entry.note) async for entry in entries]

    async def mend(self, mark: Mark, now: datetime) -> RunRecord | None:
        """Complete what a mark stands for; the result is the record of its run, None when there is none."""
        if mark.of_thread:
            await self._threads.mend(mark.key)
            return None
        if old := mark.of_old_layout:
            return await self._adopt(old, mark.key)
        if mark.run is None:
            if stored := await self._store.get(mark.key):
                await self.delete(RunRecord.model_validate_json(stored.data))
            return None
        run = await self._load(mark.run.run_id)
        if run is None:
            await self._bury(mark.run, now)
        elif mark.key != self._index.status_key(run) or mark.note != self._index.note(run):
            await self.retell(run, stray=mark.key)
        return run

    async def _adopt(self, run_id: str, mark: str) -> RunRecord | None:
        """Put entries where a store of before there were lists has only a mark."""
        run = await self._load(run_id)
        await (self._store.delete(mark) if run is None else self.retell(run, stray=mark))
        return run

    async def retell(self, run: RunRecord, stray: str | None = None) -> None:
        """Write everything anew that tells of a run, whatever was there; `stray` is a mark that may not be its own."""
        current: RunRecord | None = run
        for _ in range(_TRIES):
            if current is None:
                return await self.delete(run)
            run, own = current, self._index.status_key(current)
            await self._index.put(run, [own], unsure=not run.status.ended)
            await self._index.put(run, self._index.keys(run))
            await self._follow(run)
            await self._threads.retell(run.thread_id)
            current = await self._load(run.run_id)
            if current == run:
                if not run.status.ended:
                    await self._index.put(run, [own])
                return await self._index.remove({*self._index.others(run), *([stray] if stray else [])} - {own})
        raise StaleHead(f"the run {run.run_id!r} was changed by others {_TRIES} times in a row; try again")

    async def _bury(self, told: RunRecord, now: datetime) -> None:
        """Remove what a starter left that died before it stored a record, once it must be dead."""
        if now - told.created_at > STILLBORN:
            await self.delete(told)

    async def _follow(self, run: RunRecord) -> None:
        """Let the thread show what its active run does, and free it when that has ended."""
        status = thread_status(run.status)

        def change(thread: ThreadRecord) -> ThreadRecord:
            told = thread.turn > run.turn or (thread.turn == run.turn and thread.status is status)
            if thread.active_run != run.run_id or (told and not run.status.ended):
                return thread
            shown = {"status": status, "turn": run.turn, "updated_at": run.updated_at}
            freed = {"active_run": None, "last_run": run.run_id} if run.status.ended else {}
            return thread.model_copy(update={**shown, **freed})

        await self._threads.change(run.thread_id, change, by_run=True, from_memory=run.turn <= 1)

    async def _load(self, run_id: str) -> RunRecord | None:
        found = await self._records.load(run_key(run_id, "record"))
        return found.value if found else None

    def _mark(self, key: str, note: str | None) -> Mark:
        return Mark(key, note, None if note is None else self._index.told(key, note).record)

    # ---- lists

    async def search(self, wanted: Filter, *, after: str | None, limit: int) -> Page[RunRecord]:
        """Runs, newest first, without what only the run itself needs."""
        return await search(self._index, wanted, self._load, after=after, limit=limit)

    async def of_thread(self, thread_id: str) -> AsyncIterator[str]:
        """The ids of a thread's runs, newest first; it reads the list of all that are at work."""
        found = {}
        for facet in (thread_facet(thread_id), status_facet(RunStatus.RUNNING)):
            async for at, note in self._index.entries(facet, None, None):
                run = None if note is None else self._index.told(at, note).record
                if run is not None and run.thread_id == thread_id:
                    found[at] = run.run_id
        for at in sorted(found):
            yield found[at]
