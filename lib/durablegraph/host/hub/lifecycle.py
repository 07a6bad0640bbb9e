"""How instances begin, are taken back, and end."""

from collections.abc import Callable
from typing import Any

from durablegraph.host.hub import commands as c
from durablegraph.host.hub import events, failures
from durablegraph.host.hub.changes import ClearHistory, DropInstance, DropMessagesOf, PutInstance, TouchInstance
from durablegraph.host.hub.events import Event, Members
from durablegraph.host.hub.failures import Failure
from durablegraph.host.hub.rewinding import rewound
from durablegraph.host.hub.state import Instance, RuntimeStatus
from durablegraph.host.hub.work import Work


def start(work: Work, command: c.Start) -> None:
    """Makes an instance and sends it its start. One that has the id is gone."""
    execution_id, parent = work.new_id(), command.parent
    instance = Instance(
        id=command.instance_id,
        name=command.name,
        version=command.version,
        execution_id=execution_id if parent is None else execution_id.replace("-", ""),
        status=RuntimeStatus.PENDING,
        input=command.input,
        created=work.now,
        updated=work.now,
        parent=parent,
        source_id=command.source_id,
        generation=command.generation,
        history=[],
    )
    work.state.instances[instance.id] = instance
    work.change(DropMessagesOf(instance.id), ClearHistory(instance.id), PutInstance(instance))
    work.tell(instance.id, execution_started(work, instance, None if parent else command.generation))
    work.ask(c.Changed(instance.id))


def execution_started(work: Work, instance: Instance, generation: int | None) -> Event:
    """The first event of an execution; `generation` None for children and continued executions."""
    tags = {"MS_DurableFunctions_SourceInstanceId": instance.source_id} if instance.source_id else None
    return events.execution_started(
        work.now,
        instance_id=instance.id,
        execution_id=instance.execution_id,
        name=instance.name,
        version=instance.version,
        input_text=instance.input,
        parent=_parent_members(work, instance),
        tags=tags,
        generation=generation,
    )


def _parent_members(work: Work, instance: Instance) -> Members | None:
    if instance.parent is None:
        return None
    above = work.state.instances.get(instance.parent.instance_id)
    execution = {"InstanceId": instance.parent.instance_id, "ExecutionId": instance.parent.execution_id}
    return {
        "Name": above.name if above else None,
        "OrchestrationInstance": execution,
        "TaskScheduleId": instance.parent.task_id,
        "Version": above.version if above else None,
    }


def terminate(work: Work, command: c.Terminate) -> None:
    """Asks an instance to end.

    A Pending one that this host rejects only gets its row marked: it runs once a fitting host comes.
    """
    instance = work.state.instances.get(command.instance_id)
    if instance is None or instance.status.ended:
        return
    if instance.started or work.takes(instance):
        work.tell(instance.id, events.execution_terminated(work.now, command.reason))
        return
    instance.status, instance.output, instance.updated = RuntimeStatus.TERMINATED, command.reason, work.now
    work.change(TouchInstance(instance))
    work.ask(c.Changed(instance.id))


def rewind(work: Work, instance_id: str, reason: str | None) -> None:
    """Takes back the failure of an instance and of the children that failed it."""
    instance = work.state.instances.get(instance_id)
    if instance is None or instance.status is not RuntimeStatus.FAILED or instance.history is None:
        return
    history, children = rewound(instance.history)
    instance.status, instance.updated = RuntimeStatus.RUNNING, work.now
    work.change(TouchInstance(instance))
    work.rewrite(instance, history)
    work.ask(c.Changed(instance_id))
    known = (work.state.instances.get(child) for child in children)
    failed = [child.id for child in known if child is not None and child.status is RuntimeStatus.FAILED]
    for child_id in failed:
        rewind(work, child_id, reason)
    if not failed:
        work.tell(instance_id, events.generic(work.now, reason), instance.execution_id)


def purge(work: Work, instance_id: str) -> None:
    """Forgets an instance."""
    work.state.instances.pop(instance_id, None)
    work.change(DropInstance(instance_id))
    work.ask(c.Changed(instance_id))


def end(work: Work, instance: Instance, output: str | None, error: str | None) -> None:
    """An instance whose status is a final one: its output, the report to its parent, no more messages."""
    instance.output = output
    if instance.status is RuntimeStatus.COMPLETED:
        _report(work, instance, events.child_completed, output)
    else:
        _report(work, instance, events.child_failed, failures.child_failed(output or "", error))
    _settle(work, instance)


def fail_by_version(work: Work, instance: Instance, received: list[Event]) -> None:
    """The engine fails the instance without a turn; what it received stays in history as not yet played."""
    details = failures.version_mismatch_details()
    number = len(instance.history or [])
    completed = events.execution_completed(work.now, number, RuntimeStatus.FAILED.number, None, details)
    instance.turn, instance.status, instance.updated = None, RuntimeStatus.FAILED, work.now
    work.append(instance, [*received, completed, events.turn_completed(work.now)])
    instance.output = f"VersionMismatch: {failures.VERSION_MISMATCH}"
    _report(work, instance, events.child_failed, Failure(None, None, details))
    _settle(work, instance)


def _report(work: Work, instance: Instance, make: Callable[..., Event], value: Any) -> None:
    if instance.parent is not None:
        told = make(work.now, instance.parent.task_id, value)
        work.tell(instance.parent.instance_id, told, instance.parent.execution_id)


def _settle(work: Work, instance: Instance) -> None:
    instance.inbox.clear()
    instance.fresh = False
    work.change(DropMessagesOf(instance.id), TouchInstance(instance))
    work.ask(c.Changed(instance.id))
