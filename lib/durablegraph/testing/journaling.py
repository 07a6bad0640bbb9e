"""What the app was asked and answered, kept over its lives: activity calls and orchestrator turns."""

import json
from dataclasses import dataclass, field
from typing import Any

_MOST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ActivityCall:
    """One execution of an activity that began; `given` is its input as JSON text."""

    name: str
    instance_id: str
    given: str

    @property
    def input(self) -> Any:
        """The input as a value. The SDK's client wraps it as JSON in JSON."""
        value = json.loads(self.given)
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of an orchestrator: the request's text, and the answer's text or the error's."""

    request: str
    answer: str | None
    error: str | None = None


@dataclass(slots=True)
class Record:
    """Everything of one app. Turns of an instance are given up once they hold 64 MiB: each repeats the history."""

    activities: list[ActivityCall] = field(default_factory=list)
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    too_long: set[str] = field(default_factory=set)
    changes_of_mind: list[str] = field(default_factory=list)
    _sizes: dict[str, int] = field(default_factory=dict)

    def add(self, instance_id: str, turn: Turn) -> None:
        """Keep a turn; of an instance that is too long only the last one."""
        turns = self.turns.setdefault(instance_id, [])
        size = self._sizes.get(instance_id, 0) + len(turn.request)
        if size > _MOST:
            self.too_long.add(instance_id)
            turns.clear()
        turns.append(turn)
        self._sizes[instance_id] = size
