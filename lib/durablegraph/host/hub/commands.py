"""What a hub can be told (commands), and what comes of it (steps): effects, and changes that must be stored."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from durablegraph.host.hub.changes import Change
from durablegraph.host.hub.failures import Failure
from durablegraph.host.hub.state import ActivityTask, Parent
from durablegraph.host.invocation import InvocationError


@dataclass(frozen=True, slots=True)
class Start:
    """Create an instance. One that has the id already is replaced, whatever its status: who may is decided before."""

    instance_id: str
    name: str
    input: str | None
    version: str | None
    source_id: str | None = None
    generation: int = 0
    parent: Parent | None = None


@dataclass(frozen=True, slots=True)
class Raise:
    """An external event; `input` is JSON text."""

    instance_id: str
    name: str
    input: str | None


@dataclass(frozen=True, slots=True)
class Terminate:
    """End an instance at once."""

    instance_id: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Suspend:
    """Hold an instance."""

    instance_id: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Resume:
    """Let a held instance go on."""

    instance_id: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Rewind:
    """Take back a failure. `instances`, loaded with their histories, are the failed one and its failed descendants."""

    instance_id: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Purge:
    """Forget an instance that has ended."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class Signal:
    """An operation on an entity that nobody waits for. `input` is JSON text or None."""

    entity_id: str
    operation: str
    input: str | None


@dataclass(frozen=True, slots=True)
class BeginTurn:
    """The dispatcher has room for a turn of this instance."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class TurnAnswered:
    """A turn ended. Exactly one of `response` (the SDK's JSON, parsed) and `error` is set."""

    instance_id: str
    token: int
    response: dict[str, Any] | None = None
    error: InvocationError | None = None
    lost: str | None = None
    """The worker process ended during the turn; the text says how."""


@dataclass(frozen=True, slots=True)
class TurnAbandoned:
    """A turn took longer than the function timeout: it is tried again."""

    instance_id: str
    token: int


@dataclass(frozen=True, slots=True)
class ActivityEnded:
    """An activity returned (`result` is its raw JSON) or failed."""

    seq: int
    result: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class BeginBatch:
    """The dispatcher has room for a batch of this entity."""

    entity_id: str


@dataclass(frozen=True, slots=True)
class BatchEnded:
    """A batch ended with the SDK's response, or failed as a whole with `error`."""

    entity_id: str
    response: dict[str, Any] | None = None
    error: str | None = None


Command = (
    Start
    | Raise
    | Terminate
    | Suspend
    | Resume
    | Rewind
    | Purge
    | Signal
    | BeginTurn
    | TurnAnswered
    | TurnAbandoned
    | ActivityEnded
    | BeginBatch
    | BatchEnded
)


# -- effects ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class TurnDue:
    """An instance has something to process; answer with BeginTurn when there is room."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class RunTurn:
    """Call the orchestrator `name` with `request`; answer with TurnAnswered or TurnAbandoned."""

    instance_id: str
    token: int
    name: str
    request: str


@dataclass(frozen=True, slots=True)
class RunActivity:
    """Call an activity; answer with ActivityEnded."""

    task: ActivityTask


@dataclass(frozen=True, slots=True)
class BatchDue:
    """An entity has requests; answer with BeginBatch when there is room."""

    entity_id: str


@dataclass(frozen=True, slots=True)
class RunBatch:
    """Call the entity function `name` with `request`; answer with BatchEnded."""

    entity_id: str
    name: str
    request: str


@dataclass(frozen=True, slots=True)
class Changed:
    """An instance's status changed (or it is gone): somebody may be waiting for that."""

    instance_id: str


Effect = TurnDue | RunTurn | RunActivity | BatchDue | RunBatch | Changed


@dataclass(slots=True)
class Step:
    """What one command (or tick) came to: `effects`, and `changes` to be stored in one transaction."""

    now: datetime
    effects: list[Effect] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
