"""The msgpack form of a log's records.

A record is a little-endian u32 length and a msgpack array whose first element names its kind. Unknown kinds are
refused; elements behind the known ones are ignored, so that fields can be added.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import ormsgpack

from durablegraph.storage.checkpoints.errors import CorruptCheckpoint
from durablegraph.storage.checkpoints.names import decode, encode
from durablegraph.storage.checkpoints.records import (
    Base,
    CommitMark,
    Entry,
    External,
    Folded,
    Forgotten,
    Inline,
    Record,
    Sealed,
    SegmentEntry,
    Spliced,
    StoredCheckpoint,
    TaskWrites,
    Version,
)
from durablegraph.storage.checkpoints.splices import Splice

_LENGTH: Final = struct.Struct("<I")


def pack(records: Iterable[Record]) -> bytes:
    """The records one after the other, as they stand in a log."""
    pieces = []
    for record in records:
        data = ormsgpack.packb(_to_wire(record))
        pieces += [_LENGTH.pack(len(data)), data]
    return b"".join(pieces)


def unpack(key: str, data: bytes) -> Iterator[Record]:
    """The inverse of `pack`; raises CorruptCheckpoint naming `key`."""
    position = 0
    while position < len(data):
        start = position + _LENGTH.size
        if start > len(data):
            raise CorruptCheckpoint(f"{key}: a record is cut off at byte {position}")
        position = start + _LENGTH.unpack_from(data, start - _LENGTH.size)[0]
        if position > len(data):
            raise CorruptCheckpoint(f"{key}: a record is cut off at byte {start}")
        try:
            yield _from_wire(ormsgpack.unpackb(data[start:position]))
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise CorruptCheckpoint(f"{key}: the record at byte {start} cannot be read ({error})") from error


def pack_index(entries: Iterable[SegmentEntry]) -> bytes:
    """The content of an index object."""
    return ormsgpack.packb([_segment_to_wire(entry) for entry in entries])


def unpack_index(key: str, data: bytes) -> tuple[SegmentEntry, ...]:
    """The inverse of `pack_index`."""
    try:
        return tuple(_segment_from_wire(entry) for entry in ormsgpack.unpackb(data))
    except (ValueError, TypeError, IndexError) as error:
        raise CorruptCheckpoint(f"{key}: the index cannot be read ({error})") from error


def pack_marker(thread: str, namespace: str) -> bytes:
    """The content of a run's marker."""
    return ormsgpack.packb([encode(thread), encode(namespace)])


def unpack_marker(key: str, data: bytes) -> tuple[str, str]:
    """The (thread, namespace) of a run's marker."""
    match ormsgpack.unpackb(data):
        case [bytes(thread), bytes(namespace), *_]:
            return decode(thread), decode(namespace)
        case _:
            raise CorruptCheckpoint(f"{key}: the marker of a run cannot be read")


def _to_wire(record: Record) -> list[Any]:
    match record:
        case CommitMark(commit):
            return ["K", commit]
        case TaskWrites(checkpoint, task, path, writes):
            return ["W", checkpoint, task, path, [[i, channel, _entry_to_wire(entry)] for i, channel, entry in writes]]
        case StoredCheckpoint():
            return ["C", *_checkpoint_to_wire(record)]
        case Forgotten(runs):
            return ["T", list(runs)]
        case Base():
            return ["B", _base_to_wire(record)]


def _from_wire(wire: Any) -> Record:
    if not isinstance(wire, list) or not wire:
        raise ValueError("it is no array with a kind")
    read = _READERS.get(wire[0])
    if read is None:
        raise ValueError(f"kind {wire[0]!r} is unknown to this version")
    return read(wire)


def _writes_from_wire(wire: list[Any]) -> TaskWrites:
    _, checkpoint, task, path, writes, *_ = wire
    return TaskWrites(
        checkpoint, task, path, tuple([(index, channel, _entry_from_wire(entry)) for index, channel, entry in writes])
    )


def _entry_to_wire(entry: Entry) -> list[Any]:
    match entry:
        case Inline(type_, raw):
            return ["i", type_, raw]
        case External(type_, name, size):
            return ["x", type_, name, size]
        case Spliced(type_, base, splice, size):
            return ["d", type_, base, splice.header, splice.offset, splice.length, splice.middle, splice.suffix, size]
        case Sealed(type_, segments, external, cost, size, pack, start):
            shortcut = [] if pack is None else [pack, start]
            return ["s", type_, list(segments), external, cost, size, *shortcut]


def _entry_from_wire(wire: Any) -> Entry:
    match wire[0]:
        case "i":
            return Inline(wire[1], wire[2])
        case "x":
            return External(wire[1], wire[2], wire[3])
        case "d":
            _, type_, base, header, offset, length, middle, suffix, size, *_ = wire
            return Spliced(type_, base, Splice(header, offset, length, middle, suffix), size)
        case "s":
            _, type_, segments, external, cost, size, *shortcut = wire
            return Sealed(type_, tuple(segments), external, cost, size, *shortcut[:2])
        case _:
            raise ValueError("a value of a kind unknown to this version")


def _values_to_wire(values: Iterable[tuple[str, Version, Entry]]) -> list[Any]:
    return [[channel, version, _entry_to_wire(entry)] for channel, version, entry in values]


def _values_from_wire(wire: Any) -> tuple[tuple[str, Version, Entry], ...]:
    return tuple([(channel, version, _entry_from_wire(entry)) for channel, version, entry in wire])


def _checkpoint_to_wire(record: StoredCheckpoint) -> list[Any]:
    rank = None if record.rank == record.id else record.rank
    values = _values_to_wire(record.values)
    head = [record.id, rank, record.parent, dict(record.versions), *record.skeleton, *record.metadata, values]
    return [*head, record.run, record.generation, list(record.deltas)]


def _checkpoint_from_wire(wire: list[Any]) -> StoredCheckpoint:
    _, id_, rank, parent, versions, kind, skeleton, meta_kind, metadata, values, run, generation, deltas, *_ = wire
    return StoredCheckpoint(
        id=id_,
        rank=rank or id_,
        parent=parent,
        versions=versions,
        skeleton=(kind, skeleton),
        metadata=(meta_kind, metadata),
        values=_values_from_wire(values),
        run=run,
        generation=generation,
        deltas=tuple(deltas),
    )


def _segment_to_wire(entry: SegmentEntry) -> list[Any]:
    return [entry.name, entry.low, entry.high, list(entry.late)]


def _segment_from_wire(wire: Any) -> SegmentEntry:
    name, low, high, late, *_ = wire
    return SegmentEntry(name, low, high, tuple(late))


def _base_to_wire(base: Base) -> dict[str, Any]:
    return {
        "id": base.id,
        "sequence": base.sequence,
        # Ids are any string, lone surrogates too, which msgpack's own strings cannot hold.
        "thread": encode(base.thread),
        "namespace": encode(base.namespace),
        "index": [[_segment_to_wire(entry) for entry in level] for level in base.index],
        "values": _values_to_wire(base.values),
        "checkpoint": None if base.checkpoint is None else _checkpoint_to_wire(base.checkpoint),
        "writes": [_to_wire(writes)[1:] for writes in base.writes],
        "forgotten": dict(base.forgotten),
        "folded": {id_: _folded_to_wire(channels) for id_, channels in base.folded.items()},
        "commits": list(base.commits),
    }


def _base_from_wire(wire: dict[str, Any]) -> Base:
    checkpoint = wire["checkpoint"]
    return Base(
        id=wire["id"],
        sequence=wire["sequence"],
        thread=decode(wire["thread"]),
        namespace=decode(wire["namespace"]),
        index=tuple(tuple(_segment_from_wire(entry) for entry in level) for level in wire["index"]),
        values=_values_from_wire(wire["values"]),
        checkpoint=None if checkpoint is None else _checkpoint_from_wire(["C", *checkpoint]),
        writes=tuple(_writes_from_wire(["W", *fields]) for fields in wire["writes"]),
        forgotten=wire["forgotten"],
        folded={id_: _folded_from_wire(channels) for id_, channels in wire["folded"].items()},
        commits=tuple(wire["commits"]),
    )


def _folded_to_wire(channels: Mapping[str, Folded]) -> dict[str, Any]:
    return {
        channel: [[[task, *typed] for task, typed in folded.writes], None if folded.seed is None else list(folded.seed)]
        for channel, folded in channels.items()
    }


def _folded_from_wire(wire: dict[str, Any]) -> dict[str, Folded]:
    return {
        channel: Folded(
            tuple((task, (kind, raw)) for task, kind, raw in writes), None if seed is None else (seed[0], seed[1])
        )
        for channel, (writes, seed) in wire.items()
    }


_READERS: Final[Mapping[str, Callable[[list[Any]], Record]]] = {
    "K": lambda wire: CommitMark(wire[1]),
    "W": _writes_from_wire,
    "C": _checkpoint_from_wire,
    "T": lambda wire: Forgotten(tuple(wire[1])),
    "B": lambda wire: _base_from_wire(wire[1]),
}
