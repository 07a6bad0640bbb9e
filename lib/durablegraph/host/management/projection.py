"""How the API shows an instance's status and history.

Source: DurableOrchestrationClient's status conversion, recorded on extension 3.19: events of a call are folded into its
completion, turns are left out, engine-internal members dropped.
"""

import json
from collections.abc import Sequence
from typing import Any

from durablegraph.host.hub import newtonsoft
from durablegraph.host.hub.events import Event, EventType
from durablegraph.host.hub.state import RuntimeStatus
from durablegraph.host.hub.status import InstanceStatus
from durablegraph.host.hub.wiretime import seconds_iso

_NAMES = {
    EventType.EXECUTION_STARTED: "ExecutionStarted",
    EventType.EXECUTION_COMPLETED: "ExecutionCompleted",
    EventType.EXECUTION_TERMINATED: "ExecutionTerminated",
    EventType.TASK_SCHEDULED: "TaskScheduled",
    EventType.TASK_COMPLETED: "TaskCompleted",
    EventType.TASK_FAILED: "TaskFailed",
    EventType.CHILD_CREATED: "SubOrchestrationInstanceCreated",
    EventType.CHILD_COMPLETED: "SubOrchestrationInstanceCompleted",
    EventType.CHILD_FAILED: "SubOrchestrationInstanceFailed",
    EventType.TIMER_CREATED: "TimerCreated",
    EventType.TIMER_FIRED: "TimerFired",
    EventType.EVENT_SENT: "EventSent",
    EventType.EVENT_RAISED: "EventRaised",
    EventType.GENERIC: "GenericEvent",
    EventType.SUSPENDED: "ExecutionSuspended",
    EventType.RESUMED: "ExecutionResumed",
}
_DROPPED = ("EventId", "IsPlayed", "TaskScheduledId", "TimerId", "Version", "ClientSpanId")
_DROPPED_OF_START = ("OrchestrationInstance", "ParentInstance", "Name", "Tags")
_STATUS_NAMES = {status.number: status.value for status in RuntimeStatus}


class DuplicateEvent(ValueError):  # noqa: N818 -- the real API's own failure
    """Two operations of a history have one id: such a history (of a non-deterministic run) cannot be shown."""


def parsed(text: str | None) -> Any:
    """A stored text as JSON, or as the bare string that it is."""
    if text is None:
        return None
    try:
        value = newtonsoft.loads(text)
    except ValueError:
        return text
    return json.loads(newtonsoft.dumps(value)) if "NaN" in text or "Infinity" in text else value


def status_members(status: InstanceStatus, *, show_input: bool = True) -> dict[str, Any]:
    """The members of a status response."""
    version = {"version": status.version} if status.version else {}
    return {
        "name": status.name,
        **version,
        "instanceId": status.instance_id,
        "runtimeStatus": status.runtime_status.value,
        "input": parsed(status.input) if show_input else None,
        "customStatus": parsed(status.custom_status),
        "output": parsed(status.output),
        "createdTime": seconds_iso(status.created),
        "lastUpdatedTime": seconds_iso(status.updated),
    }


def history_members(history: Sequence[Event], *, show_input: bool, show_output: bool) -> list[dict[str, Any]]:
    """`historyEvents`. DuplicateEvent when two scheduled operations share an id."""
    scheduled: dict[str, dict[str, Any]] = {}
    shown: list[dict[str, Any]] = []
    for item in history:
        kind = EventType(item.type)
        if kind in {EventType.TURN_STARTED, EventType.TURN_COMPLETED}:
            continue
        members = dict(item.members)
        if kind in {EventType.TASK_SCHEDULED, EventType.CHILD_CREATED}:
            key = f"{_NAMES[kind]}_{members['EventId']}"
            if key in scheduled:
                raise DuplicateEvent(f"An item with the same key has already been added. Key: {key}")
            scheduled[key] = members
        _fold(kind, members, scheduled, shown)
        shown.append(members)
    return [_visible(members, show_input=show_input, show_output=show_output) for members in shown]


def _fold(
    kind: EventType, members: dict[str, Any], scheduled: dict[str, dict[str, Any]], shown: list[dict[str, Any]]
) -> None:
    """Moves what scheduled a call into its completion."""
    task = kind in {EventType.TASK_COMPLETED, EventType.TASK_FAILED}
    if not task and kind not in {EventType.CHILD_COMPLETED, EventType.CHILD_FAILED}:
        return
    of = EventType.TASK_SCHEDULED if task else EventType.CHILD_CREATED
    begun = scheduled.get(f"{_NAMES[of]}_{members['TaskScheduledId']}")
    if begun is None:
        return
    shown.remove(begun)
    members["ScheduledTime"] = begun["Timestamp"][:-1] + "+00:00"
    members["FunctionName"] = begun["Name"]
    if not task:
        members["InstanceId"] = begun["InstanceId"]
    members["Input"] = begun["Input"]


def _visible(members: dict[str, Any], *, show_input: bool, show_output: bool) -> dict[str, Any]:
    kind = EventType(members["EventType"])
    dropped: tuple[str, ...] = _DROPPED
    if kind is EventType.EXECUTION_STARTED:
        members["FunctionName"] = members["Name"]
        dropped = (*_DROPPED, *_DROPPED_OF_START)
    if not show_input and "Input" in members and kind is not EventType.EXECUTION_TERMINATED:
        dropped = (*dropped, "Input")
    if "Result" in members:
        if show_output:
            members["Result"] = parsed(members["Result"])
        else:
            dropped = (*dropped, "Result")
    if kind is EventType.EXECUTION_COMPLETED:
        members["OrchestrationStatus"] = _STATUS_NAMES[members["OrchestrationStatus"]]
    members["EventType"] = _NAMES[kind]
    return {key: value for key, value in members.items() if key not in dropped}
