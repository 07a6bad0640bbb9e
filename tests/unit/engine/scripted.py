"""A Durable context driven by hand: the test plays the engine."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from durablegraph.engine.run import run
from durablegraph.model.messages import Ticket

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Scheduled:
    """One thing the loop scheduled; `cancelled` counts for timers."""

    kind: str
    name: str = ""
    call: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None
    among: tuple["Scheduled", ...] = ()
    result: Any = None
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class ScriptedContext:
    """Records what the loop schedules and shows."""

    def __init__(self) -> None:
        self.now = NOON
        self.scheduled: list[Scheduled] = []
        self.shown: list[dict[str, Any]] = []
        self.next_ticket: dict[str, Any] | None = None

    def activity(self, name: str, call: dict[str, Any]) -> Scheduled:
        return self._add(Scheduled("activity", name, call))

    def event(self, name: str) -> Scheduled:
        return self._add(Scheduled("event", name))

    def timer(self, at: datetime) -> Scheduled:
        return self._add(Scheduled("timer", at=at))

    def first_of(self, pending: list[Scheduled]) -> Scheduled:
        return Scheduled("first", among=tuple(pending))

    def all_of(self, pending: list[Scheduled]) -> Scheduled:
        return Scheduled("all", among=tuple(pending))

    def show(self, status: dict[str, Any]) -> None:
        self.shown.append(status)

    def continue_as_new(self, ticket: dict[str, Any]) -> None:
        self.next_ticket = ticket

    def _add(self, item: Scheduled) -> Scheduled:
        self.scheduled.append(item)
        return item


class Played:
    """A run under way: `play` answers what it waits for and returns what it waits for next."""

    def __init__(self, ticket: Ticket) -> None:
        self.context = ScriptedContext()
        self.generator = run(self.context, ticket)
        self.output: Any = None
        self.ended = False
        self.waiting: Any = self._step(lambda: next(self.generator))

    def play(self, result: Any) -> Any:
        self.waiting = self._step(lambda: self.generator.send(result))
        return self.waiting

    def fail(self, error: Exception) -> Any:
        self.waiting = self._step(lambda: self.generator.throw(error))
        return self.waiting

    def wake(self, name: str, payload: Any = None) -> Any:
        """Complete the event of this name, or the timer, among those waited for."""
        one = next(item for item in self.waiting.among if name in {item.name, item.kind})
        one.result = payload
        return self.play(one)

    def _step(self, go: Any) -> Any:
        try:
            return go()
        except StopIteration as stop:
            self.ended, self.output = True, stop.value
            return None
