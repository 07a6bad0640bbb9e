"""What a log refers to: every object that is still needed to read some checkpoint of it."""

from collections.abc import Iterator

from durablegraph.storage.checkpoints.names import PACK
from durablegraph.storage.checkpoints.objects import LogObjects
from durablegraph.storage.checkpoints.records import Entry, External, Sealed, SegmentEntry
from durablegraph.storage.checkpoints.search import INDEX_PREFIX
from durablegraph.storage.checkpoints.segment import Segment


def externals(segment: Segment) -> Iterator[str]:
    """The objects that the values and writes of one log name, relative to its own objects."""
    for entry in _entries(segment):
        match entry:
            case External():
                yield entry.name
            case Sealed():
                yield from entry.segments
                if entry.external is not None:
                    yield entry.external
                if entry.pack is not None and not segment.name:
                    yield PACK
            case _:
                pass


def _entries(segment: Segment) -> Iterator[Entry]:
    yield from segment.table.values()
    for places in segment.writes.values():
        yield from (write.entry for write in places.values())


async def reachable(objects: LogObjects, head: Segment) -> set[str]:
    """All objects of a log that its head leads to; reads each segment and each index of it once."""
    found = set(externals(head))
    waiting: list[SegmentEntry] = [entry for level in head.base.index for entry in level]
    while waiting:
        entry = waiting.pop()
        found.add(entry.name)
        if entry.name.startswith(INDEX_PREFIX):
            waiting += await objects.index(entry.name)
        else:
            found.update(externals(await objects.segment(entry.name)))
    return found
