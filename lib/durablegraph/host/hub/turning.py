"""The course of an orchestrator's turn: what it consumes, and what its answer changes."""

from collections.abc import Sequence

from durablegraph.host.hub import commands as c
from durablegraph.host.hub import events, lifecycle, scheduling, turns
from durablegraph.host.hub.changes import ClearHistory, DropMessages, DropMessagesOf, PutInstance, TouchInstance
from durablegraph.host.hub.events import Event, EventType
from durablegraph.host.hub.state import Instance, RuntimeStatus, Turn
from durablegraph.host.hub.work import Work


def begin(work: Work, instance_id: str) -> None:
    """Takes all messages that have come and asks for a call; what needs no worker is concluded at once."""
    instance = work.state.instances.get(instance_id)
    if instance is None or instance.turn is not None or not instance.announced:
        return
    instance.announced = False
    if instance.history is None:
        raise AssertionError(f"the history of {instance_id} is not loaded; load it before its turn")
    turn = instance.turn = _next_turn(work, instance)
    name = work.functions.function(instance.name, "orchestrator")
    if not work.takes(instance):
        work.change(_consumed(turn))
        lifecycle.fail_by_version(work, instance, turn.events)
    elif name is None:
        error = work.functions.unknown(instance.name, "orchestrator")
        _conclude(work, instance, turn, turns.Answer(error=error))
    else:
        work.ask(c.RunTurn(instance_id, turn.token, name, turns.request(instance, turn.events)))


def _next_turn(work: Work, instance: Instance) -> Turn:
    work.state.last_token += 1
    if instance.fresh:
        return Turn(work.state.last_token, [], [])
    messages = list(instance.inbox)
    instance.inbox.clear()
    received = [events.turn_started(work.now), *(message.event for message in messages)]
    return Turn(work.state.last_token, messages, received)


def answered(work: Work, command: c.TurnAnswered) -> None:
    """The worker's answer; one to a turn that is no longer the instance's is ignored."""
    instance = work.state.instances.get(command.instance_id)
    if instance is not None and instance.turn is not None and instance.turn.token == command.token:
        _conclude(work, instance, instance.turn, turns.read(command, work.options.max_actions))


def abandoned(work: Work, command: c.TurnAbandoned) -> None:
    """The turn took too long: its messages wait for the next try."""
    instance = work.state.instances.get(command.instance_id)
    if instance is None or instance.turn is None or instance.turn.token != command.token:
        return
    instance.inbox.extendleft(reversed(instance.turn.messages))
    instance.turn = None
    work.announce(instance)


def _conclude(work: Work, instance: Instance, turn: Turn, answer: turns.Answer) -> None:
    stored, fresh = instance.history or [], instance.fresh
    verdict = turns.judge(instance.name, answer, stored, turn.events, fresh=fresh, functions=work.functions)
    instance.turn, instance.updated = None, work.now
    if verdict.custom_status is not None or not fresh:
        # The first turn of a continued execution leaves the last execution's custom status standing.
        instance.custom_status = verdict.custom_status
    work.change(_consumed(turn))
    if (pause := turns.last_pause(turn.events)) is not None:
        instance.output = pause.members["Reason"]
    if verdict.next_input is not None:
        _continue_as_new(work, instance, verdict)
    else:
        _record(work, instance, turn, verdict)


def _record(work: Work, instance: Instance, turn: Turn, verdict: turns.Verdict) -> None:
    """Writes the turn into history and moves the status."""
    fresh, instance.fresh = instance.fresh, False
    if fresh:
        # The first events of a continued execution have been shown: from now on they count as played.
        work.rewrite(instance, [_shown(item) for item in instance.history or []])
    new = [_shown(item) for item in turn.events]
    new += [scheduling.schedule(work, instance, operation) for operation in verdict.operations]
    if verdict.status.ended:
        number = _next_id([*(instance.history or []), *new])
        new.append(events.execution_completed(work.now, number, verdict.status.number, verdict.output))
    if new or not fresh:
        new.append(events.turn_completed(work.now))
    work.append(instance, new)
    before, instance.status = instance.status, verdict.status
    if verdict.status.ended:
        lifecycle.end(work, instance, verdict.output, verdict.error)
    else:
        work.announce(instance)
    if before is not verdict.status:
        work.ask(c.Changed(instance.id))
    work.change(TouchInstance(instance))


def _continue_as_new(work: Work, instance: Instance, verdict: turns.Verdict) -> None:
    """The next execution begins in the same work item: its first turn shows a history that ends with a turn's end."""
    old = instance.execution_id
    instance.execution_id, instance.input = work.new_id().replace("-", ""), verdict.next_input
    instance.created, instance.status, instance.fresh = work.now, RuntimeStatus.RUNNING, True
    kept = [message for message in instance.inbox if message.execution_id is None]
    instance.inbox.clear()
    instance.inbox.extend(kept)
    instance.history = []
    work.change(DropMessagesOf(instance.id, old), PutInstance(instance), ClearHistory(instance.id))
    begun = lifecycle.execution_started(work, instance, None)
    carried = (item.played() for item in verdict.carried)
    work.append(instance, [events.turn_started(work.now), begun, *carried, events.turn_completed(work.now)])
    work.ask(c.Changed(instance.id))
    work.announce(instance)


def _consumed(turn: Turn) -> DropMessages:
    return DropMessages(tuple(message.seq for message in turn.messages))


def _shown(item: Event) -> Event:
    """An event as it counts from the next turn on; only the marks of turns are never played."""
    return item if item.type == EventType.TURN_STARTED else item.played()


def _next_id(history: Sequence[Event]) -> int:
    """The number after those of the operations in a history."""
    return max((item.members["EventId"] for item in history), default=-1) + 1
