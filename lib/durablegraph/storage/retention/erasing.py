"""Erasing a thread: everything that is stored about it and its runs, verified by listing.

What is to be erased is written down first, below ``erasures/``, and that note is removed last. So after a crash
anywhere the second call, or the next sweep, completes what the first began. While it goes on, the thread is held by
a run that does not exist, so that new runs are refused; the hold ends by itself (`lifecycle.UNBORN`).
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from durablegraph.errors import Conflict, NotFound, RequestError, TransientError
from durablegraph.model.ids import spread_part
from durablegraph.model.records import RunRecord, ThreadRecord
from durablegraph.storage.checkpoints import names
from durablegraph.storage.documents import Documents, encode
from durablegraph.storage.keys import run_key, thread_key, thread_marks
from durablegraph.storage.parallel import in_parallel
from durablegraph.storage.retention.finds import Retention
from durablegraph.storage.retention.policy import HOLD, is_active
from durablegraph.storage.written import note_of

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

ERASURES = "erasures/"
_LOOKS = 3

Stop = Callable[[RunRecord], Awaitable[None]]
"""Ends a run that has not ended, and its instance."""


class _Erasure(BaseModel):
    """What an erasure has to remove; written before anything is."""

    thread_id: str
    runs: list[RunRecord] = []


class _Claim(BaseModel):
    """The part of an idempotency claim that matters here."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Erased:
    """What was removed: runs, and objects of all kinds, those of the runs included."""

    runs: int
    objects: int


async def erase_run(retention: Retention, run: RunRecord) -> None:
    """Remove an ended run: its instance's history, its objects, its entries in lists. The thread stays."""
    await retention.purge(run.run_id)
    await retention.runs.delete(run)


async def erase_thread(
    retention: Retention,
    thread_id: str,
    now: datetime,
    *,
    stop: Stop | None = None,
    unless_changed: datetime | None = None,
) -> Erased | None:
    """Remove a thread with its runs, checkpoints, writes, events, answers, outputs and idempotency keys.

    Runs that have not ended are stopped by `stop`; without it they are a Conflict that names one. None, and
    nothing removed, when the thread's record is not the one of `unless_changed` any more; with it, idempotency keys
    stay, which takes a listing of all of them: a sweep removes them by their own age. Raises NotFound when there is
    nothing to erase, RequestError (501) when a graph's own saver cannot delete, TransientError when something new was
    written again and again: call again.
    """
    key = _key(thread_id)
    notes = Documents(retention.objects, _Erasure)
    note = await notes.load(key)
    runs = await _runs(retention, thread_id)
    known = {run.run_id for run in runs}
    if note is not None:
        runs += [run for run in note.value.runs if run.run_id not in known]
    elif not await _exists(retention, thread_id, runs):
        raise NotFound(f"there is no thread {thread_id!r}: nothing to erase", code="thread_not_found")
    await _end(runs, thread_id, stop)
    if not await _hold(retention, thread_id, {run.run_id for run in runs}, now, unless_changed):
        return None
    erasure = _Erasure(thread_id=thread_id, runs=runs)
    await retention.objects.put(key, encode(erasure))
    return await _carry_out(retention, key, erasure, with_claims=unless_changed is None)


async def resume_erasure(retention: Retention, key: str, now: datetime) -> bool:
    """Complete the erasure that the note at `key` tells of; a run that was started since then is stopped by nobody."""
    note = await Documents(retention.objects, _Erasure).load(key)
    if note is None:
        return False
    try:
        return await erase_thread(retention, note.value.thread_id, now) is not None
    except RequestError:
        return False


async def _runs(retention: Retention, thread_id: str) -> list[RunRecord]:
    ids = [run_id async for run_id in retention.runs.of_thread(thread_id)]
    thread = await retention.runs.thread(thread_id)
    if thread is not None:
        ids += [run for run in (thread.value.active_run, thread.value.last_run) if run is not None]
    loaded = await in_parallel(dict.fromkeys(ids), retention.runs.load)
    return [found.value for found in loaded if found is not None and found.value.thread_id == thread_id]


async def _exists(retention: Retention, thread_id: str, runs: list[RunRecord]) -> bool:
    if runs or await retention.runs.thread(thread_id) is not None:
        return True
    async for _ in _left(retention, thread_id, ()):
        return True
    return any([await _has_checkpoints(saver, thread_id) for saver in retention.savers])


async def _has_checkpoints(saver: BaseCheckpointSaver[Any], thread_id: str) -> bool:
    async for _ in saver.alist({"configurable": {"thread_id": thread_id}}, limit=1):
        return True
    return False


async def _end(runs: list[RunRecord], thread_id: str, stop: Stop | None) -> None:
    for run in runs:
        if run.status.ended:
            continue
        if stop is None:
            raise Conflict(
                f"thread {thread_id!r} has the run {run.run_id!r}, which is {run.status.value}: cancel it, wait for "
                "its end, or erase with ?force=true",
                code="thread_busy",
                active_run=run.run_id,
            )
        await stop(run)


async def _hold(
    retention: Retention, thread_id: str, ended: set[str], now: datetime, unless_changed: datetime | None
) -> bool:
    hold = f"{HOLD}{secrets.token_hex(8)}"

    def change(thread: ThreadRecord) -> ThreadRecord:
        free = not is_active(thread) or thread.active_run in ended
        if not free or (unless_changed is not None and thread.updated_at != unless_changed):
            return thread
        return thread.model_copy(update={"active_run": hold, "updated_at": now})

    thread = await retention.runs.change_thread(thread_id, change)
    if thread is None or thread.active_run == hold:
        return True
    if unless_changed is not None:
        return False
    raise Conflict(
        f"thread {thread_id!r} was taken by run {thread.active_run!r} meanwhile: erase it again",
        code="thread_busy",
        active_run=thread.active_run,
    )


async def _carry_out(retention: Retention, key: str, erasure: _Erasure, *, with_claims: bool) -> Erased:
    thread_id, runs = erasure.thread_id, erasure.runs
    ids = {run.run_id for run in runs}
    claims = [claim async for claim in _claims(retention, ids)] if with_claims else []
    objects = len(claims) + len([entry async for entry in _left(retention, thread_id, ids)])
    for saver in reversed(retention.savers):  # the app's own last: what another one refuses leaves everything there
        await _delete_checkpoints(retention, saver, thread_id, key)
    for run in runs:
        await erase_run(retention, run)
    await retention.runs.delete_thread(thread_id)
    await retention.objects.delete_many(claims)
    await _verify(retention, thread_id, ids)
    await retention.objects.delete(key)
    return Erased(len(runs), objects)


async def _delete_checkpoints(retention: Retention, saver: BaseCheckpointSaver[Any], thread_id: str, note: str) -> None:
    try:
        await saver.adelete_thread(thread_id)
    except NotImplementedError as error:
        if not await _has_checkpoints(saver, thread_id):
            return
        await retention.objects.delete(note)
        raise RequestError(
            f"the checkpoints of thread {thread_id!r} are kept by {type(saver).__name__}, which cannot delete them: "
            "nothing was erased. Give it a delete_thread, or delete them in its database first",
            code="saver_cannot_delete",
            status=501,
        ) from error


async def _verify(retention: Retention, thread_id: str, runs: set[str]) -> None:
    """List everything that could belong to the thread; remove what is there, and look again."""
    left: list[str] = []
    for _ in range(_LOOKS):
        left = [entry async for entry in _left(retention, thread_id, runs)]
        full = [saver for saver in retention.savers if await _has_checkpoints(saver, thread_id)] if not left else []
        if not left and not full and not [run async for run in retention.runs.of_thread(thread_id)]:
            return
        await retention.objects.delete_many(left)
        for saver in full:
            await saver.adelete_thread(thread_id)
    shown = left[0] if left else "an entry of its runs, or a checkpoint in a saver of its graph"
    raise TransientError(f"thread {thread_id!r} is being written to while it is erased ({shown}): erase it again")


async def _left(retention: Retention, thread_id: str, runs: Iterable[str]) -> AsyncIterator[str]:
    """Every key that belongs to the thread or to one of its runs."""
    path = names.thread_path(thread_id)
    prefixes = [names.heads("", thread_id), names.thread_objects("", thread_id), thread_marks(thread_id)]
    for run in runs:
        prefixes += [run_key(run, ""), f"{names.run_markers('', run)}{path}"]
    for prefix in prefixes:
        async for entry in retention.objects.list(prefix):
            yield entry.key
    record = thread_key(thread_id)
    if await retention.objects.get(record) is not None:
        yield record


async def _claims(retention: Retention, runs: set[str]) -> AsyncIterator[str]:
    """The idempotency keys that these runs were given; a claim's note tells its run."""
    if not runs:
        return
    claims = Documents(retention.objects, _Claim)
    async for entry in retention.objects.list("idempotency/", notes=True):
        run = note_of(entry)
        if run is None:
            stored = await claims.load(entry.key)
            run = None if stored is None else stored.value.run_id
        if run in runs:
            yield entry.key


def _key(thread_id: str) -> str:
    return f"{ERASURES}{spread_part(thread_id)}"
