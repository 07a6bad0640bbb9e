"""When a head grows too large: what its successor takes over, so that the head stays small and complete.

A sealed segment holds what a head began with; the newest checkpoints stay in the head. The next head's base carries
what the segment's latest checkpoint needs, so that reading the latest state, or the newest few, still takes one object
(and large values). All functions here are pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from durablegraph.storage.checkpoints.errors import CorruptCheckpoint
from durablegraph.storage.checkpoints.records import (
    Base,
    CommitMark,
    Entry,
    External,
    Inline,
    Record,
    Sealed,
    SegmentEntry,
    Spliced,
    StoredCheckpoint,
    TaskWrites,
    Version,
    weight,
)
from durablegraph.storage.checkpoints.segment import Segment, WritesByPlace

_MOST: Final = 3
"""Loads of a head that is sealed although its newest checkpoints make up most of it."""
_MOST_KEPT: Final = 1.5
"""Loads of the newest checkpoints that stay; so each seal takes half of the head away, or all but the newest."""
COMMITS_CARRIED: Final = 32  # how far back a writer with a lost answer can still find its commit after a seal


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds. The defaults are the format's; tests make them small."""

    inline: int = 8 * 1024  # a larger value gets an object of its own
    largest_splice: int = 32 * 1024
    seal_bytes: int = 48 * 1024  # compressed; what a segment has at least, unless checkpoints are huge
    seal_records: int = 400
    keep: int = 10  # newest checkpoints that stay in the head at a seal: what a list shows first
    chain_links: int = 512  # splices of one value in one segment
    chain_segments: int = 32  # segments that the splices of one value may reach through
    largest_pack: int = 16 * 1024 * 1024  # of values; what does not fit is read through its chain
    fan: int = 32  # segments in an index object
    linger: float = 0.002  # how long writes of a task wait for the checkpoint they usually come with
    conflict_attempts: int = 100

    def is_full(self, head: Segment, size: int) -> bool:
        """Whether a head of `size` bytes, compressed, should be sealed soon."""
        load = self._load(head, size)
        return load > _MOST or load * self._old(head) > 1

    def is_overdue(self, head: Segment, size: int) -> bool:
        """Whether the next commit has to wait for the seal."""
        load = self._load(head, size)
        return load > _MOST + 1 or load * self._old(head) > 2  # noqa: PLR2004 -- twice of what is full

    def sealable(self, head: Segment, size: int) -> int:
        """How many records of a full head to seal: all but the commits of the newest checkpoints, if they are small."""
        room = _MOST_KEPT * self.seal_bytes * _whole(head) / max(size, 1)
        cut, kept, taken = len(head.records), set[str](), 0
        for at in range(len(head.records) - 1, -1, -1):
            record = head.records[at]
            taken += weight(record)
            if taken > room or len(head.records) - at > _MOST_KEPT * self.seal_records or len(kept) == self.keep:
                break
            if isinstance(record, StoredCheckpoint):
                kept.add(record.id)
                cut = _commit_of(head.records, at)
        return cut or len(head.records)

    def _load(self, head: Segment, size: int) -> float:
        """What the head has behind its base, as a multiple of what is worth a segment."""
        own = size * head.weight / _whole(head)
        return max(own / self.seal_bytes, len(head.records) / self.seal_records)

    def _old(self, head: Segment) -> float:
        """How much of it a seal could take away, roughly."""
        count = len(head.checkpoints) - (head.base.checkpoint is not None)
        return max(0.0, 1 - self.keep / count) if count else 1.0


def _whole(head: Segment) -> int:
    return max(1, head.base_weight + head.weight)


def _commit_of(records: Sequence[Record], at: int) -> int:
    """Where the commit of a checkpoint begins that is the `at`-th record, behind any checkpoint before it."""
    while at and isinstance(records[at - 1], TaskWrites):
        at -= 1
    return at - 1 if at and isinstance(records[at - 1], CommitMark) else at


@dataclass(frozen=True, slots=True)
class Pack:
    """The next content of a log's pack; None when nothing is packed any more."""

    id: bytes
    content: bytes | None


@dataclass(frozen=True, slots=True)
class SealPlan:
    """A segment that is stored, what the next base takes from it, and the pack that goes with that base, if any."""

    segment: Segment
    index: tuple[tuple[SegmentEntry, ...], ...]
    carried: dict[tuple[str, Version], Entry]
    pack: Pack | None

    def fits(self, head: Segment) -> bool:
        """Whether the head still begins with the sealed records and the latest checkpoint of them is alive.

        A head of another base has no use for the plan. Nor has one whose latest checkpoint was deleted meanwhile: the
        base has to carry the one that is the latest now.
        """
        tip = self.segment.tip
        is_same = head.base.id == self.segment.base.id and len(head.records) >= len(self.segment.records)
        return is_same and (tip is None or head.is_alive(tip))


def chain(segment: Segment, channel: str, version: Version) -> tuple[list[Spliced], Entry]:
    """The splices that lead to a value in its own segment, newest first, and what the first one is based on."""
    links: list[Spliced] = []
    entry = segment.table.get((channel, version))
    while isinstance(entry, Spliced):
        links.append(entry)
        if len(links) > len(segment.table):
            raise CorruptCheckpoint(f"{segment.name or 'head'}: the splices of channel {channel!r} run in a circle")
        entry = segment.table.get((channel, entry.base))
    if entry is None:
        raise CorruptCheckpoint(
            f"{segment.name or 'head'}: channel {channel!r} lacks what version {version!r} is based on"
        )
    return links, entry


def carry(segment: Segment, channel: str, version: Version) -> Entry:
    """How a later log refers to a value of this sealed one."""
    entry = segment.table[channel, version]
    if isinstance(entry, Sealed):
        return replace(entry, pack=None, start=0)
    if not isinstance(entry, Spliced):
        return entry
    links, root = chain(segment, channel, version)
    segments: tuple[str, ...] = (segment.name,)
    external, cost = None, sum(link.splice.cost for link in links)
    match root:
        case External():
            external = root.name
        case Sealed():
            segments += root.segments
            external, cost = root.external, cost + root.cost
        case Inline() | Spliced():
            pass
    return Sealed(entry.type, segments, external, cost, entry.size)


def deserves_a_copy(entry: Entry, limits: Limits) -> bool:
    """Whether storing the value anew is cheaper than reading through its chain again and again."""
    return isinstance(entry, Sealed) and (
        len(entry.segments) > limits.chain_segments or entry.cost * 2 > entry.size or entry.size <= limits.inline
    )


def with_segment(index: Sequence[Sequence[SegmentEntry]], segment: Segment) -> list[list[SegmentEntry]]:
    """The index with one more segment at its newest end; levels are not folded yet."""
    levels = [list(level) for level in index] or [[]]
    levels[0].append(SegmentEntry(segment.name, *segment.span(), tuple(segment.late())))
    return levels


def folded_entry(name: str, entries: Sequence[SegmentEntry]) -> SegmentEntry:
    """The entry of an index object that holds `entries`."""
    low = min((entry.low for entry in entries if entry.low), default="")
    late = sorted({id_ for entry in entries for id_ in entry.late})
    return SegmentEntry(name, low, max(entry.high for entry in entries), tuple(late))


def next_base(plan: SealPlan, tail: Sequence[Record], id_: bytes) -> Base:
    """The base of the head that follows the sealed segment and still holds `tail`, the records committed meanwhile."""
    sealed, tip = plan.segment, plan.segment.tip
    needed = dict.fromkeys(_needed(tip, tail))
    values = tuple(
        (channel, version, plan.carried.get((channel, version)) or carry(sealed, channel, version))
        for channel, version in needed
        if (channel, version) in sealed.table
    )
    return Base(
        id=id_,
        sequence=sealed.base.sequence + 1,
        thread=sealed.base.thread,
        namespace=sealed.base.namespace,
        index=plan.index,
        values=values,
        checkpoint=None if tip is None else replace(tip, values=()),
        writes=tuple(_carried_writes(sealed, tip, tail)),
        forgotten=sealed.forgotten,
        folded={id_: folded for id_, folded in sealed.base.folded.items() if tip is not None and id_ == tip.id},
        commits=tuple(sealed.commits[-COMMITS_CARRIED:]),
    )


def _carried_writes(sealed: Segment, tip: StoredCheckpoint | None, tail: Sequence[Record]) -> Iterable[TaskWrites]:
    """The writes of the latest checkpoint, of those in the tail, and of those that are still to come.

    LangGraph puts a checkpoint in the background and starts the next tasks, whose writes may overtake it; and a
    checkpoint whose answer was lost is put once more.
    """
    following = {record.id for record in tail if isinstance(record, StoredCheckpoint)}
    for id_, writes in sealed.writes.items():
        is_to_come = id_ not in sealed.checkpoints and (tip is None or id_ > tip.rank)
        if is_to_come or id_ in following or (tip is not None and id_ == tip.id):
            yield from as_records(id_, writes)


def as_records(checkpoint: str, writes: WritesByPlace) -> Iterable[TaskWrites]:
    """The writes of one checkpoint as records again."""
    ordered = sorted(writes.items(), key=lambda item: (item[0][0], item[1].path, item[0][1]))
    for (task, path), group in groupby(ordered, key=lambda item: (item[0][0], item[1].path)):
        yield TaskWrites(checkpoint, task, path, tuple((i, write.channel, write.entry) for (_, i), write in group))


def _needed(tip: StoredCheckpoint | None, tail: Sequence[Record]) -> Iterable[tuple[str, Version]]:
    """Every value that the carried checkpoint and the tail refer to, whether or not the tail brings it itself."""
    if tip is not None:
        yield from tip.versions.items()
    for record in tail:
        if isinstance(record, StoredCheckpoint):
            yield from record.versions.items()
            yield from ((channel, entry.base) for channel, _, entry in record.values if isinstance(entry, Spliced))
