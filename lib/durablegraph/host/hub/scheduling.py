"""What turns schedule: activities, children, timers, messages to entities; each with the event that records it."""

import uuid
from datetime import timedelta

from durablegraph.host.hub import commands as c
from durablegraph.host.hub import entities, entity_desk, events, failures, lifecycle, newtonsoft
from durablegraph.host.hub.actions import ActionType, action_type
from durablegraph.host.hub.changes import DropActivity, PutActivity
from durablegraph.host.hub.determinism import Operation
from durablegraph.host.hub.events import Event, EventType
from durablegraph.host.hub.state import ActivityTask, Instance, Message, Parent
from durablegraph.host.hub.wiretime import iso, parse
from durablegraph.host.hub.work import Work

_ONE_SECOND = timedelta(seconds=1)


def schedule(work: Work, instance: Instance, operation: Operation) -> Event:
    """Carries out one operation of a turn."""
    match operation.kind:
        case EventType.TASK_SCHEDULED:
            return _activity(work, instance, operation)
        case EventType.CHILD_CREATED:
            return _child(work, instance, operation)
        case EventType.TIMER_CREATED:
            return _timer(work, instance, operation)
        case _:
            return _to_entity(work, instance, operation)


def activity_ended(work: Work, command: c.ActivityEnded) -> None:
    """Reports an activity's end to its orchestration, if that still waits for it."""
    task = work.state.activities.pop(command.seq, None)
    if task is None:
        return
    work.change(DropActivity(command.seq))
    if command.failure is not None:
        told = events.task_failed(work.now, task.task_id, command.failure)
    else:
        told = _result(work, task, command.result or "null")
    work.tell(task.instance_id, told, task.execution_id)


def _result(work: Work, task: ActivityTask, text: str) -> Event:
    try:
        return events.task_completed(work.now, task.task_id, newtonsoft.read_object(text))
    except newtonsoft.JsonError as error:
        failure = failures.activity_result_unreadable(task.name, str(error), error.kind)
        return events.task_failed(work.now, task.task_id, failure)


def _activity(work: Work, instance: Instance, operation: Operation) -> Event:
    action = operation.action
    http = action.get("httpRequest")
    given = newtonsoft.dumps(http) if http is not None else str(action.get("input") or "null")
    task = ActivityTask(work.state.next_seq(), instance.id, instance.execution_id, operation.id, operation.name, given)
    work.state.activities[task.seq] = task
    work.change(PutActivity(task))
    work.ask(c.RunActivity(task))
    stored = f"[{newtonsoft.quote(given)}]" if work.options.store_inputs else None
    return events.task_scheduled(work.now, operation.id, operation.name, stored)


def _child(work: Work, instance: Instance, operation: Operation) -> Event:
    action = operation.action
    child_id = action.get("instanceId") or f"{instance.execution_id}:{operation.id}"
    given = action.get("input")
    text = None if given is None else newtonsoft.quote(given)
    version = action.get("version")
    version = work.options.default_version if version is None else version
    parent = Parent(instance.id, instance.execution_id, operation.id)
    lifecycle.start(work, c.Start(child_id, operation.name, text, version, parent=parent))
    stored = text if work.options.store_inputs else None
    return events.child_created(
        work.now, operation.id, name=operation.name, version=version, instance_id=child_id, input_text=stored
    )


def _timer(work: Work, instance: Instance, operation: Operation) -> Event:
    """Delays travel in whole seconds on Azure Storage, cut off: a timer fires up to a second early there and here."""
    due = fire_at = parse(operation.action["fireAt"])
    if work.options.timers_fire_early:
        due = work.now + max((fire_at - work.now) // _ONE_SECOND, 0) * _ONE_SECOND
    fired = events.timer_fired(work.now, operation.id, iso(fire_at))
    work.deliver_at(Message(work.state.next_seq(), instance.id, instance.execution_id, fired, due), due)
    return events.timer_created(work.now, operation.id, iso(fire_at))


def _to_entity(work: Work, instance: Instance, operation: Operation) -> Event:
    action = operation.action
    text = entities.request_text(
        operation=action["operation"],
        input_text=newtonsoft.quote(action["input"]) if action.get("input") is not None else None,
        request_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{instance.execution_id}:{operation.id}")),
        now=work.now,
        signal=action_type(action) != ActionType.CALL_ENTITY,
        sender=entities.Sender(instance.id, instance.execution_id, work.now),
    )
    due = parse(action["fireAt"]) if action.get("fireAt") else None
    entity_desk.post(work, action["instanceId"], text, due)
    return events.event_sent(work.now, operation.id, action["instanceId"], operation.name, text)
