"""How a run's record and its thread's change together: claim, begin, interrupt, answer, end, release.

Each function may be repeated after a crash at any point and then completes what the first call began. The order is
always: what others need to find first, then the record that tells of it, then what the record frees.
"""

from datetime import datetime, timedelta
from typing import Any

from durablegraph.errors import Conflict
from durablegraph.model.assign import assign, digest, needed
from durablegraph.model.messages import Cursor
from durablegraph.model.records import AnswerRecord, RunFailure, RunRecord, ThreadRecord, WaitRecord
from durablegraph.model.status import RunStatus, ThreadStatus, may_become
from durablegraph.storage.runs import RunStore

UNBORN = timedelta(minutes=1)
"""A thread that is held by a run without a record is free again after this: its starter died before it stored one."""


async def claim(runs: RunStore, record: RunRecord, now: datetime) -> None:
    """Make the run the thread's active one; raises Conflict with the active run's id when there is another."""
    new = ThreadRecord(
        thread_id=record.thread_id,
        created_at=now,
        updated_at=now,
        graph=record.graph,
        status=ThreadStatus.BUSY,
        active_run=record.run_id,
    )
    if await runs.create_thread(new):
        return
    holder: str | None = None
    for _ in range(5):
        holder = await _take(runs, record, holder, now)
        if holder is None:
            return
        other = await runs.load(holder)
        if other is not None and not other.value.status.ended:
            break
        thread = await runs.thread(record.thread_id)
        if other is None and thread and now - thread.value.updated_at < UNBORN:
            break
    raise Conflict(
        f"thread {record.thread_id!r} is busy with run {holder!r}: wait until it has ended, or cancel it",
        code="thread_busy",
        active_run=holder,
    )


async def _take(runs: RunStore, record: RunRecord, dead: str | None, now: datetime) -> str | None:
    """Take the thread if it is free or held by `dead`; the result is who holds it, None when it is ours now."""

    def change(thread: ThreadRecord) -> ThreadRecord:
        if thread.active_run not in {None, record.run_id, dead}:
            return thread
        if thread.active_run == record.run_id:  # again: the first call may not have come to tell of it
            return thread.model_copy(update={"updated_at": now})
        ours = {"active_run": record.run_id, "graph": record.graph, "status": ThreadStatus.BUSY, "turn": 0}
        return thread.model_copy(update={**ours, "updated_at": now})

    thread = await runs.change_thread(record.thread_id, change, by_run=True)
    return None if thread is None or thread.active_run == record.run_id else thread.active_run


async def begin(runs: RunStore, record: RunRecord, now: datetime) -> RunRecord:
    """Say that the run is running; writes only when it was not."""
    if record.status is RunStatus.RUNNING:
        return record

    def change(current: RunRecord) -> RunRecord:
        return _moved(current, RunStatus.RUNNING, now, {}) if may_become(current.status, RunStatus.RUNNING) else current

    return await runs.change(record.run_id, change) or record


async def note_failed_tasks(runs: RunStore, run_id: str) -> None:
    """Say that the run goes on without tasks that failed: what is stored of them is worth looking for."""
    found = await runs.load(run_id)
    if found is None or found.value.tasks_failed:
        return
    await runs.change(run_id, lambda current: current.model_copy(update={"tasks_failed": True}))


async def interrupt(runs: RunStore, record: RunRecord, wait: WaitRecord, now: datetime) -> RunRecord:
    """Store what the run waits for, then say that it waits. A wait begins once: a late repetition changes nothing."""
    await runs.begin_wait(record.run_id, wait)

    def change(current: RunRecord) -> RunRecord:
        if current.wait >= wait.wait or not may_become(current.status, RunStatus.INTERRUPTED):
            return current
        at = {"wait": wait.wait, "step": wait.cursor.step, "next": wait.next, "checkpoint": wait.cursor.checkpoint}
        return _moved(current, RunStatus.INTERRUPTED, now, at)

    return await runs.change(record.run_id, change) or record


async def end(
    runs: RunStore,
    record: RunRecord,
    status: RunStatus,
    now: datetime,
    *,
    cursor: Cursor | None = None,
    failure: RunFailure | None = None,
) -> RunRecord:
    """Say how the run ended, then free its thread. The first end wins; the result says which it was."""
    facts: dict[str, Any] = {"error": failure, "next": ()}
    if cursor is not None and cursor.step is not None:
        facts |= {"step": cursor.step, "checkpoint": cursor.checkpoint}
    moved = False

    def change(current: RunRecord) -> RunRecord:
        nonlocal moved
        moved = may_become(current.status, status)
        return _moved(current, status, now, facts) if moved else current

    ended = await runs.change(record.run_id, change) or record
    if not moved:  # it had ended: whoever ended it may have died before its thread was free
        await release(runs, ended)
    return ended


async def release(runs: RunStore, record: RunRecord) -> None:
    """Complete the end of a run, whatever of it is missing: its thread free, its end told, its marks gone."""
    await runs.retell(record)


async def request_cancel(runs: RunStore, record: RunRecord, now: datetime) -> RunRecord:
    """Store that the run is to be cancelled; its next activity sees it."""

    def change(current: RunRecord) -> RunRecord:
        if current.status.ended or current.cancel_requested:
            return current
        return current.model_copy(update={"cancel_requested": True, "updated_at": now})

    return await runs.change(record.run_id, change) or record


async def give(
    runs: RunStore, record: RunRecord, wait: WaitRecord, body: Any, *, now: datetime, by: str | None = None
) -> list[str]:
    """Store the answers in `body`, exactly one winner each; the result lists the ids that still need an answer.

    The same answer again is no error. Raises Conflict when another answer was first, and what `assign` raises.
    """
    for interrupt_id, value in assign(wait, body).items():
        answer = AnswerRecord(
            interrupt_id=interrupt_id, value=value, digest=digest(value), answered_at=now, answered_by=by
        )
        winner = await runs.answer(record.run_id, wait.wait, answer)
        if winner.digest != answer.digest:
            raise Conflict(
                f"interrupt {interrupt_id!r} was answered differently at {winner.answered_at.isoformat()}: "
                "read the run to see what it waits for now",
                code="already_answered",
            )
    stored = await runs.answers(record.run_id, wait.wait)
    return [interrupt_id for interrupt_id in needed(wait) if interrupt_id not in stored]


async def answers(runs: RunStore, run_id: str, wait: WaitRecord) -> dict[str, Any] | None:
    """Every answer of a wait by interrupt id, None while one is missing."""
    stored = await runs.answers(run_id, wait.wait)
    if any(interrupt_id not in stored for interrupt_id in needed(wait)):
        return None
    return {interrupt_id: answer.value for interrupt_id, answer in stored.items()}


def _moved(current: RunRecord, status: RunStatus, now: datetime, facts: dict[str, Any]) -> RunRecord:
    return current.model_copy(update={"status": status, "updated_at": now, **facts})
