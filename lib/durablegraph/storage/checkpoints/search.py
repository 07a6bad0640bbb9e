"""Finding checkpoints in a log: by id through the index, or all of them from the newest back."""

import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from durablegraph.storage.checkpoints.objects import LogObjects
from durablegraph.storage.checkpoints.records import SegmentEntry, StoredCheckpoint
from durablegraph.storage.checkpoints.segment import Segment, WritesByPlace, absorb

INDEX_PREFIX = "i/"


@dataclass(slots=True)
class Found:
    """Where a checkpoint lies: its `home`, and newer logs that hold late writes of it, newest first."""

    id: str
    home: Segment | None = None
    later: list[Segment] = field(default_factory=list)

    @property
    def record(self) -> StoredCheckpoint | None:
        """The checkpoint itself."""
        return None if self.home is None else self.home.checkpoints[self.id]

    def writes(self) -> WritesByPlace:
        """All its pending writes that count."""
        merged: WritesByPlace = {}
        logs = [*([] if self.home is None else [self.home]), *reversed(self.later)]
        for log in logs:
            merged.update(absorb(merged, log.writes.get(self.id, {})))
        return merged


async def find(objects: LogObjects, head: Segment, id_: str) -> Found:
    """The checkpoint `id_`, deleted or not; `home` is None when the log has none of that id."""
    found = Found(id_)
    if id_ in head.checkpoints:
        found.home = head
        return found
    if id_ in head.writes:
        found.later.append(head)
    for level in head.base.index:
        if await _search(objects, level, found):
            break
    return found


async def _search(objects: LogObjects, entries: Sequence[SegmentEntry], found: Found) -> bool:
    for entry in reversed(entries):
        has_late = found.id in entry.late
        if not has_late and not (entry.low and entry.low <= found.id <= entry.high):
            continue
        if entry.name.startswith(INDEX_PREFIX):
            if await _search(objects, await objects.index(entry.name), found):
                return True
            continue
        segment = await objects.segment(entry.name)
        if found.id in segment.checkpoints:
            found.home = segment
            return True
        if has_late:
            found.later.append(segment)
    return False


async def newest_first(objects: LogObjects, head: Segment, before: str | None = None) -> AsyncGenerator[Found, None]:
    """Every living checkpoint whose rank is below `before`, in descending order of rank; reads as it goes."""
    queue: list[tuple[_Descending, int, Found]] = []
    later: dict[str, list[Segment]] = {}
    seen: set[str] = set()
    tie = count()

    def admit(segment: Segment) -> None:
        for id_ in segment.late():
            later.setdefault(id_, []).append(segment)
        for id_, record in segment.checkpoints.items():
            if id_ in seen:
                continue
            seen.add(id_)
            if head.is_alive(record) and (before is None or record.rank < before):
                heapq.heappush(queue, (_Descending(record.rank), next(tie), Found(id_, segment, later.get(id_, []))))

    admit(head)
    sealed = _walk(objects, head.base.index)
    following = await anext(sealed, None)
    while True:
        # A segment has to be read before anything that ranks below its highest is given out. What ranks as high is its
        # highest itself, which a newer log has as well, complete.
        while following is not None and (not queue or queue[0][0].rank < following.high):
            if before is None or not following.low or following.low < before or following.late:
                admit(await objects.segment(following.name))
            following = await anext(sealed, None)
        if not queue:
            return
        yield heapq.heappop(queue)[2]


async def _walk(objects: LogObjects, index: Sequence[Sequence[SegmentEntry]]) -> AsyncIterator[SegmentEntry]:
    """Every sealed segment's entry, newest first."""
    for level in index:
        for entry in reversed(level):
            if entry.name.startswith(INDEX_PREFIX):
                async for inner in _walk(objects, [await objects.index(entry.name)]):
                    yield inner
            else:
                yield entry


@dataclass(frozen=True, slots=True)
class _Descending:
    rank: str

    def __lt__(self, other: "_Descending") -> bool:
        return self.rank > other.rank
