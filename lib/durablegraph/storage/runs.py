"""Runs and threads: what is stored where, and the conditional writes that keep them right.

Keys, below the container's root (``hh`` spreads them)::

    runs/{hh}/{run}/record          RunRecord, conditional
    runs/{hh}/{run}/request         RunRequest, immutable; a small one is a part of the record instead
    runs/{hh}/{run}/output          the output as JSON, immutable
    runs/{hh}/{run}/failures/{c}/{t} RunFailure of a task that was executed apart
    runs/{hh}/{run}/waits/{n}       WaitRecord, immutable
    runs/{hh}/{run}/answers/{n}/{i} AnswerRecord, first writer wins
    index/runs/{facet}/{position}   an entry of a list, newest first (see `storage.indexes`)
    live/runs/{status}/{position}   the same for a status that is no end: the run's mark (see `storage.run_lists`)
    threads/{hh}/{thread}           ThreadRecord, conditional (see `storage.threads`)
    idempotency/{hash}              the run that a key was given to, first writer wins
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from durablegraph.model.ids import key_part
from durablegraph.model.records import AnswerRecord, RunFailure, RunRecord, RunRequest, ThreadRecord, WaitRecord
from durablegraph.storage.documents import Documents, Versioned, encode
from durablegraph.storage.indexes import Filter, Mark, Page
from durablegraph.storage.keys import run_key
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.run_lists import RunLists
from durablegraph.storage.threads import ThreadStore
from durablegraph.storage.wakes import Wake, Wakes

_SMALL_REQUEST = 2048
"""Bytes of a request that is stored in its run's record, which is read and written again and again."""
_REMEMBERED = 256
"""Records of runs that this process has to do with, so that it need not read what it has just written."""
MOST_FAILURES = 10_000
"""Failed tasks that are looked at."""


class _Claimed(BaseModel):
    run_id: str
    digest: str


class RunStore:
    """Everything that is stored about runs and threads; safe to share between tasks."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._records = Documents(store, RunRecord, remembered=_REMEMBERED)
        self._requests = Documents(store, RunRequest)
        self._waits = Documents(store, WaitRecord)
        self._failures = Documents(store, RunFailure)
        self._answers = Documents(store, AnswerRecord)
        self._threads = ThreadStore(store)
        self._lists = RunLists(store, self._records, self._threads)
        self._claims = Documents(store, _Claimed)
        self._wakes = Wakes()

    # ---- runs

    async def create(self, request: RunRequest, record: RunRecord) -> bool:
        """Store a new run; False when a run of this id exists. Request and mark are there before the record is."""
        key = run_key(record.run_id, "record")
        if self._records.known(key) is not None:
            return False
        if len(encode(request)) <= _SMALL_REQUEST:
            record = record.model_copy(update={"request": request})
        elif not await self._requests.create(run_key(request.run_id, "request"), request) and await self._record(
            record.run_id
        ):
            return False
        mark = await self._lists.announce(record)
        if await self._records.create(key, record):
            return True
        if found := await self.load(record.run_id):  # another starter of the same run was faster
            await self._lists.retell(found.value, stray=mark)
        return False

    async def load(self, run_id: str) -> Versioned[RunRecord] | None:
        """The run's record with its etag, or None when there is no such run."""
        return await self._records.load(run_key(run_id, "record"))

    async def request(self, run_id: str) -> RunRequest | None:
        """What the caller asked for; never changes."""
        record = self._records.known(run_key(run_id, "record")) or await self._record(run_id)
        if record is None:
            return None
        if record.request is not None:
            return record.request
        found = await self._requests.load(run_key(run_id, "request"))
        return found.value if found else None

    async def change(self, run_id: str, change: Callable[[RunRecord], RunRecord]) -> RunRecord | None:
        """Change the record (see `Documents.change`), and what lists and the thread tell of it.

        The thread of a run that ends by it is free afterwards, and the run has no mark.
        """
        tried: list[tuple[RunRecord, RunRecord]] = []
        foretold: list[RunRecord] = []

        async def before_write(before: RunRecord, after: RunRecord) -> None:
            tried.append((before, after))
            if await self._lists.foretell(before, after):
                foretold.append(after)

        after = await self._records.change(run_key(run_id, "record"), change, before_write=before_write)
        if tried and after is tried[-1][1]:
            await self._lists.tell(*tried[-1])
        elif foretold:  # somebody else was faster, and does not know of it
            await self._lists.retell(after or foretold[-1])
        if tried:
            self._wakes.tell(run_id)
        return after

    def changes(self, run_id: str) -> AbstractContextManager[Wake]:
        """For whoever waits until the run's record changes: pauses that end when this process has changed it."""
        return self._wakes.of(run_id)

    async def retell(self, record: RunRecord) -> None:
        """Make lists and the thread tell what a run's record says, whatever they told before; free an ended one's."""
        await self._lists.retell(record)

    async def marks(self, *, start_after: str | None = None, limit: int = 200) -> list[Mark]:
        """Marks of runs that may not have ended, and of what was broken off, in the order of their keys."""
        return await self._lists.marks(start_after=start_after, limit=limit)

    async def mend(self, mark: Mark, now: datetime) -> RunRecord | None:
        """Complete what a mark stands for; the result is its run's record, None when there is none."""
        return await self._lists.mend(mark, now)

    async def search(self, wanted: Filter, *, after: str | None = None, limit: int) -> Page[RunRecord]:
        """Runs, newest first, as lists show them: without what only the run itself needs."""
        return await self._lists.search(wanted, after=after, limit=limit)

    def of_thread(self, thread_id: str) -> AsyncIterator[str]:
        """The ids of a thread's runs, newest first."""
        return self._lists.of_thread(thread_id)

    async def delete(self, record: RunRecord) -> None:
        """Remove everything about an ended run; its thread and checkpoints stay."""
        await self._lists.delete(record)

    async def put_output(self, run_id: str, output: Any) -> None:
        """Store the run's output (JSON); the same call again changes nothing."""
        await self._store.put(run_key(run_id, "output"), json.dumps(output, ensure_ascii=False).encode())

    async def output(self, run_id: str) -> Any:
        """The run's output, None when there is none."""
        found = await self._store.get(run_key(run_id, "output"))
        return json.loads(found.data) if found else None

    async def put_failure(self, run_id: str, checkpoint: str, task: str, failure: RunFailure) -> None:
        """Store that a task of the super-step after this checkpoint failed; the first telling stays."""
        await self._failures.create(run_key(run_id, f"failures/{checkpoint}/{key_part(task)}"), failure)

    async def failures(self, run_id: str, checkpoint: str = "") -> list[str]:
        """The keys of what failed in the super-step after this checkpoint, or in the whole run; each ends in its task.

        At most `MOST_FAILURES`.
        """
        prefix = run_key(run_id, f"failures/{checkpoint}/" if checkpoint else "failures/")
        return [entry.key async for entry in self._store.list(prefix, limit=MOST_FAILURES)]

    async def failed(self, run_id: str, checkpoint: str) -> frozenset[str]:
        """The tasks that failed in the super-step after this checkpoint, each as `key_part` makes it."""
        return frozenset(key.rsplit("/", 1)[-1] for key in await self.failures(run_id, checkpoint))

    async def failures_at(self, keys: Sequence[str]) -> list[RunFailure]:
        """The failures of which these are keys."""
        return [found.value for key in keys if (found := await self._failures.load(key))]

    async def failure(self, run_id: str, checkpoint: str) -> RunFailure | None:
        """The failure of a task of the super-step after this checkpoint; with several, the same one at every call."""
        async for entry in self._store.list(run_key(run_id, f"failures/{checkpoint}/"), limit=1):
            found = await self._failures.load(entry.key)
            return found.value if found else None
        return None

    async def _record(self, run_id: str) -> RunRecord | None:
        found = await self.load(run_id)
        return found.value if found else None

    # ---- waits and answers

    async def begin_wait(self, run_id: str, wait: WaitRecord) -> None:
        """Store what the run waits for; the same wait again changes nothing."""
        await self._waits.create(run_key(run_id, f"waits/{wait.wait}"), wait)

    async def wait(self, run_id: str, number: int) -> WaitRecord | None:
        """What the run's wait of this number is about."""
        found = await self._waits.load(run_key(run_id, f"waits/{number}"))
        return found.value if found else None

    async def answer(self, run_id: str, wait: int, answer: AnswerRecord) -> AnswerRecord:
        """Store an answer; the result is the one that won, which is another one when somebody was faster."""
        key = run_key(run_id, f"answers/{wait}/{key_part(answer.interrupt_id)}")
        while True:
            if await self._answers.create(key, answer):
                return answer
            if found := await self._answers.load(key):
                return found.value

    async def answers(self, run_id: str, wait: int) -> dict[str, AnswerRecord]:
        """The answers that are stored for a wait, by interrupt id."""
        keys = [entry.key async for entry in self._store.list(run_key(run_id, f"answers/{wait}/"))]
        found = [await self._answers.load(key) for key in keys]
        return {item.value.interrupt_id: item.value for item in found if item}

    # ---- threads

    async def thread(self, thread_id: str) -> Versioned[ThreadRecord] | None:
        """The thread's record."""
        return await self._threads.load(thread_id)

    async def create_thread(self, thread: ThreadRecord) -> bool:
        """Store a thread; False when it exists."""
        return await self._threads.create(thread)

    async def change_thread(
        self, thread_id: str, change: Callable[[ThreadRecord], ThreadRecord], *, by_run: bool = False
    ) -> ThreadRecord | None:
        """Change a thread's record (see `Documents.change`), and what lists tell of it.

        `by_run` says that the mark of a run stands for the change until it is complete.
        """
        return await self._threads.change(thread_id, change, by_run=by_run)

    async def retell_thread(self, thread_id: str) -> None:
        """Make lists tell what a thread's record says, whatever they told before."""
        await self._threads.retell(thread_id)

    async def delete_thread(self, thread_id: str) -> bool:
        """Remove a thread's record and entries; False when there is none. Its runs and checkpoints stay."""
        return await self._threads.delete(thread_id)

    async def search_threads(self, wanted: Filter, *, after: str | None = None, limit: int) -> Page[ThreadRecord]:
        """Threads, newest first."""
        return await self._threads.search(wanted, after=after, limit=limit)

    # ---- idempotency

    async def claim_key(self, key: str, run_id: str, digest: str) -> tuple[str, bool]:
        """Give an idempotency key to a run: the run that has it, and whether its request was the same."""
        name = f"idempotency/{key_part('~' + key)}"
        claim = _Claimed(run_id=run_id, digest=digest)
        if await self._claims.create(name, claim, note=run_id):  # so that a run's keys are found by one listing
            return run_id, True
        found = await self._claims.load(name)
        return (found.value.run_id, found.value.digest == digest) if found else (run_id, True)
