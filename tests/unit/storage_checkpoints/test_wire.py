import struct

import ormsgpack
import pytest

from durablegraph.storage.checkpoints.errors import CorruptCheckpoint
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
)
from durablegraph.storage.checkpoints.segment import Segment
from durablegraph.storage.checkpoints.splices import Splice
from durablegraph.storage.checkpoints.wire import pack, pack_index, pack_marker, unpack, unpack_index, unpack_marker

ENTRIES: tuple[Entry, ...] = (
    Inline("msgpack", b"\x01"),
    External("bytes", "x/1", 9000),
    Spliced("msgpack", "0001.5", Splice(b"h", 1, 2, b"middle", 3), 12),
    Sealed("msgpack", ("s/2", "s/1"), "x/1", 40, 10_000),
    Sealed("msgpack", ("s/2",), None, 40, 10_000),
    Sealed("msgpack", ("s/2",), None, 40, 10_000, b"8 bytes.", 77),
)
CHECKPOINT = StoredCheckpoint(
    id="b",
    rank="c+00000001",
    parent="a",
    versions={"n": 1, "m": "0002.5", "f": 1.5},
    skeleton=("msgpack", b"{}"),
    metadata=("msgpack", b"m"),
    values=tuple(("n", number, entry) for number, entry in enumerate(ENTRIES)),
    run="r",
    generation=2,
    deltas=("m",),
)
WRITES = TaskWrites("b", "task", "path", tuple((number, "n", entry) for number, entry in enumerate(ENTRIES[:2], -1)))
BASE = Base(
    id=b"12345678",
    sequence=7,
    thread="t\ud800\x00",
    namespace="ns",
    index=((SegmentEntry("s/1", "a", "b", ("c",)),), (SegmentEntry("i/1", "", "", ()),)),
    values=CHECKPOINT.values,
    checkpoint=CHECKPOINT,
    writes=(WRITES,),
    forgotten={"r": 2},
    folded={"b": {"m": Folded((("task", ("msgpack", b"w")),), ("msgpack", b"seed")), "k": Folded((), None)}},
    commits=(b"87654321",),
)
RECORDS: tuple[Record, ...] = (BASE, CommitMark(b"12345678"), CHECKPOINT, WRITES, Forgotten(("r", "s")))


def test_records_come_back_as_they_were() -> None:
    assert tuple(unpack("k", pack(RECORDS))) == RECORDS


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_elements_that_a_later_version_adds_are_ignored(record: Record) -> None:
    wire = ormsgpack.unpackb(pack([record])[4:])
    data = ormsgpack.packb([*wire, "of a later version"])
    assert tuple(unpack("k", struct.pack("<I", len(data)) + data)) == (record,)


@pytest.mark.parametrize("wire", [["Z", 1], ["C", 1], ["B", {}], {}, [], ["W", "b", "t", "p", [[0, "n", ["?"]]]]])
def test_records_of_an_unknown_kind_or_shape_are_refused(wire: object) -> None:
    data = ormsgpack.packb(wire)
    with pytest.raises(CorruptCheckpoint, match="k: the record"):
        tuple(unpack("k", struct.pack("<I", len(data)) + data))


def test_a_cut_log_is_refused() -> None:
    data = pack([CHECKPOINT])
    for length in (1, 3, 4, len(data) - 1):
        with pytest.raises(CorruptCheckpoint, match="cut off"):
            tuple(unpack("k", data[:length]))


def test_a_log_without_a_base_or_with_two_is_refused() -> None:
    with pytest.raises(CorruptCheckpoint, match="does not begin"):
        Segment.read("k", "", pack([CHECKPOINT]))
    with pytest.raises(CorruptCheckpoint, match="second base"):
        Segment.read("k", "", pack([BASE, BASE]))
    with pytest.raises(CorruptCheckpoint, match="does not begin"):
        Segment.read("k", "", b"")


def test_an_index_and_a_marker_come_back_as_they_were() -> None:
    entries = (SegmentEntry("s/1", "a", "b", ("c",)), SegmentEntry("i/2", "", "", ()))
    assert unpack_index("k", pack_index(entries)) == entries
    assert unpack_marker("k", pack_marker("t\ud800", "")) == ("t\ud800", "")
    with pytest.raises(CorruptCheckpoint):
        unpack_marker("k", ormsgpack.packb(1))
    with pytest.raises(CorruptCheckpoint):
        unpack_index("k", ormsgpack.packb([1]))
