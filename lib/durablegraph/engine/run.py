"""The run loop: ask for the next decision, do it, repeat.

It is a generator that a Durable orchestrator function delegates to, replayed from its beginning at every turn, so it
holds no opinion: whatever is likely to change lives in the activity that decides. Three laws of Durable shape it:

* events raised while an execution ends are lost, so an event is only a doorbell, the store is looked into after every
  wake, a look that found nothing ends the execution, and the next execution looks first;
* an activity's failure is infrastructure (a node's failure is a decision), so it is tried again after a growing pause;
* history is replayed at every turn, so after `cut` activities the loop continues as new.
"""

import json
from collections.abc import Generator
from datetime import timedelta
from typing import Any, assert_never

from durablegraph.engine.context import Orchestration, Pending
from durablegraph.model.messages import Advance, AdvanceCall, FanOut, Finish, TasksCall, Ticket, Wait, decision_from
from durablegraph.model.names import ADVANCE_ACTIVITY, ANSWER_EVENTS, CANCEL_EVENT, DOORBELL, TASKS_ACTIVITY

LONGEST_TIMER = timedelta(days=1)
"""Timers are re-armed at most this far ahead: one beyond six days could not be cancelled."""

PAUSES = (5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300, 300)
"""Seconds between rounds of an activity whose retries are used up; after the last the instance fails.

A supervisor then starts another instance from the committed head: nothing is lost but time.
"""

BELLS = (DOORBELL, json.dumps(DOORBELL))
"""A doorbell as raw webhooks deliver it, and as the SDK's client does (encoded twice)."""

Steps = Generator[Pending, Any, Any]


def run(context: Orchestration, ticket: Ticket) -> Steps:
    """Carry a run from `ticket` until it has ended or this execution is cut; the result is the instance's output."""
    call = AdvanceCall(run_id=ticket.run_id, cursor=ticket.cursor)
    calls = woken_from = 0
    while True:
        context.show(_summary(ticket))
        decision = decision_from((yield from _steady(context, [(ADVANCE_ACTIVITY, call.to_json())]))[0])
        calls += 1
        match decision:
            case Finish():
                context.show({"status": decision.status.value, "step": decision.step})
                return {"run_id": ticket.run_id, "status": decision.status.value}
            case Advance():
                ticket = ticket.at(decision.cursor, next_=decision.next)
                call = AdvanceCall(run_id=ticket.run_id, cursor=ticket.cursor)
                if calls >= ticket.cut:
                    break
            case FanOut():
                ticket = ticket.at(decision.cursor, next_=decision.next)
                context.show(_summary(ticket))
                yield from _fan_out(context, ticket, decision)
                calls += decision.chunks
                call = AdvanceCall(run_id=ticket.run_id, cursor=ticket.cursor, fanned=True, failures=decision.failures)
            case Wait():
                ticket = ticket.at(decision.cursor, waiting=decision.wait, interrupts=decision.interrupts)
                if decision.wait == woken_from:
                    break
                context.show(_summary(ticket))
                heard = yield from _wake(context, decision)
                given = None if heard in BELLS else {"value": heard}
                call = AdvanceCall(run_id=ticket.run_id, cursor=ticket.cursor, heard=given)
                woken_from = decision.wait
            case _:
                assert_never(decision)
    context.continue_as_new(ticket.to_json())
    return None


def _fan_out(context: Orchestration, ticket: Ticket, decision: FanOut) -> Steps:
    """Execute all chunks; those that had no time for all of their tasks go on in an activity more."""
    chunks = list(range(decision.chunks))
    while chunks:
        calls = [_tasks_call(ticket, decision, chunk) for chunk in chunks]
        results = yield from _steady(context, [(TASKS_ACTIVITY, call.to_json()) for call in calls])
        chunks = [chunk for chunk, result in zip(chunks, results, strict=True) if result.get("left")]


def _tasks_call(ticket: Ticket, decision: FanOut, chunk: int) -> TasksCall:
    return TasksCall(
        run_id=ticket.run_id,
        cursor=decision.cursor,
        chunk=chunk,
        size=decision.size,
        at_once=decision.at_once,
        failures=decision.failures,
    )


def _steady(context: Orchestration, calls: list[tuple[str, dict[str, Any]]]) -> Generator[Pending, Any, list[Any]]:
    """The results of these activities. When one has failed for good, all are called again after a growing pause."""
    for pause in (*PAUSES, None):
        pending = [context.activity(name, call) for name, call in calls]
        try:
            if len(pending) == 1:
                return [(yield pending[0])]
            return list((yield context.all_of(pending)))
        except Exception:  # the SDK raises plain Exception for a failed activity
            if pause is None:
                raise
            yield context.timer(context.now + timedelta(seconds=pause))
    raise AssertionError("unreachable: the last round returns or raises")


def _wake(context: Orchestration, wait: Wait) -> Steps:
    """Wait for a bell, a cancellation or the time to look again; the result is the bell's payload."""
    answers = [context.event(name) for name in ANSWER_EVENTS]
    latest = context.now + LONGEST_TIMER
    timer = context.timer(min(latest, wait.due) if wait.due else latest)
    first = yield context.first_of([*answers, context.event(CANCEL_EVENT), timer])
    if first is timer:
        return DOORBELL
    timer.cancel()
    return first.result if any(first is answer for answer in answers) else DOORBELL


def _summary(ticket: Ticket) -> dict[str, Any]:
    """The custom status: of a fixed size, whatever the state's size is."""
    summary: dict[str, Any] = {
        "status": "interrupted" if ticket.waiting else "running" if ticket.cursor.checkpoint else "pending",
        "step": ticket.cursor.step,
        "next": list(ticket.next),
    }
    if ticket.waiting:
        summary["interrupts"] = ticket.interrupts
    return summary
