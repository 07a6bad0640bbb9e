"""The immutable objects of a log (segments, values, indexes): stored once, read with their checksum, cached when small.

And what all logs of a saver share: the store, the cipher, the limits, the cache of segments.
"""

import asyncio
import logging
import weakref
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from durablegraph.storage.checkpoints import frames, names
from durablegraph.storage.checkpoints.errors import CorruptCheckpoint, ObjectMissing
from durablegraph.storage.checkpoints.frames import NO_COMMIT, Cipher, GrowingBody
from durablegraph.storage.checkpoints.names import LogNames
from durablegraph.storage.checkpoints.records import SegmentEntry
from durablegraph.storage.checkpoints.sealing import Limits, folded_entry
from durablegraph.storage.checkpoints.segment import Segment
from durablegraph.storage.checkpoints.wire import pack, pack_index, unpack_index
from durablegraph.storage.objects import ObjectStore

LOG: Final = b"L"
_VALUE: Final = b"X"
_INDEX: Final = b"I"
_PACK: Final = b"P"
_CACHED_SEGMENTS: Final = 48
_GROWING_BODIES: Final = 64
_log = logging.getLogger(__name__)
_OFF_THE_LOOP: Final = 256 * 1024  # bytes from which (de)compression would hold up the event loop


@dataclass(slots=True)
class Shared:
    """What the logs of one saver, and of its views, have in common. Belongs to one event loop."""

    store: ObjectStore
    prefix: str
    cipher: Cipher | None
    limits: Limits
    segments: OrderedDict[str, Segment] = field(default_factory=OrderedDict)
    bodies: OrderedDict[str, GrowingBody] = field(default_factory=OrderedDict)

    def hold(self, key: str, body: GrowingBody) -> "weakref.ref[GrowingBody]":
        """Keep the body of the head at `key` as long as it is among those committed last.

        A compressor is as large as many small heads, and memory in pieces of that size is not given back to the
        system: a thousand threads that wait would cost a hundred megabytes. One that is gone is made anew from the
        head.
        """
        self.bodies[key] = body
        self.bodies.move_to_end(key)
        if len(self.bodies) > _GROWING_BODIES:
            self.bodies.popitem(last=False)
        return weakref.ref(body)

    def cache(self, key: str, segment: Segment) -> None:
        """Keep a sealed segment at hand."""
        self.segments[key] = segment
        if len(self.segments) > _CACHED_SEGMENTS:
            self.segments.popitem(last=False)


class LogObjects:
    """The immutable objects of one log."""

    def __init__(self, shared: Shared, log: LogNames) -> None:
        self._shared = shared
        self._prefix = log.objects
        self._pack: tuple[bytes, bytes] | None = None
        self._copies: dict[str, bytes] = {}

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return sum(map(len, self._copies.values())) + (0 if self._pack is None else len(self._pack[1]))

    def keep(self, copies: Iterable[tuple[str, bytes]], needed: Collection[str]) -> None:
        """Have at hand what a seal stored afresh, as long as it is `needed`: the next seal begins with it."""
        self._copies = {name: raw for name, raw in {**self._copies, **dict(copies)}.items() if name in needed}

    async def put_value(self, name: str, raw: bytes) -> None:
        """Store a value under a fresh name."""
        small = len(raw) < _OFF_THE_LOOP
        await self._put(
            name, _VALUE, NO_COMMIT, frames.compress(raw) if small else await asyncio.to_thread(frames.compress, raw)
        )

    async def value(self, name: str) -> bytes:
        """A value by its name; raises CorruptCheckpoint when it is missing or damaged."""
        if name in self._copies:
            return self._copies[name]
        key, frame = await self._get(name, _VALUE)
        if len(frame.body) < _OFF_THE_LOOP:
            return frames.decompress(key, frame.body)
        return await asyncio.to_thread(frames.decompress, key, frame.body)

    async def put_segment(self, segment: Segment) -> None:
        """Store what a head began with under the segment's fresh name."""
        body = await asyncio.to_thread(_compressed, segment)
        await self._put(segment.name, LOG, segment.commits[-1] if segment.commits else NO_COMMIT, body)
        self._shared.cache(self._prefix + segment.name, segment)

    async def segment(self, name: str) -> Segment:
        """A sealed segment by its name; raises CorruptCheckpoint when it is missing or damaged."""
        cached = self._shared.segments.get(self._prefix + name)
        if cached is not None:
            return cached
        key, frame = await self._get(name, LOG)
        segment = Segment.read(key, name, frames.decompress(key, frame.body))
        if names.sequence_of(name) != segment.base.sequence:
            raise CorruptCheckpoint(f"{key}: found the segment with sequence number {segment.base.sequence}")
        self._shared.cache(key, segment)
        return segment

    async def index(self, name: str) -> tuple[SegmentEntry, ...]:
        """The entries of an index object, oldest first."""
        key, frame = await self._get(name, _INDEX)
        return unpack_index(key, frames.decompress(key, frame.body))

    async def put_pack(self, id_: bytes, content: bytes | None) -> None:
        """Replace the pack; None removes it."""
        if content is None:
            self._pack = None
            await self._shared.store.delete(self._prefix + names.PACK)
        else:
            self._pack = id_, content
            await self._put(names.PACK, _PACK, id_, await asyncio.to_thread(frames.compress, content))

    async def pack(self, id_: bytes) -> bytes | None:
        """The content of the pack of that id; None when another one is there, or none that can be read.

        The last one stays at hand: a seal needs it, and so does whoever reads the head again.
        """
        if self._pack is not None and self._pack[0] == id_:
            return self._pack[1]
        try:
            key, frame = await self._get(names.PACK, _PACK)
            if frame.commit != id_:
                return None
            self._pack = id_, await asyncio.to_thread(frames.decompress, key, frame.body)
        except ObjectMissing:
            return None
        except CorruptCheckpoint as damage:
            _log.warning("%s (nothing is lost: the segments have it all)", damage)
            return None
        return self._pack[1]

    async def fold(self, levels: list[list[SegmentEntry]]) -> tuple[tuple[SegmentEntry, ...], ...]:
        """The index with every overfull level moved into an index object, so that the head stays small."""
        fan = self._shared.limits.fan
        level = 0
        while level < len(levels):
            if len(levels[level]) >= 2 * fan:
                oldest, levels[level] = levels[level][:fan], levels[level][fan:]
                name = names.new_index()
                await self._put(name, _INDEX, NO_COMMIT, frames.compress(pack_index(oldest)))
                if level + 1 == len(levels):
                    levels.append([])
                levels[level + 1].append(folded_entry(name, oldest))
            level += 1
        return tuple(tuple(entries) for entries in levels)

    async def segments(self, wanted: Sequence[str]) -> list[Segment]:
        """Several segments, fetched at once."""
        return list(await asyncio.gather(*(self.segment(name) for name in wanted)))

    async def put_values(self, values: Sequence[tuple[str, bytes]]) -> None:
        """Several values, stored at once; mostly there are none."""
        if values:
            await asyncio.gather(*(self.put_value(name, raw) for name, raw in values))

    async def _put(self, name: str, kind: bytes, commit: bytes, body: bytes) -> None:
        data = frames.close(kind, commit, body, self._shared.cipher)
        await self._shared.store.put(self._prefix + name, data)

    async def _get(self, name: str, kind: bytes) -> tuple[str, frames.Frame]:
        key = self._prefix + name
        stored = await self._shared.store.get(key)
        if stored is None:
            raise ObjectMissing(f"{key}: the log refers to this object and it is missing; restore it from a backup")
        return key, frames.open_(key, stored.data, kind, self._shared.cipher)


def _compressed(segment: Segment) -> bytes:
    """Without the index, which the head has: else each segment would tell of those before it once more."""
    return frames.compress(pack([replace(segment.base, index=()), *segment.records]))
