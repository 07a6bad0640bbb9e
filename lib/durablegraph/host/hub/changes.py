"""What a step changes in the hub's memory on disk: values that a journal stores, in order."""

from dataclasses import dataclass

from durablegraph.host.hub.state import ActivityTask, Entity, Instance, Message


@dataclass(frozen=True, slots=True)
class PutInstance:
    """Write an instance's row as a whole."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class TouchInstance:
    """Write what a turn changes of an instance's row: all but its name and input."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class DropInstance:
    """Delete an instance with its history and messages."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class AppendHistory:
    """Add events (JSON texts) to a history, the first at `start`."""

    instance_id: str
    start: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClearHistory:
    """Delete a history."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class PutMessage:
    """Keep a message."""

    message: Message


@dataclass(frozen=True, slots=True)
class DropMessages:
    """Forget messages by number."""

    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DropMessagesOf:
    """Forget all messages of a target, or only those of one execution."""

    target: str
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class PutActivity:
    """Keep an activity until it has ended."""

    task: ActivityTask


@dataclass(frozen=True, slots=True)
class DropActivity:
    """Forget an activity."""

    seq: int


@dataclass(frozen=True, slots=True)
class PutEntity:
    """Write an entity's row."""

    entity: Entity


Change = (
    PutInstance
    | TouchInstance
    | DropInstance
    | AppendHistory
    | ClearHistory
    | PutMessage
    | DropMessages
    | DropMessagesOf
    | PutActivity
    | DropActivity
    | PutEntity
)
