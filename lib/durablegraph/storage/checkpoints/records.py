"""What a log is made of: values, checkpoints, writes of tasks, marks. `wire` gives each its bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from durablegraph.storage.checkpoints.splices import Splice

Version: TypeAlias = str | int | float
Typed: TypeAlias = tuple[str, bytes]
"""A value as LangGraph's serialisers make it: the name of its type and its bytes."""


@dataclass(frozen=True, slots=True)
class Inline:
    """A value that lies in the log itself."""

    type: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class External:
    """A value in an object of its own."""

    type: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Spliced:
    """A value told as the difference from another version of its channel in the same log."""

    type: str
    base: Version
    splice: Splice
    size: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value at the end of a chain of splices in sealed segments, newest segment first.

    `external` is the object the chain begins with, if any; `cost` are the bytes of all its splices. Both only serve
    to fetch everything at once and to know when a fresh copy is cheaper.

    `pack` tells a head's readers of a shortcut: the whole value lies `start` bytes into the log's pack, if that still
    is the one of this id. A sealed segment's shortcuts are long out of date.
    """

    type: str
    segments: tuple[str, ...]
    external: str | None
    cost: int
    size: int
    pack: bytes | None = None
    start: int = 0


Entry: TypeAlias = Inline | External | Spliced | Sealed


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """One checkpoint: the serialised parts, its channel versions, and the values that are new in it.

    `rank` orders checkpoints: the id, unless a child of the latest came with a smaller id (a clock behind another's);
    then it sorts right behind its parent. `generation` counts how often the run had been deleted before.
    """

    id: str
    rank: str
    parent: str | None
    versions: Mapping[str, Version]
    skeleton: Typed
    metadata: Typed
    values: tuple[tuple[str, Version, Entry], ...]
    run: str | None = None
    generation: int = 0
    deltas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskWrites:
    """What one call of put_writes added: (index, channel, value); a negative index is a special channel's slot."""

    checkpoint: str
    task: str
    path: str
    writes: tuple[tuple[int, str, Entry], ...]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The checkpoints that these runs made until now are deleted."""

    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommitMark:
    """Stands before the records of one commit, so that a writer whose answer was lost finds its commit."""

    commit: bytes


@dataclass(frozen=True, slots=True)
class Folded:
    """A delta channel's history that a prune folded away: pending writes, oldest first, and the value they start at."""

    writes: tuple[tuple[str, Typed], ...]
    seed: Typed | None


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A sealed segment, or an index of such, with the ids and ranks it spans and the ids it has only late writes of."""

    name: str
    low: str
    high: str
    late: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Base:
    """The first record of a log: everything it takes over from what was sealed before."""

    id: bytes
    sequence: int
    thread: str
    namespace: str
    index: tuple[tuple[SegmentEntry, ...], ...] = ()
    values: tuple[tuple[str, Version, Entry], ...] = ()
    checkpoint: StoredCheckpoint | None = None
    writes: tuple[TaskWrites, ...] = ()
    forgotten: Mapping[str, int] = field(default_factory=dict)
    folded: Mapping[str, Mapping[str, Folded]] = field(default_factory=dict)
    commits: tuple[bytes, ...] = ()


Record: TypeAlias = Base | StoredCheckpoint | TaskWrites | Forgotten | CommitMark

_FRAME: Final = 16
"""Bytes of a record, or of an item in one, beside what it holds."""


def weight(record: Record) -> int:
    """How many bytes a record takes up before compression, roughly: enough to compare parts of a log."""
    match record:
        case CommitMark() | Forgotten():
            return _FRAME
        case TaskWrites(_, task, path, writes):
            return _FRAME + len(task) + len(path) + sum(_FRAME + _weight(entry) for _, _, entry in writes)
        case StoredCheckpoint():
            texts = len(record.id) + len(record.skeleton[1]) + len(record.metadata[1])
            return texts + _FRAME * len(record.versions) + _weight_of(record.values)
        case Base(values=values, checkpoint=tip, writes=pending, folded=folded):
            kept = sum(weight(one) for one in pending) + (0 if tip is None else weight(tip))
            return _FRAME + _weight_of(values) + kept + _weight_of_history(folded)


def _weight_of(values: Iterable[tuple[str, Version, Entry]]) -> int:
    return sum(_FRAME + len(channel) + _weight(entry) for channel, _, entry in values)


def _weight_of_history(folded: Mapping[str, Mapping[str, Folded]]) -> int:
    histories = (history for channels in folded.values() for history in channels.values())
    return sum(_FRAME + len(raw) for history in histories for _, (_, raw) in history.writes)


def _weight(entry: Entry) -> int:
    match entry:
        case Inline(_, raw):
            return len(raw)
        case External():
            return _FRAME
        case Spliced(_, _, difference, _):
            return difference.cost
        case Sealed(_, segments):
            return _FRAME * (1 + len(segments))
