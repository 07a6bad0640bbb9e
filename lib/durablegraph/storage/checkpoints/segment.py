"""A log in memory: the records of a head or of a sealed segment, ready to be asked."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from durablegraph.storage.checkpoints.errors import CorruptCheckpoint
from durablegraph.storage.checkpoints.records import (
    Base,
    CommitMark,
    Entry,
    Forgotten,
    Record,
    StoredCheckpoint,
    TaskWrites,
    Version,
    weight,
)
from durablegraph.storage.checkpoints.wire import unpack

# LangGraph's NULL_TASK_ID: input and resume values of the caller, not the output of a task. The loop hands over the
# whole list again each time it grows, so its writes are kept by position.
_NO_TASK: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Write:
    """One pending write; its value is inline or an object of its own, so it can be read without its log."""

    path: str
    channel: str
    entry: Entry


WritesByPlace: TypeAlias = dict[tuple[str, int], Write]
"""The writes of one checkpoint by (task id, index)."""


def by_place(record: TaskWrites) -> WritesByPlace:
    """The writes of one record, the last one of each place."""
    return {(record.task, index): Write(record.path, channel, entry) for index, channel, entry in record.writes}


def absorb(present: Mapping[tuple[str, int], Write], added: Mapping[tuple[str, int], Write]) -> WritesByPlace:
    """What of `added`, which a log has, is shown, given what is `present` for the same checkpoint.

    A place keeps its first write, a special channel's slot its newest.
    """
    return {
        place: write
        for place, write in added.items()
        if (place not in present if place[1] >= 0 else present.get(place) != write)
    }


def counting(
    present: Mapping[tuple[str, int], Write], added: Mapping[tuple[str, int], Write], *, anew: Collection[str] = ()
) -> WritesByPlace:
    """What of `added` is to be stored, given what is `present` for the same checkpoint.

    A task's output is one record: when the task has output already, none of the new output counts, so that two
    executions of one task never mix their branches; but what it writes to a channel of `anew` does, if it has written
    nothing to that channel.
    """
    tasks = {task for task, _ in added} - {_NO_TASK}
    output = {(task, write.channel) for (task, index), write in present.items() if task in tasks and index >= 0}
    finished = {task for task, _ in output}
    return {
        (task, index): write
        for (task, index), write in absorb(present, added).items()
        if index < 0 or task not in finished or (write.channel in anew and (task, write.channel) not in output)
    }


@dataclass(slots=True)
class Segment:
    """The content of one log. A head's is never changed once it is visible: a commit works on a `copy`."""

    name: str
    base: Base
    records: list[Record] = field(default_factory=list)
    table: dict[tuple[str, Version], Entry] = field(default_factory=dict)
    checkpoints: dict[str, StoredCheckpoint] = field(default_factory=dict)
    writes: dict[str, WritesByPlace] = field(default_factory=dict)
    forgotten: dict[str, int] = field(default_factory=dict)
    commits: list[bytes] = field(default_factory=list)
    weight: int = 0
    """Of the records behind the base."""
    tip: StoredCheckpoint | None = None
    """The latest living checkpoint; in a head that is the latest of the whole log."""
    base_weight: int = 0
    """Weighed once: a commit asks for it three times."""

    @classmethod
    def begin(cls, name: str, base: Base) -> "Segment":
        """A log that holds only its base."""
        segment = cls(name, base, forgotten=dict(base.forgotten), commits=list(base.commits), base_weight=weight(base))
        segment.table.update({(channel, version): entry for channel, version, entry in base.values})
        if base.checkpoint is not None:
            segment._show(base.checkpoint)
        for writes in base.writes:
            segment._show(writes)
        return segment

    @classmethod
    def read(cls, key: str, name: str, content: bytes) -> "Segment":
        """The log that `content` tells; raises CorruptCheckpoint."""
        records = unpack(key, content)
        base = next(records, None)
        if not isinstance(base, Base):
            raise CorruptCheckpoint(f"{key}: the log does not begin with its base record")
        segment = cls.begin(name, base)
        for record in records:
            segment.add(record)
        return segment

    def copy(self) -> "Segment":
        """A log to add to while others read this one."""
        return Segment(
            self.name,
            self.base,
            list(self.records),
            dict(self.table),
            dict(self.checkpoints),
            dict(self.writes),
            dict(self.forgotten),
            list(self.commits),
            self.weight,
            self.tip,
            self.base_weight,
        )

    def add(self, record: Record) -> None:
        """Append one record."""
        self.records.append(record)
        self.weight += weight(record)
        self._show(record)

    def beginning(self, name: str, count: int) -> "Segment":
        """A log of the base and the first `count` records."""
        segment = Segment.begin(name, self.base)
        for record in self.records[:count]:
            segment.add(record)
        return segment

    def _show(self, record: Record) -> None:
        match record:
            case CommitMark(commit):
                self.commits.append(commit)
            case StoredCheckpoint():
                self.checkpoints[record.id] = record
                for channel, version, entry in record.values:
                    self.table[channel, version] = entry
                if self.tip is None or record.rank >= self.tip.rank:
                    self.tip = record if self.is_alive(record) else self.tip
            case TaskWrites():
                present = self.writes.get(record.checkpoint)
                added = by_place(record)
                self.writes[record.checkpoint] = added if not present else {**present, **absorb(present, added)}
            case Forgotten(runs):
                for run in runs:
                    self.forgotten[run] = self.forgotten.get(run, 0) + 1
                alive = (checkpoint for checkpoint in self.checkpoints.values() if self.is_alive(checkpoint))
                self.tip = max(alive, key=lambda checkpoint: checkpoint.rank, default=None)
            case Base():
                raise CorruptCheckpoint(f"{self.name or 'head'}: a second base record")

    def is_alive(self, checkpoint: StoredCheckpoint) -> bool:
        """Whether no deletion of its run covers it; ask the head, which knows all deletions."""
        return checkpoint.run is None or self.forgotten.get(checkpoint.run, 0) <= checkpoint.generation

    def span(self) -> tuple[str, str]:
        """The smallest id and the greatest rank."""
        if not self.checkpoints:
            return "", ""
        return min(self.checkpoints), max(checkpoint.rank for checkpoint in self.checkpoints.values())

    def late(self) -> Iterable[str]:
        """Ids of checkpoints that this log has writes of, but not the checkpoint."""
        return (id_ for id_ in self.writes if id_ not in self.checkpoints)
