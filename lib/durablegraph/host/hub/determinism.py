"""Whether what a replay produced is what history has under the same id, and DurableTask.Core's words when it is not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from durablegraph.host.hub.actions import Action
from durablegraph.host.hub.events import Event, EventType

_CHANGED = "Was a change made to the orchestrator code after this instance had already started running?"


class NonDeterminism(Exception):  # noqa: N818 -- a finding about an orchestrator
    """History and replay differ; the text says how."""


class Operation(NamedTuple):  # made anew for each action of each turn: a dataclass takes three times as long
    """Something the engine schedules: `kind` is the history event that records it, `action` what the SDK asked for."""

    id: int
    kind: EventType
    name: str
    action: Action


@dataclass(frozen=True, slots=True)
class _Wording:
    text: Callable[[int, Event], str]
    action: str
    task: str = ""
    """How a task of this kind is called; empty where names are not compared."""


def _child(task_id: int, item: Event) -> str:
    members = item.members
    more = f"(version '{members['Version'] or ''}', instance ID '{members['InstanceId']}')"
    return f"a sub-orchestration task with sequence ID {task_id} and name '{members['Name']}' {more}"


_WORDINGS: dict[int, _Wording] = {
    EventType.TASK_SCHEDULED: _Wording(
        lambda task_id, item: f"an activity task with sequence number {task_id} named '{item.members['Name']}'",
        "ScheduleTaskOrchestratorAction",
        "an activity task",
    ),
    EventType.CHILD_CREATED: _Wording(_child, "CreateSubOrchestrationAction", "a sub-orchestration task"),
    EventType.TIMER_CREATED: _Wording(
        lambda task_id, _: f"a timer task with sequence number {task_id} named", "CreateTimerOrchestratorAction"
    ),
    EventType.EVENT_SENT: _Wording(
        lambda task_id, item: f"an event message with sequence number {task_id} for '{item.members['InstanceId']}'",
        "SendEventOrchestratorAction",
    ),
}


def check(item: Event, made: Operation | None) -> None:
    """Compares a recorded operation with the one produced for its id. NonDeterminism when kind or name differ.

    Inputs and times are not compared, as on the real engine.
    """
    kind, name = item.members["EventType"], item.members.get("Name")
    if made is not None and made.kind == kind and (kind == EventType.TIMER_CREATED or name == made.name):
        return
    wording = _WORDINGS[kind]
    past = f"A previous execution of this orchestration scheduled {wording.text(item.members['EventId'], item)}"
    if made is None:
        raise NonDeterminism(f"{past}, but the current replay execution hasn't (yet?) scheduled this task. {_CHANGED}")
    if made.kind != kind:
        produced = f"{_WORDINGS[made.kind].action} action with this sequence number"
        raise NonDeterminism(f"{past}, but the current orchestration replay instead produced a {produced}. {_CHANGED}")
    if wording.task and str(name).lower() != made.name.lower():
        instead = f"{wording.task} named '{made.name}' with this sequence number"
        raise NonDeterminism(f"{past}, but the current orchestration replay instead scheduled {instead}.  {_CHANGED}")
