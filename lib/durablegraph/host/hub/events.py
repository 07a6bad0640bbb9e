"""History events as the extension serializes them: the same members in the same order.

An event is kept twice: as a dict for the replay, and as the JSON text that goes into requests and into the journal.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from durablegraph.host.hub.failures import Failure
from durablegraph.host.hub.wiretime import iso

Members = dict[str, Any]
_encode = json.JSONEncoder(separators=(",", ":")).encode
_UNPLAYED, _PLAYED = '"IsPlayed":false', '"IsPlayed":true'


class EventType(IntEnum):
    """The numbers that the Python SDK knows history events by."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    CHILD_CREATED = 7
    CHILD_COMPLETED = 8
    CHILD_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    TURN_STARTED = 12
    TURN_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    GENERIC = 17
    SUSPENDED = 19
    RESUMED = 20


@dataclass(slots=True)
class Event:
    """One history event; `text` is its JSON."""

    members: Members
    text: str

    @property
    def type(self) -> int:
        """Its number (an EventType)."""
        kind: int = self.members["EventType"]
        return kind

    def played(self) -> "Event":
        """The same event as an earlier turn consumed it. An escaped member name can never match the marker."""
        if self.members["IsPlayed"]:
            return self
        head, _, tail = self.text.rpartition(_UNPLAYED)
        return Event({**self.members, "IsPlayed": True}, head + _PLAYED + tail)


def event(
    kind: EventType, now: datetime, event_id: int = -1, /, *, leading: Members | None = None, **members: Any
) -> Event:
    """Builds one; `leading` members come before EventType, as .NET's serializer orders inherited ones."""
    full = {
        **(leading or {}),
        "EventType": int(kind),
        **members,
        "EventId": event_id,
        "IsPlayed": False,
        "Timestamp": iso(now),
    }
    return Event(full, _encode(full))


def from_text(text: str) -> Event:
    """Reads what `Event.text` holds."""
    return Event(json.loads(text), text)


def execution_started(
    now: datetime,
    *,
    instance_id: str,
    execution_id: str,
    name: str,
    version: str | None,
    input_text: str | None,
    parent: Members | None,
    tags: Members | None,
    generation: int | None,
) -> Event:
    """`generation` is None for children and continued executions, else how often the id was started before."""
    return event(
        EventType.EXECUTION_STARTED,
        now,
        leading={"OrchestrationInstance": {"InstanceId": instance_id, "ExecutionId": execution_id}},
        ParentInstance=parent,
        Name=name,
        Version=version,
        Input=input_text,
        Tags=tags,
        Correlation=None,
        ParentTraceContext=None,
        ScheduledStartTime=None,
        Generation=generation,
        GenerateNewTrace=False,
    )


def execution_completed(
    now: datetime, event_id: int, status: int, result: str | None, failure_details: str | None = None
) -> Event:
    """`status` is the number of the runtime status; the event takes a number of its own."""
    details = json.loads(failure_details) if failure_details else None
    return event(
        EventType.EXECUTION_COMPLETED, now, event_id, OrchestrationStatus=status, Result=result, FailureDetails=details
    )


def execution_terminated(now: datetime, reason: str | None) -> Event:
    """A request to end the instance."""
    return event(EventType.EXECUTION_TERMINATED, now, Input=reason)


def suspended(now: datetime, reason: str | None) -> Event:
    """A request to hold the instance."""
    return event(EventType.SUSPENDED, now, Reason=reason)


def resumed(now: datetime, reason: str | None) -> Event:
    """A request to go on."""
    return event(EventType.RESUMED, now, Reason=reason)


def task_scheduled(now: datetime, task_id: int, name: str, input_text: str | None) -> Event:
    """`input_text` only when the hub stores inputs in history."""
    return event(
        EventType.TASK_SCHEDULED,
        now,
        task_id,
        Name=name,
        Version="",
        Input=input_text,
        ParentTraceContext=None,
        Tags=None,
    )


def task_completed(now: datetime, task_id: int, result: str | None) -> Event:
    """`result` is compact JSON or None for null."""
    return event(EventType.TASK_COMPLETED, now, TaskScheduledId=task_id, Result=result)


def task_failed(now: datetime, task_id: int, failure: Failure) -> Event:
    """An activity ended with a failure."""
    return _failed(EventType.TASK_FAILED, now, task_id, failure)


def child_created(
    now: datetime, task_id: int, *, name: str, version: str | None, instance_id: str, input_text: str | None
) -> Event:
    """A sub-orchestration was started."""
    return event(
        EventType.CHILD_CREATED,
        now,
        task_id,
        Name=name,
        Version=version,
        InstanceId=instance_id,
        Input=input_text,
        ClientSpanId=None,
        Tags=None,
    )


def child_completed(now: datetime, task_id: int, result: str | None) -> Event:
    """A sub-orchestration returned."""
    return event(EventType.CHILD_COMPLETED, now, TaskScheduledId=task_id, Result=result)


def child_failed(now: datetime, task_id: int, failure: Failure) -> Event:
    """A sub-orchestration failed or was terminated."""
    return _failed(EventType.CHILD_FAILED, now, task_id, failure)


def _failed(kind: EventType, now: datetime, task_id: int, failure: Failure) -> Event:
    details = json.loads(failure.failure_details) if failure.failure_details else None
    return event(
        kind, now, TaskScheduledId=task_id, Reason=failure.reason, Details=failure.details, FailureDetails=details
    )


def timer_created(now: datetime, task_id: int, fire_at: str) -> Event:
    """A timer was set."""
    return event(EventType.TIMER_CREATED, now, task_id, FireAt=fire_at)


def timer_fired(now: datetime, task_id: int, fire_at: str) -> Event:
    """`now` is when the timer was set: the real engine prepares this event then."""
    return event(EventType.TIMER_FIRED, now, TimerId=task_id, FireAt=fire_at)


def turn_started(now: datetime) -> Event:
    """Its time is the orchestrator's clock during the turn."""
    return event(EventType.TURN_STARTED, now)


def turn_completed(now: datetime) -> Event:
    """The end of a turn."""
    return event(EventType.TURN_COMPLETED, now)


def event_sent(now: datetime, task_id: int, instance_id: str, name: str, input_text: str) -> Event:
    """A message to an entity."""
    return event(EventType.EVENT_SENT, now, task_id, InstanceId=instance_id, Name=name, Input=input_text)


def event_raised(now: datetime, name: str, input_text: str | None) -> Event:
    """An external event, or an entity's answer."""
    return event(EventType.EVENT_RAISED, now, Name=name, Input=input_text, ParentTraceContext=None)


def generic(now: datetime, data: str | None) -> Event:
    """A note in history; the engine does nothing with it."""
    return event(EventType.GENERIC, now, leading={"Data": data})


def blanked(source: Event) -> Event:
    """What rewinding leaves in the place of an event."""
    kept = {key: source.members[key] for key in ("EventId", "IsPlayed", "Timestamp")}
    members = {"Data": None, "EventType": int(EventType.GENERIC), **kept}
    return Event(members, _encode(members))
