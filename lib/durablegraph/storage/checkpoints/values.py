"""From an entry in a log to the bytes of its value, and from the bytes of a new value to an entry."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from durablegraph.storage.checkpoints import names, splices
from durablegraph.storage.checkpoints.errors import CorruptCheckpoint
from durablegraph.storage.checkpoints.objects import LogObjects
from durablegraph.storage.checkpoints.records import Entry, External, Inline, Sealed, Spliced, Typed, Version
from durablegraph.storage.checkpoints.sealing import Limits, chain
from durablegraph.storage.checkpoints.segment import Segment

_MOST_HELD: Final = 64 * 1024 * 1024

Memo: TypeAlias = dict[tuple[str, str, Version], Typed]
"""Values already made during one operation, by segment, channel and version."""


class ValueReader:
    """Reads values of one log; remembers what it read, so use one for one operation."""

    def __init__(self, objects: LogObjects, at_hand: Mapping[str, bytes] | None = None) -> None:
        """`at_hand` are values by the names of their objects that need not be fetched."""
        self._objects = objects
        self._memo: Memo = {}
        self._externals: dict[str, bytes] = dict(at_hand or {})
        self._packs: dict[bytes, bytes | None] = {}

    async def of_channel(self, segment: Segment, channel: str, version: Version) -> Typed | None:
        """The value of a channel at a version, or None when that version has no value."""
        place = (segment.name, channel, version)
        if (channel, version) not in segment.table:
            return None
        if place not in self._memo:
            self._memo[place] = await self._made(segment, channel, version)
        return self._memo[place]

    async def of_entry(self, entry: Entry) -> Typed:
        """The value of a write, which is inline or external."""
        match entry:
            case Inline(type_, raw):
                return type_, raw
            case External(type_, name, _):
                return type_, await self._external(name)
            case Spliced() | Sealed():
                raise CorruptCheckpoint("a write is stored as a difference from nothing")

    async def fetch(self, segment: Segment, versions: Mapping[str, Version], others: Iterable[Entry]) -> None:
        """Fetch what these values of a segment begin with, and `others`, all at once."""
        places = [place for place in versions.items() if place in segment.table]
        entries = [*others, *(chain(segment, channel, version)[1] for channel, version in places)]
        externals = {entry.name for entry in entries if isinstance(entry, External)}
        packs = {pack for entry in entries if (pack := _shortcut(segment, entry)) is not None}
        await asyncio.gather(*map(self._external, externals), *map(self._pack, packs))

    def forget_when_large(self) -> None:
        """Let go of everything when it has grown large: a materialised history can be gigabytes."""
        held = sum(len(raw) for _, raw in self._memo.values()) + sum(map(len, self._externals.values()))
        if held > _MOST_HELD:
            self._memo.clear()
            self._externals.clear()
            self._packs.clear()

    async def _made(self, segment: Segment, channel: str, version: Version) -> Typed:
        links, root = chain(segment, channel, version)
        match root:
            case Inline() | External():
                type_, raw = await self.of_entry(root)
            case Sealed():
                at = links[-1].base if links else version
                type_, raw = await self._unsealed(segment, root, channel, at)
            case Spliced():
                raise CorruptCheckpoint("a chain of splices ends in a splice")
        if not links:
            return type_, raw
        try:
            whole = splices.apply(raw, [link.splice for link in reversed(links)])
        except ValueError as error:
            raise CorruptCheckpoint(f"{segment.name or 'head'}: channel {channel!r} at {version!r}: {error}") from error
        if len(whole) != links[0].size:
            raise CorruptCheckpoint(
                f"{segment.name or 'head'}: channel {channel!r} has {len(whole)} bytes, {links[0].size} were stored"
            )
        return links[0].type, whole

    async def _unsealed(self, segment: Segment, entry: Sealed, channel: str, version: Version) -> Typed:
        shortcut = _shortcut(segment, entry)
        packed = None if shortcut is None else await self._pack(shortcut)
        if packed is not None and entry.start + entry.size <= len(packed):
            return entry.type, packed[entry.start : entry.start + entry.size]
        begun = [] if entry.external is None else [self._external(entry.external)]
        found, _ = await asyncio.gather(self._objects.segments(entry.segments), asyncio.gather(*begun))
        value = await self.of_channel(found[0], channel, version)
        if value is None:
            raise CorruptCheckpoint(f"{entry.segments[0]}: channel {channel!r} has no version {version!r}")
        return value

    async def _external(self, name: str) -> bytes:
        if name not in self._externals:
            self._externals[name] = await self._objects.value(name)
        return self._externals[name]

    async def _pack(self, id_: bytes) -> bytes | None:
        if id_ not in self._packs:
            self._packs[id_] = await self._objects.pack(id_)
        return self._packs[id_]


def _shortcut(segment: Segment, entry: Entry) -> bytes | None:
    """The pack that has the value, as far as this log knows; what a sealed segment knows is out of date."""
    return entry.pack if isinstance(entry, Sealed) and not segment.name else None


@dataclass(slots=True)
class NewValues:
    """Decides how new values are stored during one commit, and collects what must be uploaded before it.

    `latest` holds the newest bytes of large channels: (version, typed). `known` maps the hash of a stored value to its
    name; it is valid only as long as nobody else moved the head, because a prune deletes what no head refers to.
    """

    limits: Limits
    known: dict[bytes, str]
    latest: dict[str, tuple[Version, Typed]]
    uploads: list[tuple[str, bytes]] = field(default_factory=list)
    named: dict[bytes, str] = field(default_factory=dict)

    async def of_write(self, typed: Typed) -> Entry:
        """The entry of a task's write."""
        type_, raw = typed
        if len(raw) <= self.limits.inline:
            return Inline(type_, raw)
        return await self._external(type_, raw)

    async def of_channel(self, segment: Segment, channel: str, version: Version, typed: Typed) -> Entry:
        """The entry of a channel's value; a splice when it resembles the channel's newest one in this log."""
        type_, raw = typed
        if len(raw) <= self.limits.inline:
            self.latest.pop(channel, None)
            return Inline(type_, raw)
        previous = self.latest.get(channel)
        self.latest[channel] = (version, typed)
        if previous is not None:
            spliced = self._spliced(segment.table, channel, previous, version, typed)
            if spliced is not None and self._has_room(segment, channel, spliced):
                return spliced
        return await self._external(type_, raw)

    def _spliced(
        self,
        table: Mapping[tuple[str, Version], Entry],
        channel: str,
        previous: tuple[Version, Typed],
        version: Version,
        typed: Typed,
    ) -> Spliced | None:
        base, (base_type, old) = previous
        type_, raw = typed
        if base_type != type_ or base == version or (channel, base) not in table:
            return None
        difference = splices.splice(old, raw)
        if difference.cost > self.limits.largest_splice or difference.cost * 2 > len(raw):
            return None
        return Spliced(type_, base, difference, len(raw))

    def _has_room(self, segment: Segment, channel: str, spliced: Spliced) -> bool:
        links, _ = chain(segment, channel, spliced.base)
        return len(links) < self.limits.chain_links

    async def _external(self, type_: str, raw: bytes) -> External:
        digest = await asyncio.to_thread(_digest, raw) if len(raw) > 1024 * 1024 else _digest(raw)
        name = self.known.get(digest) or self.named.get(digest)
        if name is None:
            name = names.new_value()
            self.named[digest] = name
            self.uploads.append((name, raw))
        return External(type_, name, len(raw))


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()
