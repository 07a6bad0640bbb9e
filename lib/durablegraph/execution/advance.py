"""The body of the one activity: look at what is stored, execute a super-step, store what follows, say what is next.

Called any number of times with the same call it executes no node of a committed super-step, uses no answer twice and
returns the same decision: what to do follows from the store alone, and every write is conditional or idempotent. Two
exceptions. A worker that itself wrote the head which the call names does not read it again, so that it may execute once
more, without being able to commit, what another worker has committed since. And where LangGraph cannot prepare what
comes next, which ends the run, the call that committed before it may leave it to the next one to tell.
"""

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from langgraph.checkpoint.base import CheckpointTuple

from durablegraph.clock import Clock
from durablegraph.errors import ConfigurationError, InvariantBroken, NodeFailed, RequestError, RunError, TimeBudgetSpent
from durablegraph.execution.apart import Apart
from durablegraph.execution.budget import TRIES
from durablegraph.execution.fanning import SHOWN_NEXT, asked, plan, shown, width_of
from durablegraph.execution.policies import leaving, policy_of
from durablegraph.execution.recording import recording, tell
from durablegraph.execution.requests import Due, place_of, step_request
from durablegraph.execution.thinning import thin
from durablegraph.execution.tolerance import commit_of, settled_by
from durablegraph.graphs.calling import head_of
from durablegraph.graphs.contract import StepOutcome, StepRequest, StepStatus
from durablegraph.graphs.deadline import CutShort
from durablegraph.graphs.jsonable import jsonable
from durablegraph.graphs.sticky import Place
from durablegraph.graphs.superstep import SuperStep, carried_out
from durablegraph.model.assign import heard
from durablegraph.model.fan_out import FanOutPolicy
from durablegraph.model.messages import Advance, AdvanceCall, Cursor, Decision, Finish, Wait
from durablegraph.model.records import PendingInterrupt, RunFailure, RunRecord, WaitRecord
from durablegraph.model.status import RunStatus
from durablegraph.services import Services
from durablegraph.storage import lifecycle

log = logging.getLogger(__name__)

Found = TypeVar("Found")


async def advance(services: Services, call: AdvanceCall, now: Clock) -> Decision:
    """The next decision for a run; an event log that the run has is told before.

    `now` is asked whenever something is stored, because a super-step may take long.
    Raises only for infrastructure, so that Durable's retries fire; whatever the graph does is a decision.
    """
    decision = await _decide(services, call, now)
    await tell(services, call.run_id, decision)
    return decision


async def _decide(services: Services, call: AdvanceCall, now: Clock) -> Decision:
    found = await services.runs.load(call.run_id)
    if found is None:
        return Finish(status=RunStatus.TERMINATED)
    record = found.value
    if record.status.ended:
        await lifecycle.release(services.runs, record)
        return _finished(record)
    if record.cancel_requested:
        return _finished(await lifecycle.end(services.runs, record, RunStatus.CANCELLED, now(), cursor=call.cursor))
    request = _there(await services.request(record.run_id), record)
    due = Due(request, call.cursor)
    if record.wait and await _concerns(services, record, call.cursor):
        wait = _there(await services.runs.wait(record.run_id, record.wait), record)
        if call.heard is not None:
            await _hear(services, record, wait, call.heard["value"], now)
        answers = await lifecycle.answers(services.runs, record.run_id, wait)
        if answers is None:
            return _waiting(wait)
        due = Due(request, place_of(wait, call.cursor), wait, answers)
    record = await lifecycle.begin(services.runs, record, now())
    if record.status.ended:
        return _finished(record)
    return await _step(services, record, due, now, fanned=call.failures if call.fanned else None)


def _there(value: Found | None, record: RunRecord) -> Found:
    if value is None:
        raise InvariantBroken(f"run {record.run_id!r} lost objects that its record names: were they deleted by hand?")
    return value


async def _hear(services: Services, record: RunRecord, wait: WaitRecord, payload: Any, now: Clock) -> None:
    """Store an answer that came through Durable's own webhook, where nobody can be told that it does not fit."""
    if record.status is not RunStatus.INTERRUPTED:
        return
    try:
        await lifecycle.give(services.runs, record, wait, heard(payload), now=now(), by="durable webhook")
    except RequestError as error:
        log.warning("run %s: an event's payload was not used: %s", record.run_id, error)


async def _concerns(services: Services, record: RunRecord, cursor: Cursor) -> bool:
    """Whether the run still is where its last wait began: it waits, or uses the answers uncommitted."""
    if record.status is RunStatus.INTERRUPTED:
        return True
    at = cursor.checkpoint
    if cursor.stop is None:  # a new instance of a run that is under way: only the head knows where it is
        try:
            at = await services.head(record.graph, record.thread_id)
        except ConfigurationError:
            return False  # the graph cannot be loaded: the super-step will tell
    return at == record.checkpoint


async def _step(services: Services, record: RunRecord, due: Due, now: Clock, *, fanned: str | None) -> Decision:
    """Execute a super-step; `fanned` says of one whose tasks were executed apart how many of them must succeed."""
    at = due.at if fanned is None and due.wait is None else None
    place = await services.sticky.take(record.run_id, at)
    try:
        decision = await _stepped(services, record, due, now, fanned=fanned, place=place)
    except CutShort as cut:
        return await _cut_short(services, record, due, cut, now)
    except NodeFailed as error:
        return await _failed(services, record, due, _failure(error, error.type, error.node), now)
    except (RunError, ConfigurationError) as error:
        return await _failed(services, record, due, _failure(error, type(error.__cause__ or error).__name__), now)
    else:
        if isinstance(decision, Advance):
            place.at = decision.cursor
        return decision
    finally:
        await services.sticky.give_back(record.run_id, place)


async def _stepped(
    services: Services, record: RunRecord, due: Due, now: Clock, *, fanned: str | None, place: Place
) -> Decision:
    loaded = await services.graphs.load(record.graph)
    token = None if fanned else due.at.head
    saver = place.step.saver if place.step else services.attempt(loaded, record.thread_id, token)
    policy = policy_of(services.settings, loaded, due.request)
    left = leaving(policy, services.paces, record.graph, now())
    request = step_request(due, loaded.graph.config or {}, services.settings, left)
    width = width_of(policy, request.config.get("max_concurrency"))
    apart = Apart(services, loaded, saver, due, now())
    settled = await settled_by(apart, request, width, fanned=fanned, failures=policy.failures or "all")
    if settled.failure is not None:
        return await _failed(services, record, due, settled.failure, now)
    head, outcome = None, None
    if settled.apart:
        head, request = await saver.aget_tuple(head_of(record.thread_id)), commit_of(request)
        outcome = await asked(loaded, saver, request, head)
    if outcome is None:
        outcome = await _execute(apart, request, place, head)
    await thin(saver, record.thread_id, services.settings.keep_last, due.at, outcome)
    cursor = _cursor(due, outcome, services.head_token(saver, record.thread_id))
    return await _follow(services, record, outcome, cursor, now, policy=policy, width=width)


async def _execute(around: Apart, request: StepRequest, place: Place, head: CheckpointTuple | None) -> StepOutcome:
    services, loaded = around.services, around.loaded
    async with recording(services, around.due) as recorder:
        if recorder is not None:
            request = replace(request, stream=recorder.options)
        if place.step is not None and not (await _at_head(place.step, request) and await place.step.go_on(request)):
            await place.step.leave()
            place.step = None
        if place.step is None:
            items, cache = services.items_for(loaded), services.cache_for(loaded)
            place.step = SuperStep(loaded.graph, around.saver, request, store=items, cache=cache, head=head)
        on_part = recorder.on_part if recorder is not None else None
        return await carried_out(place.step, on_part=on_part, time_budget=services.time_budget)


async def _at_head(step: SuperStep, request: StepRequest) -> bool:
    """Whether a loop stands at the newest checkpoint: asked of a saver that does not refuse it later if it does not."""
    if getattr(step.saver, "guards_head", False):
        return True
    head = await step.saver.aget_tuple(head_of(request.thread_id))
    return head is not None and head.checkpoint["id"] == request.expect


async def _cut_short(services: Services, record: RunRecord, due: Due, cut: CutShort, now: Clock) -> Decision:
    """The call ran out of time: the same call again, which goes on where this one was, unless none gets anywhere."""
    tries = 0 if cut.moved else due.at.cut_short + 1
    if tries < TRIES:
        cursor = due.at.model_copy(update={"inside": cut.inside or due.at.inside, "cut_short": tries})
        return Advance(cursor=cursor, next=tuple(name[:64] for name in cut.nodes[:SHOWN_NEXT]))
    budget = services.time_budget.hard if services.time_budget else 0
    error = TimeBudgetSpent(
        f"{', '.join(map(repr, cut.nodes)) or 'The super-step'} did not end within {budget:g} s, the time budget of an "
        f"activity, in {tries} attempts. Divide the node (each super-step, a subgraph's too, has its own budget), "
        "or raise functionTimeout in host.json or DURABLEGRAPH_ACTIVITY_SECONDS."
    )
    return await _failed(
        services, record, due, _failure(error, type(error).__name__, cut.nodes[0] if cut.nodes else None), now
    )


def _failure(error: Exception, kind: str, node: str | None = None) -> RunFailure:
    return RunFailure(type=kind, message=str(error), node=node)


async def _failed(services: Services, record: RunRecord, due: Due, failure: RunFailure, now: Clock) -> Finish:
    return _finished(
        await lifecycle.end(services.runs, record, RunStatus.FAILED, now(), cursor=due.at, failure=failure)
    )


def _cursor(due: Due, outcome: StepOutcome, head: str | None) -> Cursor:
    if outcome.again:
        return due.at.model_copy(update={"inside": outcome.inside, "head": head, "cut_short": 0})
    replay = {"bound": outcome.replay.bound, "visited": list(outcome.replay.visited)} if outcome.replay else None
    return Cursor(
        checkpoint=outcome.checkpoint_id,
        step=outcome.step,
        stop=outcome.stop,
        replay=replay,
        head=head,
        inside=outcome.inside,
    )


async def _follow(
    services: Services,
    record: RunRecord,
    outcome: StepOutcome,
    cursor: Cursor,
    now: Clock,
    *,
    policy: FanOutPolicy,
    width: int,
) -> Decision:
    """Store what follows from the outcome, then name it."""
    match outcome.status:
        case StepStatus.ADVANCE:
            inside = cursor.inside is not None  # the super-step has begun, in this activity
            if not inside and (apart := plan(services, record, outcome, cursor, policy=policy, width=width, now=now())):
                return apart
            return Advance(cursor=cursor, next=shown(outcome))
        case StepStatus.FINISHED:
            await services.runs.put_output(record.run_id, jsonable(outcome.values))
            return _finished(await lifecycle.end(services.runs, record, RunStatus.COMPLETED, now(), cursor=cursor))
        case StepStatus.INTERRUPTED | StepStatus.BREAKPOINT:
            at = now()
            wait = _wait(record, outcome, cursor, at)
            record = await lifecycle.interrupt(services.runs, record, wait, at)
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
