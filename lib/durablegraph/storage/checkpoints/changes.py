"""What a saver can ask a log to make durable, and how each becomes records."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from durablegraph.storage.checkpoints.fencing import Replaces, Wanted
from durablegraph.storage.checkpoints.objects import LogObjects
from durablegraph.storage.checkpoints.records import (
    CommitMark,
    Entry,
    Inline,
    Record,
    Spliced,
    StoredCheckpoint,
    TaskWrites,
    Typed,
    Version,
)
from durablegraph.storage.checkpoints.sealing import Pack, as_records
from durablegraph.storage.checkpoints.segment import Segment, WritesByPlace, by_place, counting
from durablegraph.storage.checkpoints.values import NewValues, ValueReader

WritesOf = Callable[[str], Awaitable[WritesByPlace]]
"""How all the writes of a checkpoint are found, those in sealed segments included."""

DeltasOf = Callable[[str], Awaitable[tuple[str, ...]]]
"""How the delta channels of a checkpoint are found."""

Borrow = Callable[[str, str, Version], Awaitable[Entry | None]]
"""How a checkpoint's value is found that neither the caller nor the head has: (checkpoint, channel, version)."""


@dataclass(slots=True)
class Draft:
    """The next head while it is being made."""

    segment: Segment
    values: NewValues
    commit: bytes
    replaced: bool  # the segment has a new base, so that its body must be built anew
    pack: Pack | None  # to be published once that base is committed
    borrow: Borrow
    writes_of: WritesOf
    deltas_of: DeltasOf
    objects: LogObjects
    records: list[Record] = field(default_factory=list)

    async def read(self, channel: str, version: Version) -> Typed | None:
        """A value of the log as it is now, not yet uploaded ones included."""
        reader = ValueReader(self.objects, at_hand=dict(self.values.uploads))
        return await reader.of_channel(self.segment, channel, version)

    def add(self, record: Record) -> None:
        """Append a record; the first one brings the mark of this commit along."""
        if not self.records:
            mark = CommitMark(self.commit)
            self.records.append(mark)
            self.segment.add(mark)
        self.records.append(record)
        self.segment.add(record)


class Change(Protocol):
    """One thing to make durable."""

    def wanted(self) -> Wanted:
        """What fencing judges it by."""

    def puts(self) -> str | None:
        """The id of the checkpoint it adds."""

    async def apply(self, draft: Draft) -> None:
        """Add its records to the draft; none when the log has all of it already."""


@dataclass(frozen=True, slots=True)
class PutCheckpoint:
    """A checkpoint. `values` make the bytes of a channel's value when asked; `new` names the channels that changed."""

    id: str
    parent: str | None
    versions: Mapping[str, Version]
    skeleton: Typed
    metadata: Typed
    values: Mapping[str, Callable[[], Typed]]
    new: frozenset[str]
    run: str | None
    deltas: tuple[str, ...]
    replaces: Replaces | None = None

    def wanted(self) -> Wanted:
        """See Change."""
        return Wanted(self.parent, is_checkpoint=True, replaces=self.replaces)

    def puts(self) -> str | None:
        """See Change."""
        return self.id

    async def apply(self, draft: Draft) -> None:
        """See Change."""
        segment = draft.segment
        record = StoredCheckpoint(
            id=self.id,
            rank=self._rank(segment),
            parent=self.parent,
            versions=self.versions,
            skeleton=self.skeleton,
            metadata=self.metadata,
            values=(),
            run=self.run,
            generation=0 if self.run is None else segment.forgotten.get(self.run, 0),
            deltas=self.deltas,
        )
        stored: list[tuple[str, Version, Entry]] = []
        for channel, version in self.versions.items():
            if channel in self.new and (channel, version) in segment.table:
                stored += await self._once_more(draft, channel, version)
            elif (channel, version) not in segment.table:
                entry = await self._entry(draft, channel, version)
                stored += [] if entry is None else [(channel, version, entry)]
        for channel, version, entry in stored:
            segment.table[channel, version] = entry
        # Sealed writes: they came before their checkpoint, or the checkpoint comes once more.
        brought = {} if self.id in segment.checkpoints else await draft.writes_of(self.id)
        draft.add(replace(record, values=tuple(stored)))
        for writes in as_records(self.id, brought):
            draft.add(writes)

    async def _entry(self, draft: Draft, channel: str, version: Version) -> Entry | None:
        make = self.values.get(channel)
        if make is not None:
            return await draft.values.of_channel(draft.segment, channel, version, make())
        if channel in self.new or self.parent is None or self.parent in draft.segment.checkpoints:
            return None
        return await draft.borrow(self.parent, channel, version)

    async def _once_more(self, draft: Draft, channel: str, version: Version) -> list[tuple[str, Version, Entry]]:
        """A value for a version that has one: nearly always the same one, when a checkpoint is put again.

        Another one takes its place, as in LangGraph's savers. What is told as its difference gets a copy first.
        """
        make = self.values.get(channel)
        if make is None:
            return []
        typed = make()
        if typed == await draft.read(channel, version):
            return []
        draft.values.latest.pop(channel, None)  # or the next version would be told as a difference from the old bytes
        stored: list[tuple[str, Version, Entry]] = []
        for (name, other), entry in list(draft.segment.table.items()):
            if name == channel and isinstance(entry, Spliced) and entry.base == version:
                based = await draft.read(channel, other)
                if based is not None:
                    stored.append((channel, other, await draft.values.of_write(based)))
        return [*stored, (channel, version, await draft.values.of_write(typed))]

    def _rank(self, segment: Segment) -> str:
        """The id, or a rank right behind the latest checkpoint when this is its child in spite of a smaller id.

        Ids carry the clock of the host that made them. A child comes after its parent whatever the clocks say.
        """
        tip = segment.tip
        if tip is None or tip.id == self.id or self.parent != tip.id or self.id > tip.rank:
            return self.id if tip is None or tip.id != self.id else tip.rank
        base, _, count = tip.rank.partition("+")
        return f"{base}+{int(count or '0', 16) + 1:08x}"


@dataclass(frozen=True, slots=True)
class PutWrites:
    """What a task wrote: (index, channel, value)."""

    checkpoint: str
    task: str
    path: str
    writes: tuple[tuple[int, str, Typed], ...]

    def wanted(self) -> Wanted:
        """See Change."""
        return Wanted(self.checkpoint, is_checkpoint=False)

    def puts(self) -> str | None:
        """See Change."""
        return None

    async def apply(self, draft: Draft) -> None:
        """See Change. What does not count (see `absorb`) is not stored."""
        present = await draft.writes_of(self.checkpoint)
        # Which writes count does not depend on their values, unless they fill a special channel's slot anew.
        shape = by_place(TaskWrites(self.checkpoint, self.task, self.path, self._with(Inline("", b""))))
        counts = counting(present, shape)
        anew: tuple[str, ...] = ()
        if len(counts) < len(shape):
            anew = await self._anew(draft)
            counts = counting(present, shape, anew=anew)
        if not counts:
            return
        entries = [(index, channel, await draft.values.of_write(typed)) for index, channel, typed in self.writes]
        record = TaskWrites(self.checkpoint, self.task, self.path, tuple(entries))
        special = any(index < 0 for index, _, _ in self.writes)
        fresh = counting(present, by_place(record), anew=anew) if special else counts
        kept = tuple(write for write in record.writes if (self.task, write[0]) in fresh)
        if kept:
            draft.add(replace(record, writes=kept))

    async def _anew(self, draft: Draft) -> tuple[str, ...]:
        """Delta channels, where an old checkpoint's task is executed once more, as a fork does.

        No checkpoint holds their values, so what the fork has seen of them is rebuilt from the writes alone.
        """
        tip = draft.segment.tip
        return () if tip is None or tip.id == self.checkpoint else await draft.deltas_of(self.checkpoint)

    def _with(self, entry: Entry) -> tuple[tuple[int, str, Entry], ...]:
        return tuple((index, channel, entry) for index, channel, _ in self.writes)
