"""Runs and threads: what is stored where, and the conditional writes that keep them right.

Keys, below the container's root (``hh`` spreads them)::

    runs/{hh}/{run}/record          RunRecord, conditional
    runs/{hh}/{run}/request         RunRequest, immutable
    runs/{hh}/{run}/output          the output as JSON, immutable
    runs/{hh}/{run}/failures/{c}/{t} RunFailure of a task that was executed apart
    runs/{hh}/{run}/waits/{n}       WaitRecord, immutable
    runs/{hh}/{run}/answers/{n}/{i} AnswerRecord, first writer wins
    live/{run}                      exists while the run has not ended
    recent/{time}-{run}             newest first, for listings
    threads/{hh}/{thread}           ThreadRecord, conditional
    idempotency/{hash}              the run that a key was given to, first writer wins
"""

import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from durablegraph.model.ids import key_part, spread
from durablegraph.model.records import AnswerRecord, RunFailure, RunRecord, RunRequest, ThreadRecord, WaitRecord
from durablegraph.storage.documents import Documents, Versioned
from durablegraph.storage.objects import ObjectStore

_FAR = 10**13
"""Milliseconds in the year 2286: subtracting a time from it orders keys newest first."""


class _Claimed(BaseModel):
    run_id: str
    digest: str


class RunStore:
    """Everything that is stored about runs and threads; safe to share between tasks."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._records = Documents(store, RunRecord)
        self._requests = Documents(store, RunRequest)
        self._waits = Documents(store, WaitRecord)
        self._failures = Documents(store, RunFailure)
        self._answers = Documents(store, AnswerRecord)
        self._threads = Documents(store, ThreadRecord)
        self._claims = Documents(store, _Claimed)

    # ---- runs

    async def create(self, request: RunRequest, record: RunRecord) -> bool:
        """Store a new run; False when a run of this id exists. The request is there before the record is."""
        await self._requests.create(_run(request.run_id, "request"), request)
        await self._store.put(f"live/{record.run_id}", b"")
        created = await self._records.create(_run(record.run_id, "record"), record)
        if created:
            await self._store.put(_recent(record), record.run_id.encode())
        return created

    async def load(self, run_id: str) -> Versioned[RunRecord] | None:
        """The run's record with its etag, or None when there is no such run."""
        return await self._records.load(_run(run_id, "record"))

    async def request(self, run_id: str) -> RunRequest | None:
        """What the caller asked for; never changes."""
        found = await self._requests.load(_run(run_id, "request"))
        return found.value if found else None

    async def change(self, run_id: str, change: Callable[[RunRecord], RunRecord]) -> RunRecord | None:
        """Change the record (see `Documents.change`)."""
        return await self._records.change(_run(run_id, "record"), change)

    async def settle(self, run_id: str) -> None:
        """Forget that an ended run was live; called after its record says that it ended."""
        await self._store.delete(f"live/{run_id}")

    async def live(self, *, start_after: str | None = None, limit: int = 200) -> list[tuple[str, str]]:
        """(position, run id) of runs that may not have ended, in the order of positions, after one."""
        entries = self._store.list("live/", start_after=start_after, limit=limit)
        return [(entry.key, entry.key.removeprefix("live/")) async for entry in entries]

    async def recent(self, *, start_after: str | None = None) -> AsyncIterator[tuple[str, RunRecord]]:
        """(position, record) of runs, newest first."""
        async for entry in self._store.list("recent/", start_after=start_after):
            found = await self.load(entry.key.partition("-")[2])
            if found:
                yield entry.key, found.value

    async def delete(self, record: RunRecord) -> None:
        """Remove everything about an ended run; its thread and checkpoints stay."""
        keys = [entry.key async for entry in self._store.list(_run(record.run_id, ""))]
        await self._store.delete_many([*keys, _recent(record), f"live/{record.run_id}"])

    async def put_output(self, run_id: str, output: Any) -> None:
        """Store the run's output (JSON); the same call again changes nothing."""
        await self._store.put(_run(run_id, "output"), json.dumps(output, ensure_ascii=False).encode())

    async def output(self, run_id: str) -> Any:
        """The run's output, None when there is none."""
        found = await self._store.get(_run(run_id, "output"))
        return json.loads(found.data) if found else None

    async def put_failure(self, run_id: str, checkpoint: str, task: str, failure: RunFailure) -> None:
        """Store that a task of the super-step after this checkpoint failed; the first telling stays."""
        await self._failures.create(_run(run_id, f"failures/{checkpoint}/{key_part(task)}"), failure)

    async def failure(self, run_id: str, checkpoint: str) -> RunFailure | None:
        """The failure of a task of the super-step after this checkpoint; with several, the same one at every call."""
        async for entry in self._store.list(_run(run_id, f"failures/{checkpoint}/"), limit=1):
            found = await self._failures.load(entry.key)
            return found.value if found else None
        return None

    # ---- waits and answers

    async def begin_wait(self, run_id: str, wait: WaitRecord) -> None:
        """Store what the run waits for; the same wait again changes nothing."""
        await self._waits.create(_run(run_id, f"waits/{wait.wait}"), wait)

    async def wait(self, run_id: str, number: int) -> WaitRecord | None:
        """What the run's wait of this number is about."""
        found = await self._waits.load(_run(run_id, f"waits/{number}"))
        return found.value if found else None

    async def answer(self, run_id: str, wait: int, answer: AnswerRecord) -> AnswerRecord:
        """Store an answer; the result is the one that won, which is another one when somebody was faster."""
        key = _run(run_id, f"answers/{wait}/{key_part(answer.interrupt_id)}")
        while True:
            if await self._answers.create(key, answer):
                return answer
            if found := await self._answers.load(key):
                return found.value

    async def answers(self, run_id: str, wait: int) -> dict[str, AnswerRecord]:
        """The answers that are stored for a wait, by interrupt id."""
        keys = [entry.key async for entry in self._store.list(_run(run_id, f"answers/{wait}/"))]
        found = [await self._answers.load(key) for key in keys]
        return {item.value.interrupt_id: item.value for item in found if item}

    # ---- threads

    async def thread(self, thread_id: str) -> Versioned[ThreadRecord] | None:
        """The thread's record."""
        return await self._threads.load(_thread(thread_id))

    async def create_thread(self, thread: ThreadRecord) -> bool:
        """Store a thread; False when it exists."""
        return await self._threads.create(_thread(thread.thread_id), thread)

    async def change_thread(
        self, thread_id: str, change: Callable[[ThreadRecord], ThreadRecord]
    ) -> ThreadRecord | None:
        """Change a thread's record (see `Documents.change`)."""
        return await self._threads.change(_thread(thread_id), change)

    # ---- idempotency

    async def claim_key(self, key: str, run_id: str, digest: str) -> tuple[str, bool]:
        """Give an idempotency key to a run: the run that has it, and whether its request was the same."""
        name = f"idempotency/{key_part('~' + key)}"
        claim = _Claimed(run_id=run_id, digest=digest)
        if await self._claims.create(name, claim):
            return run_id, True
        found = await self._claims.load(name)
        return (found.value.run_id, found.value.digest == digest) if found else (run_id, True)


def _run(run_id: str, name: str) -> str:
    return f"runs/{spread(run_id)}/{key_part(run_id)}/{name}"


def _thread(thread_id: str) -> str:
    return f"threads/{spread(thread_id)}/{key_part(thread_id)}"


def _recent(record: RunRecord) -> str:
    return f"recent/{_FAR - _milliseconds(record.created_at):013d}-{record.run_id}"


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
