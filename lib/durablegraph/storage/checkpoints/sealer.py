"""Seals a head that grew large, beside the commits that go on meanwhile.

Its older records become a segment, in the background; the commit after that puts a base in their place. The newest
checkpoints stay, so that a list, which begins with them, needs no segment. A crash in between leaves an orphan object
and a head that is sealed again. Only a head that could not be sealed for a long time, because each commit was made by
another process, makes one commit wait.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from durablegraph.storage.checkpoints import names
from durablegraph.storage.checkpoints.errors import CorruptCheckpoint
from durablegraph.storage.checkpoints.head import Head
from durablegraph.storage.checkpoints.objects import LogObjects
from durablegraph.storage.checkpoints.records import Entry, External, Sealed, Typed, Version
from durablegraph.storage.checkpoints.sealing import (
    Limits,
    Pack,
    SealPlan,
    carry,
    deserves_a_copy,
    next_base,
    with_segment,
)
from durablegraph.storage.checkpoints.segment import Segment
from durablegraph.storage.checkpoints.values import NewValues, ValueReader


class Sealer:
    """Of one log; runs at most one seal at a time."""

    def __init__(self, objects: LogObjects, limits: Limits) -> None:
        self._objects = objects
        self._limits = limits
        self._sealing: asyncio.Task[SealPlan] | None = None
        self._publishing: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return all(task is None or task.done() for task in (self._sealing, self._publishing))

    async def settled(self) -> None:
        """Wait for what is under way."""
        for task in (self._sealing, self._publishing):
            if task is not None:
                await asyncio.wait([task])

    def begin_when_full(self, head: Head, newest: Mapping[str, tuple[Version, Typed]]) -> None:
        """Start to seal a head that is full. A failure is looked at by the commits that follow.

        `newest` are values of the head at hand, by channel; those that are not are read.
        """
        if self._sealing is None and self._limits.is_full(head.segment, len(head.body)):
            self._sealing = asyncio.create_task(self._seal(head, dict(newest)))
            self._sealing.add_done_callback(_failure_noted)

    def publish(self, pack: Pack) -> None:
        """Store the pack of the base that has just been committed, in the background.

        Should that fail, or another process's pack come after it, the shortcuts to it lead nowhere until the next seal
        and the values are read through their segments.
        """
        self._publishing = asyncio.create_task(self._publish(pack, self._publishing))
        self._publishing.add_done_callback(_failure_noted)

    async def _publish(self, pack: Pack, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        await self._objects.put_pack(pack.id, pack.content)

    async def relieved(
        self, head: Head, newest: Mapping[str, tuple[Version, Typed]]
    ) -> tuple[Segment, Pack | None] | None:
        """The head's log on a new base and the pack to publish with it, if older records are sealed by now; else None.

        Raises what sealing raised when the head is overdue; otherwise a failed seal is just repeated later.
        """
        overdue = self._limits.is_overdue(head.segment, len(head.body))
        if overdue:
            self.begin_when_full(head, newest)
            await self.settled()
        sealing = self._sealing
        if sealing is None or not sealing.done():
            return None
        self._sealing = None
        if sealing.cancelled() or (sealing.exception() is not None and not overdue):
            return None
        plan = sealing.result()
        return (_rebased(head.segment, plan), plan.pack) if plan.fits(head.segment) else None

    async def _seal(self, head: Head, newest: Mapping[str, tuple[Version, Typed]]) -> SealPlan:
        segment = self._sealed(head)
        await self._objects.put_segment(segment)
        index = await self._objects.fold(with_segment(segment.base.index, segment))
        values = _HeadValues(head.segment, newest, ValueReader(self._objects))
        carried, copies = await self._carried(segment, values)
        pack = await self._packed(carried, values)
        self._objects.keep(copies, {entry.name for entry in carried.values() if isinstance(entry, External)})
        return SealPlan(segment, index, carried, pack)

    def _sealed(self, head: Head) -> Segment:
        """The older part of a head. All of it, when a deletion that stays behind has taken the latest of that part."""
        name, records = names.new_segment(head.segment.base.sequence), head.segment.records
        older = head.segment.beginning(name, self._limits.sealable(head.segment, len(head.body)))
        if older.tip is None or head.segment.is_alive(older.tip):
            return older
        return head.segment.beginning(name, len(records))

    async def _carried(
        self, segment: Segment, values: "_HeadValues"
    ) -> tuple[dict[tuple[str, Version], Entry], list[tuple[str, bytes]]]:
        """The latest checkpoint's values as the next log refers to them; fresh copies in the place of long chains."""
        tip = segment.tip
        if tip is None:
            return {}, []
        copies = NewValues(self._limits, {}, {})
        carried: dict[tuple[str, Version], Entry] = {}
        for channel, version in tip.versions.items():
            if (channel, version) not in segment.table:
                continue
            entry = carry(segment, channel, version)
            if isinstance(entry, Sealed) and deserves_a_copy(entry, self._limits):
                entry = await copies.of_write(await values.of(channel, version))
            carried[channel, version] = entry
        await self._objects.put_values(copies.uploads)
        return carried, copies.uploads

    async def _packed(self, carried: dict[tuple[str, Version], Entry], values: "_HeadValues") -> Pack | None:
        """Give the values that end chains of splices a shortcut, smallest first, until the pack is full."""
        id_, pieces, start = secrets.token_bytes(8), list[bytes](), 0
        sealed = [(place, entry) for place, entry in carried.items() if isinstance(entry, Sealed)]
        for place, entry in sorted(sealed, key=lambda item: item[1].size):
            if start + entry.size > self._limits.largest_pack:
                break
            _, raw = await values.of(*place)
            pieces.append(raw)
            carried[place] = replace(entry, pack=id_, start=start)
            start += len(raw)
        if not pieces:
            return Pack(id_, None) if values.have_shortcuts else None
        return Pack(id_, b"".join(pieces))


@dataclass(frozen=True, slots=True)
class _HeadValues:
    """The values of a head that is being sealed."""

    segment: Segment
    newest: Mapping[str, tuple[Version, Typed]]
    reader: ValueReader

    @property
    def have_shortcuts(self) -> bool:
        return any(isinstance(entry, Sealed) and entry.pack for entry in self.segment.table.values())

    async def of(self, channel: str, version: Version) -> Typed:
        known, typed = self.newest.get(channel, (None, None))
        if typed is None or known != version:
            typed = await self.reader.of_channel(self.segment, channel, version)
        if typed is None:
            raise CorruptCheckpoint(f"channel {channel!r} lacks version {version!r}, which its latest checkpoint names")
        return typed


def _failure_noted(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _rebased(head: Segment, plan: SealPlan) -> Segment:
    tail = head.records[len(plan.segment.records) :]
    segment = Segment.begin("", next_base(plan, tail, secrets.token_bytes(8)))
    for record in tail:
        segment.add(record)
    return segment
