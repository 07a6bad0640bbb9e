"""What goes by its age: ended runs, idle threads, idempotency keys; and what runs left that are gone."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial

from durablegraph.errors import Conflict, NotFound
from durablegraph.model.records import RunRecord, ThreadRecord
from durablegraph.storage import checkpoints
from durablegraph.storage.documents import Documents
from durablegraph.storage.objects import ObjectEntry
from durablegraph.storage.retention.erasing import ERASURES, erase_run, erase_thread, resume_erasure
from durablegraph.storage.retention.finds import (
    Find,
    Looked,
    Retention,
    Times,
    found,
    grouped,
    judged,
    remove_unchanged,
)
from durablegraph.storage.retention.policy import is_active
from durablegraph.storage.written import written

_UNFINISHED = timedelta(minutes=5)
"""An erasure that is older was broken off: its caller has given up by now."""


async def erasures(retention: Retention, after: str | None, times: Times) -> AsyncIterator[Looked]:
    """Threads whose erasure was broken off; a policy is not asked."""
    async for entry in retention.objects.list(ERASURES, start_after=after):
        due = times.now - entry.modified >= _UNFINISHED
        resume = partial(resume_erasure, retention, entry.key, times.now)
        yield Looked(entry.key, 1, found("unfinished erasures", entry.key, [entry], resume) if due else None)


async def runs(retention: Retention, after: str | None, times: Times) -> AsyncIterator[Looked]:
    """Ended runs that are due, and objects of runs that have no record."""
    async for beginning, entries in grouped(retention.objects.list("runs/", start_after=after, notes=True), 3):
        yield Looked(entries[-1].key, len(entries), await judged(beginning, _run(retention, beginning, entries, times)))


async def _run(retention: Retention, beginning: str, entries: Sequence[ObjectEntry], times: Times) -> Find | None:
    key, policy, now = f"{beginning}record", retention.policy, times.now
    record = next((entry for entry in entries if entry.key == key), None)
    if record is None:
        if not all(policy.is_past_grace(entry, now) for entry in entries):
            return None
        return found("objects of no run", beginning, entries, partial(_remove_remains, retention, key, entries))
    if not policy.may_end_run(written(record), now):
        return None
    stored = await Documents(retention.objects, RunRecord).load(key)
    if stored is None or not policy.ends_run(stored.value, now):
        return None
    return found("runs", stored.value.run_id, entries, partial(_end_run, retention, stored.value))


async def _remove_remains(retention: Retention, record: str, entries: Sequence[ObjectEntry]) -> bool:
    """The record was missing when the objects were listed; look again, for a starter may have come back."""
    if await retention.objects.get(record) is not None:
        return False
    return await remove_unchanged(retention.objects, entries)


async def _end_run(retention: Retention, run: RunRecord) -> bool:
    await erase_run(retention, run)
    return True


async def claims(retention: Retention, after: str | None, times: Times) -> AsyncIterator[Looked]:
    """Idempotency keys that may be used for another request again."""
    async for entry in retention.objects.list("idempotency/", start_after=after, notes=True):
        due = retention.policy.ends_claim(written(entry), times.now)
        remove = partial(remove_unchanged, retention.objects, [entry])
        yield Looked(entry.key, 1, found("idempotency keys", entry.key, [entry], remove) if due else None)


async def threads(retention: Retention, after: str | None, times: Times) -> AsyncIterator[Looked]:
    """Idle threads that are due, and threads with more checkpoints than are to be kept."""
    async for entry in retention.objects.list("threads/", start_after=after, notes=True):
        yield Looked(entry.key, 1, await judged(entry.key, _thread(retention, entry, times)))


async def _thread(retention: Retention, entry: ObjectEntry, times: Times) -> Find | None:
    policy = retention.policy
    ends = policy.may_end_thread(written(entry), times.now)
    if not ends and not (policy.keep_last and times.is_new(entry)):
        return None
    stored = await Documents(retention.objects, ThreadRecord).load(entry.key)
    if stored is None or is_active(stored.value):
        return None
    thread = stored.value
    if policy.ends_thread(thread, times.now):
        return found("threads", thread.thread_id, [entry], partial(_end_thread, retention, thread, times))
    if policy.keep_last:
        thin = partial(_thin, retention, thread.thread_id, policy.keep_last)
        return Find("threads with old checkpoints", thread.thread_id, 0, 0, thin)
    return None


async def _end_thread(retention: Retention, thread: ThreadRecord, times: Times) -> bool:
    try:
        erased = await erase_thread(retention, thread.thread_id, times.now, unless_changed=thread.updated_at)
    except (Conflict, NotFound):  # a run came, or somebody else was faster
        return False
    return erased is not None


async def _thin(retention: Retention, thread_id: str, count: int) -> bool:
    savers = [saver for saver in retention.savers if isinstance(saver, checkpoints.BlobCheckpointSaver)]
    return any([await saver.akeep_last(thread_id, count) for saver in savers])
