"""What an orchestration waits for, in words, from its history and its last answer."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from durablegraph.host.hub.actions import ActionType, action_type
from durablegraph.host.hub.client import HubClient
from durablegraph.host.hub.events import EventType
from durablegraph.host.hub.state import RuntimeStatus
from durablegraph.host.invocation import Invocation
from durablegraph.testing.differences import operations, state_of
from durablegraph.testing.journaling import Record

Members = dict[str, Any]
_ENDS = {
    EventType.TASK_SCHEDULED: (EventType.TASK_COMPLETED, EventType.TASK_FAILED),
    EventType.CHILD_CREATED: (EventType.CHILD_COMPLETED, EventType.CHILD_FAILED),
}
_SHOWN = 500


def told_in_flight(calls: Sequence[Invocation]) -> str:
    """The calls that have not ended."""
    if not calls:
        return "No function runs: the host itself is busy."
    names = "; ".join(f"{call.kind} {call.function!r} of instance {call.instance_id}" for call in calls)
    return f"Running: {names}. Look for what it waits for, or open the app with a larger `limit`."


def awaited(client: HubClient, record: Record, instance_id: str) -> list[str]:
    """One line for each thing that a live orchestration waits for."""
    history = [event.members for event in client.history(instance_id)]
    turns = record.turns.get(instance_id)
    actions = operations(state_of(turns[-1])) if turns else []
    return [
        *_events(history, actions),
        *_timers(history, actions),
        *_open(history, EventType.TASK_SCHEDULED, lambda item: f"the activity {item['Name']!r}"),
        *_open(history, EventType.CHILD_CREATED, lambda item: _child(client, record, item)),
        *_entities(history),
    ]


def told(client: HubClient, record: Record, instance_id: str) -> str:
    """How an orchestration stands, for the text of an error."""
    status = client.status(instance_id)
    if status is None:
        return f"There is no instance {instance_id!r}."
    head = f"The orchestration {status.name!r} ({instance_id}) is {status.runtime_status}"
    if status.runtime_status.ended:
        return f"{head}: {_short(status.output)}"
    if status.runtime_status is RuntimeStatus.SUSPENDED:
        return f"{head}: it goes on when it is resumed."
    lines = awaited(client, record, instance_id)
    shown = "; ".join(lines) or "nothing that the host knows of"
    custom = f" Its custom status: {_short(status.custom_status)}." if status.custom_status else ""
    return f"{head} and waits for: {shown}.{custom}"


def _events(history: Sequence[Members], actions: Sequence[Members]) -> list[str]:
    """Events asked for less events that came, by name."""
    asked = Counter(
        str(action["externalEventName"]) for action in actions if action_type(action) == ActionType.WAIT_FOR_EVENT
    )
    came = Counter(str(item["Name"]).lower() for item in history if item["EventType"] == EventType.EVENT_RAISED)
    return [f"the event {name!r}" for name, count in asked.items() if count > came[name.lower()]]


def _timers(history: Sequence[Members], actions: Sequence[Members]) -> list[str]:
    fired = {item["TimerId"] for item in history if item["EventType"] == EventType.TIMER_FIRED}
    cancelled = {
        _moment(action["fireAt"])
        for action in actions
        if action_type(action) == ActionType.CREATE_TIMER and action.get("isCanceled")
    }
    return [
        f"the time {item['FireAt']}"
        for item in history
        if item["EventType"] == EventType.TIMER_CREATED
        and item["EventId"] not in fired
        and _moment(item["FireAt"]) not in cancelled
    ]


def _open(history: Sequence[Members], kind: EventType, shown: Callable[[Members], str]) -> list[str]:
    ended = {item["TaskScheduledId"] for item in history if item["EventType"] in _ENDS[kind]}
    return [shown(item) for item in history if item["EventType"] == kind and item["EventId"] not in ended]


def _child(client: HubClient, record: Record, item: Members) -> str:
    """A child with what it waits for itself."""
    inner = "; ".join(awaited(client, record, item["InstanceId"]))
    return f"the child orchestration {item['Name']!r} ({item['InstanceId']}), which waits for: {inner or 'nothing'}"


def _entities(history: Sequence[Members]) -> list[str]:
    """Calls of entities whose answers have not come: an answer is an event named by the request's id."""
    came = {str(item["Name"]).lower() for item in history if item["EventType"] == EventType.EVENT_RAISED}
    lines = []
    for item in history:
        if item["EventType"] != EventType.EVENT_SENT or not str(item.get("InstanceId", "")).startswith("@"):
            continue
        request = json.loads(item["Input"]) if isinstance(item.get("Input"), str) else {}
        if not request.get("signal") and str(request.get("id")).lower() not in came:
            lines.append(f"an answer of the entity {item['InstanceId']}")
    return lines


def _moment(text: str) -> str:
    """A moment to the second: two spellings of it are one."""
    return text[:19]


def _short(text: str | None) -> str:
    shown = text or "no output"
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
