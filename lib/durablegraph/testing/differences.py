"""Where two answers of an orchestrator differ, in words."""

import json
import re
from collections.abc import Iterator
from typing import Any

from durablegraph.host.hub.actions import Action, ActionType, action_type
from durablegraph.testing.journaling import Turn

_LABEL = "$OutOfProcData$:"
_NAMES = ("functionName", "externalEventName", "fireAt", "instanceId", "operation")


def state_of(turn: Turn) -> dict[str, Any] | None:
    """The state that a turn answered, which a failed one has in its error's text; None when it has none."""
    text = turn.answer if turn.error is None else turn.error.partition(_LABEL)[2]
    try:
        state = json.loads(text or "null")
    except ValueError:
        return None
    return state if isinstance(state, dict) else None


def operations(state: dict[str, Any] | None) -> list[Action]:
    """The single operations that a state asks for, in order."""
    return list(_leaves([action for group in (state or {}).get("actions", ()) for action in group]))


def described(action: Action) -> str:
    """An operation in a few words: ``CALL_ACTIVITY 'charge' {...}``."""
    kind = ActionType(action_type(action)).name
    named = " ".join(repr(action[name]) for name in _NAMES if action.get(name))
    given = action.get("input")
    return f"{kind} {named}{'' if given is None else f' with {_short(str(given))}'}"


def first_difference(one: list[Action], other: list[Action]) -> tuple[int, str, str] | None:
    """The place of the first operations that are not the same, and both in words; None when there is none."""
    for place in range(max(len(one), len(other))):
        pair = [_settled(actions[place]) if place < len(actions) else None for actions in (one, other)]
        if pair[0] != pair[1]:
            first, second = ("nothing" if action is None else described(action) for action in pair)
            return place, first, second
    return None


def change_of_mind(name: str, first: Turn, second: Turn) -> str | None:
    """A text when an orchestrator's two answers to one request differ, None when they do not."""
    one, other = state_of(first), state_of(second)
    if one == other and (first.error is None) == (second.error is None):
        return None
    head = f"the orchestrator {name!r} gave two answers to one history"
    cause = (
        "It reads something that changes: a clock, chance, a global, the environment or a file. "
        "Use context.current_utc_datetime and context.new_uuid(), and move the rest into an activity."
    )
    if found := first_difference(operations(one), operations(other)):
        place, was, now = found
        return f"{head}. Operation {place + 1} was first {was}, then {now}. {cause}"
    return f"{head}: first {_rest(first, one)}, then {_rest(second, other)}. {cause}"


def _leaves(actions: list[Action]) -> Iterator[Action]:
    for action in actions:
        inner = action.get("compoundActions")
        if inner:
            yield from _leaves(inner)
        else:
            yield action


def _settled(action: Action) -> Action:
    """An operation without the one member that later turns may change."""
    return {name: value for name, value in action.items() if name != "isCanceled"}


def _rest(turn: Turn, state: dict[str, Any] | None) -> str:
    if turn.error is not None:
        return f"the error {_short(re.split(_LABEL.replace('$', '[$]'), turn.error)[0])}"
    shown = {name: value for name, value in (state or {}).items() if name != "actions"}
    return _short(json.dumps(shown, sort_keys=True))


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004 -- as much as a line of a test report bears
