"""The actions that the Python SDK answers a turn with."""

from enum import IntEnum
from typing import Any

Action = dict[str, Any]


class ActionType(IntEnum):
    """The numbers that the SDK gives its actions."""

    CALL_ACTIVITY = 0
    CALL_ACTIVITY_WITH_RETRY = 1
    CALL_CHILD = 2
    CALL_CHILD_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    CREATE_TIMER = 5
    WAIT_FOR_EVENT = 6
    CALL_ENTITY = 7
    CALL_HTTP = 8
    SIGNAL_ENTITY = 9
    SCHEDULED_SIGNAL = 10
    WHEN_ANY = 11
    WHEN_ALL = 12


_BY_NAME = {
    "callactivity": ActionType.CALL_ACTIVITY,
    "callactivitywithretry": ActionType.CALL_ACTIVITY_WITH_RETRY,
    "callsuborchestrator": ActionType.CALL_CHILD,
    "callsuborchestratorwithretry": ActionType.CALL_CHILD_WITH_RETRY,
    "continueasnew": ActionType.CONTINUE_AS_NEW,
    "createtimer": ActionType.CREATE_TIMER,
    "waitforexternalevent": ActionType.WAIT_FOR_EVENT,
    "callentity": ActionType.CALL_ENTITY,
    "callhttp": ActionType.CALL_HTTP,
    "signalentity": ActionType.SIGNAL_ENTITY,
    "scheduledsignalentity": ActionType.SCHEDULED_SIGNAL,
    "whenany": ActionType.WHEN_ANY,
    "whenall": ActionType.WHEN_ALL,
}


def action_type(action: Action) -> int:
    """The number of an action's type, which may be given by name. KeyError for a name that is none."""
    kind = action["actionType"]
    return kind if isinstance(kind, int) else int(_BY_NAME[str(kind).lower()])


def leaf_count(action: Action) -> int:
    """How many operations an action asks for at most."""
    inner = action.get("compoundActions")
    return sum(map(leaf_count, inner)) if inner else 1
