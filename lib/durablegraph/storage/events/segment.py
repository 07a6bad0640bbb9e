"""A segment: a run of consecutive events in one object, and how it grows.

Its text is one line of JSON for the segment and one for each event. A segment says by itself that it is full
(`sealed`): nobody adds to one that says so, whatever sizes other versions of the app think right, and nobody begins the
next one before. So the two conditional writes (this etag, no object there) cannot both be right.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from durablegraph.errors import InvariantBroken
from durablegraph.storage.events.event import END, Event

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """When a segment is full, how many are kept, and from how many bytes on an event's data lies apart."""

    events: int = 256
    size: int = 64 * 1024
    kept: int = 128
    inline: int = 32 * 1024


@dataclass(frozen=True, slots=True)
class Segment:
    """Events from offset `first` on. `earlier` are the first offsets of the kept segments before it."""

    first: int = 1
    earlier: tuple[int, ...] = ()
    lines: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    sealed: bool = False
    closed: bool = False
    size: int = 0

    @property
    def end(self) -> int:
        """The offset after its last event."""
        return self.first + len(self.events)

    @property
    def oldest(self) -> int:
        """The first offset that the log still holds."""
        return self.earlier[0] if self.earlier else self.first

    def encode(self) -> bytes:
        """The object's bytes."""
        head = {"v": FORMAT, "first": self.first, "earlier": self.earlier, "sealed": self.sealed, "closed": self.closed}
        return "\n".join((json.dumps(head, separators=(",", ":")), *self.lines)).encode()

    @classmethod
    def decode(cls, key: str, data: bytes) -> "Segment":
        """The segment in an object; raises InvariantBroken, naming the key, for anything else."""
        try:
            text, *lines = data.decode().split("\n")
            head: dict[str, Any] = json.loads(text)
            if head["v"] != FORMAT:
                raise InvariantBroken(f"{key}: format {head['v']}, this version reads {FORMAT}; upgrade durablegraph")
            events = tuple(Event.from_members(json.loads(line)) for line in lines)
            earlier, sealed, closed = tuple(head["earlier"]), bool(head["sealed"]), bool(head["closed"])
            size = sum(map(len, lines))
            return cls(int(head["first"]), earlier, tuple(lines), events, sealed, closed, size)
        except (ValueError, KeyError, TypeError) as error:
            raise InvariantBroken(f"the object {key!r} is not a segment of an event log: {error!r}") from error

    def after(self, kept: int) -> "Segment":
        """The empty segment behind this one, which is full; at most `kept` segments stay, it included."""
        earlier = (*self.earlier, self.first)
        return Segment(first=self.end, earlier=earlier[-(kept - 1) :] if kept > 1 else ())

    def grown(self, events: Sequence[Event], limits: Limits) -> tuple["Segment", int]:
        """The segment with as many of the events as it takes, and how many these are: at least one."""
        lines, size, taken = list(self.lines), self.size, 0
        sealed = closed = False
        for event in events:
            line = event.to_line()
            lines.append(line)
            size, taken = size + len(line), taken + 1
            closed = event.name == END
            sealed = closed or len(lines) >= limits.events or size >= limits.size
            if sealed:
                break
        told = (*self.events, *events[:taken])
        grown = replace(self, lines=tuple(lines), events=told, size=size, sealed=sealed, closed=closed)
        return grown, taken


@dataclass(slots=True)
class Tail:
    """The newest segment with its etag (None: not stored yet), and what is known of the events so far."""

    segment: Segment
    etag: str | None
    ids: set[str] = field(default_factory=set)
    attempts: dict[str, dict[str, int]] = field(default_factory=dict)

    def learn(self, events: Sequence[Event]) -> None:
        """Remember ids, and who executed what for which time."""
        for event in events:
            self.ids.add(event.id)
            if event.step:
                self.attempts.setdefault(event.step, {})[event.by] = event.attempt

    def unknown(self, run_id: str, events: Sequence[Event]) -> list[Event]:
        """What is not in the log yet, numbered by attempt; a further attempt is announced by a `metadata` event."""
        if self.segment.closed:
            return []
        new: list[Event] = []
        seen = set(self.ids)
        attempts = {step: dict(numbers) for step, numbers in self.attempts.items()}
        for event in events:
            if event.id in seen:
                continue
            seen.add(event.id)
            numbers = attempts.setdefault(event.step, {}) if event.step else {}
            again = bool(numbers) and event.by not in numbers
            attempt = numbers.setdefault(event.by, max(numbers.values(), default=0) + 1)
            if again:
                told = {"run_id": run_id, "attempt": attempt, "step": event.step}
                new.append(replace(event, id=f"{event.id}-again", name="metadata", data=told, attempt=attempt))
            new.append(replace(event, attempt=attempt))
        return new
