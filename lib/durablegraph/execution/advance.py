"""The body of the one activity: look at what is stored, execute a super-step, store what follows, say what is next.

Called any number of times with the same call it executes no node of a committed super-step, uses no answer twice and
returns the same decision: what to do follows from the store alone, and every write is conditional or idempotent.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from durablegraph.errors import ConfigurationError, InvariantBroken, NodeFailed, RequestError, RunError
from durablegraph.graphs.contract import Replay, StepKind, StepOutcome, StepRequest, StepStatus
from durablegraph.graphs.jsonable import jsonable
from durablegraph.graphs.superstep import run_superstep
from durablegraph.model.assign import heard
from durablegraph.model.messages import Advance, AdvanceCall, Cursor, Decision, Finish, Wait
from durablegraph.model.records import PendingInterrupt, RunFailure, RunRecord, RunRequest, WaitRecord
from durablegraph.model.status import RunStatus
from durablegraph.services import Services
from durablegraph.settings import Settings
from durablegraph.storage import lifecycle

log = logging.getLogger(__name__)

Found = TypeVar("Found")

SHOWN_NEXT = 10
"""How many node names a decision carries at most: they are for the custom status, which has a fixed size."""


@dataclass(frozen=True, slots=True)
class _Due:
    """What is to be executed: from `at`, and with `answers` when they end the `wait` that the run is in."""

    request: RunRequest
    at: Cursor
    wait: WaitRecord | None = None
    answers: dict[str, Any] | None = None


async def advance(services: Services, call: AdvanceCall, now: datetime) -> Decision:
    """The next decision for a run.

    Raises only for infrastructure, so that Durable's retries fire; whatever the graph does is a decision.
    """
    found = await services.runs.load(call.run_id)
    if found is None:
        return Finish(status=RunStatus.TERMINATED)
    record = found.value
    if record.status.ended:
        await lifecycle.release(services.runs, record, now)
        return _finished(record)
    if record.cancel_requested:
        return _finished(await lifecycle.end(services.runs, record, RunStatus.CANCELLED, now, cursor=call.cursor))
    request = _there(await services.request(record.run_id), record)
    due = _Due(request, call.cursor)
    if record.wait and await _concerns(services, record, call.cursor):
        wait = _there(await services.runs.wait(record.run_id, record.wait), record)
        if call.heard is not None:
            await _hear(services, record, wait, call.heard["value"], now)
        answers = await lifecycle.answers(services.runs, record.run_id, wait)
        if answers is None:
            return _waiting(wait)
        due = _Due(request, wait.cursor, wait, answers)
    record = await lifecycle.begin(services.runs, record, now)
    return _finished(record) if record.status.ended else await _step(services, record, due, now)


def _there(value: Found | None, record: RunRecord) -> Found:
    if value is None:
        raise InvariantBroken(f"run {record.run_id!r} lost objects that its record names: were they deleted by hand?")
    return value


async def _hear(services: Services, record: RunRecord, wait: WaitRecord, payload: Any, now: datetime) -> None:
    """Store an answer that came through Durable's own webhook, where nobody can be told that it does not fit."""
    if record.status is not RunStatus.INTERRUPTED:
        return
    try:
        await lifecycle.give(services.runs, record, wait, heard(payload), now=now, by="durable webhook")
    except RequestError as error:
        log.warning("run %s: an event's payload was not used: %s", record.run_id, error)


async def _concerns(services: Services, record: RunRecord, cursor: Cursor) -> bool:
    """Whether the run still is where its last wait began: it waits, or uses the answers uncommitted."""
    if record.status is RunStatus.INTERRUPTED:
        return True
    at = cursor.checkpoint
    if cursor.stop is None:  # a new instance of a run that is under way: only the head knows where it is
        at = await services.head(record.thread_id)
    return at == record.checkpoint


async def _step(services: Services, record: RunRecord, due: _Due, now: datetime) -> Decision:
    try:
        loaded = await services.graphs.load(record.graph)
        request = _request(due, loaded.graph.config or {}, services.settings)
        saver = services.attempt(loaded, record.thread_id, due.at.head)
        outcome = await run_superstep(
            loaded.graph, saver, request, store=services.items_for(loaded), cache=services.cache_for(loaded)
        )
        cursor = _cursor(outcome, services.head_token(saver, record.thread_id))
    except NodeFailed as error:
        failure = RunFailure(type=error.type, message=str(error), node=error.node)
    except (RunError, ConfigurationError) as error:
        failure = RunFailure(type=type(error.__cause__ or error).__name__, message=str(error))
    else:
        return await _follow(services, record, outcome, cursor, now)
    return _finished(await lifecycle.end(services.runs, record, RunStatus.FAILED, now, cursor=due.at, failure=failure))


def _request(due: _Due, own: Mapping[str, Any], settings: Settings) -> StepRequest:
    """The super-step to execute; `own` is the graph's own configuration."""
    asked, at = due.request, due.at
    kind: StepKind = "start" if at.stop is None else "advance"
    if due.wait is not None:
        kind = "resume" if due.wait.kind == "interrupt" else "proceed"
    return StepRequest(
        thread_id=asked.thread_id,
        run_id=asked.run_id,
        kind=kind,
        expect=at.checkpoint,
        stop=at.stop,
        recursion_limit=asked.recursion_limit or own.get("recursion_limit") or settings.recursion_limit,
        input=graph_input(asked) if kind == "start" else None,
        resume=due.answers or {} if kind == "resume" else {},
        config={**asked.config, "metadata": {**asked.config.get("metadata", {}), **asked.metadata}},
        context=asked.context,
        interrupt_before=asked.interrupt_before,
        interrupt_after=asked.interrupt_after,
        steps=settings.steps_per_activity,
        replay=Replay(bound=at.replay["bound"], visited=tuple(at.replay["visited"])) if at.replay else None,
    )


def _cursor(outcome: StepOutcome, head: str | None) -> Cursor:
    replay = {"bound": outcome.replay.bound, "visited": list(outcome.replay.visited)} if outcome.replay else None
    return Cursor(checkpoint=outcome.checkpoint_id, step=outcome.step, stop=outcome.stop, replay=replay, head=head)


async def _follow(
    services: Services, record: RunRecord, outcome: StepOutcome, cursor: Cursor, now: datetime
) -> Decision:
    """Store what follows from the outcome, then name it."""
    match outcome.status:
        case StepStatus.ADVANCE:
            return Advance(cursor=cursor, next=tuple(name[:64] for name in outcome.next[:SHOWN_NEXT]))
        case StepStatus.FINISHED:
            await services.runs.put_output(record.run_id, jsonable(outcome.values))
            return _finished(await lifecycle.end(services.runs, record, RunStatus.COMPLETED, now, cursor=cursor))
        case StepStatus.INTERRUPTED | StepStatus.BREAKPOINT:
            wait = _wait(record, outcome, cursor, now)
            record = await lifecycle.interrupt(services.runs, record, wait, now)
            return _finished(record) if record.status.ended else _waiting(wait)


def _wait(record: RunRecord, outcome: StepOutcome, cursor: Cursor, now: datetime) -> WaitRecord:
    return WaitRecord(
        wait=record.wait + 1,
        kind="interrupt" if outcome.status is StepStatus.INTERRUPTED else "breakpoint",
        cursor=cursor,
        next=outcome.next,
        interrupts=tuple(
            PendingInterrupt(
                id=item.id,
                value=jsonable(item.value),
                node=item.node,
                namespace=item.namespace,
                response_schema=dict(item.response_schema) if item.response_schema else None,
            )
            for item in outcome.interrupts
        ),
        created_at=now,
    )


def _waiting(wait: WaitRecord) -> Wait:
    return Wait(cursor=wait.cursor, wait=wait.wait, interrupts=max(1, len(wait.interrupts)), due=wait.due)


def _finished(record: RunRecord) -> Finish:
    return Finish(status=record.status, step=record.step)


def graph_input(request: RunRequest) -> Any:
    """What the graph is invoked with: the caller's input, or the command that stands in its place."""
    if request.command is None:
        return request.input
    from langgraph.types import Command, Send  # noqa: PLC0415 -- only runs that begin with a command need it

    command = dict(request.command)
    if isinstance(goto := command.get("goto"), list):
        command["goto"] = [Send(item["node"], item.get("input")) if isinstance(item, dict) else item for item in goto]
    elif isinstance(goto, dict):
        command["goto"] = Send(goto["node"], goto.get("input"))
    return Command(**{name: command[name] for name in ("resume", "update", "goto") if command.get(name) is not None})
