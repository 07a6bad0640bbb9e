"""What a hub knows: instances, their messages, activities in flight, entities. Values only; the machine moves them."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from durablegraph.host.hub.events import Event, Members


class RuntimeStatus(StrEnum):
    """The statuses of Durable's API. Of these the hub never uses ContinuedAsNew and Canceled."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    CONTINUED_AS_NEW = "ContinuedAsNew"
    FAILED = "Failed"
    CANCELED = "Canceled"
    TERMINATED = "Terminated"
    PENDING = "Pending"
    SUSPENDED = "Suspended"

    @property
    def number(self) -> int:
        """The number that history events carry."""
        return _NUMBERS[self]

    @property
    def ended(self) -> bool:
        """Whether nothing happens to such an instance any more."""
        return self in _ENDED


_NUMBERS = {
    RuntimeStatus.RUNNING: 0,
    RuntimeStatus.COMPLETED: 1,
    RuntimeStatus.CONTINUED_AS_NEW: 2,
    RuntimeStatus.FAILED: 3,
    RuntimeStatus.CANCELED: 4,
    RuntimeStatus.TERMINATED: 5,
    RuntimeStatus.PENDING: 6,
    RuntimeStatus.SUSPENDED: 7,
}
_ENDED = frozenset({RuntimeStatus.COMPLETED, RuntimeStatus.FAILED, RuntimeStatus.TERMINATED, RuntimeStatus.CANCELED})


@dataclass(frozen=True, slots=True)
class Parent:
    """Who waits for a child: which execution, and under which id."""

    instance_id: str
    execution_id: str
    task_id: int


@dataclass(frozen=True, slots=True)
class Message:
    """Something for an instance or an entity. `execution_id` None: for whichever execution runs."""

    seq: int
    target: str
    execution_id: str | None
    event: Event
    due: datetime | None = None
    """Not before this moment (timers)."""


@dataclass(slots=True)
class Turn:
    """A turn in the worker's hands: its number, what it consumed, and since when."""

    token: int
    messages: list[Message]
    events: list[Event]


@dataclass(slots=True)
class Instance:
    """One orchestration. Texts (`input`, `output`, `custom_status`) are JSON as stored, `output` perhaps a bare reason.

    `history` is None while it lives in the journal only. `fresh` says that the stored history has not been shown to the
    worker yet: the first turn after continue-as-new.
    """

    id: str
    name: str
    version: str | None
    execution_id: str
    status: RuntimeStatus
    input: str | None
    created: datetime
    updated: datetime
    output: str | None = None
    custom_status: str | None = None
    parent: Parent | None = None
    source_id: str | None = None
    generation: int = 0
    fresh: bool = False
    history: list[Event] | None = None
    inbox: deque[Message] = field(default_factory=deque)
    turn: Turn | None = None
    announced: bool = False
    """Whether the dispatcher has been told that a turn is due."""

    @property
    def started(self) -> bool:
        """Whether a turn of this execution has ended (or continue-as-new began it)."""
        return self.status is not RuntimeStatus.PENDING


@dataclass(frozen=True, slots=True)
class ActivityTask:
    """An activity that was scheduled and has not ended."""

    seq: int
    instance_id: str
    execution_id: str
    task_id: int
    name: str
    input: str


@dataclass(slots=True)
class Entity:
    """One entity: its state, and the requests that wait for it. `state` is JSON text or None before the first batch."""

    id: str
    exists: bool = False
    state: str | None = None
    created: datetime | None = None
    updated: datetime | None = None
    senders: dict[str, Members] = field(default_factory=dict)
    queue: deque[Message] = field(default_factory=deque)
    batch: list[Message] | None = None
    announced: bool = False

    @property
    def name(self) -> str:
        """The entity's function, lower case."""
        return self.id[1:].partition("@")[0]

    @property
    def key(self) -> str:
        """The entity's key."""
        return self.id[1:].partition("@")[2]


@dataclass(slots=True)
class HubState:
    """Everything that is not over. Ended instances are in the journal, and here only while a command touches them."""

    instances: dict[str, Instance] = field(default_factory=dict)
    entities: dict[str, Entity] = field(default_factory=dict)
    activities: dict[int, ActivityTask] = field(default_factory=dict)
    timers: list[tuple[datetime, int, Message]] = field(default_factory=list)
    last_seq: int = 0
    last_token: int = 0

    def next_seq(self) -> int:
        """A number for a message or an activity; numbers give the order of arrival."""
        self.last_seq += 1
        return self.last_seq

    def next_due(self) -> datetime | None:
        """When the next timer fires, None without one."""
        while self.timers and not self._timer_counts(self.timers[0][2]):
            heapq.heappop(self.timers)
        return self.timers[0][0] if self.timers else None

    def _timer_counts(self, message: Message) -> bool:
        instance = self.instances.get(message.target)
        if instance is None:
            return message.target in self.entities
        return instance.execution_id == message.execution_id and not instance.status.ended
