"""Seals a head that grew large, beside the commits that go on meanwhile.

The head's bytes become a segment, in the background; the commit after that puts a base in the place of the sealed
records. A crash in between leaves an orphan object and a head that is sealed again. Only a head that could not be
sealed for a long time, because each commit was made by another process, makes one commit wait.
"""

import asyncio
import secrets
from dataclasses import dataclass, replace

from durablegraph.storage.checkpoints import names
from durablegraph.storage.checkpoints.fencing import HeadFacts
from durablegraph.storage.checkpoints.objects import LogObjects
from durablegraph.storage.checkpoints.records import Entry, Sealed, Version
from durablegraph.storage.checkpoints.sealing import Limits, SealPlan, carry, deserves_a_copy, next_base, with_segment
from durablegraph.storage.checkpoints.segment import Segment
from durablegraph.storage.checkpoints.values import NewValues, ValueReader


@dataclass(frozen=True, slots=True)
class Head:
    """A head as the store holds it; `etag` is None while there is none."""

    etag: str | None
    commit: bytes
    segment: Segment
    body: bytes

    def facts(self) -> HeadFacts:
        """What fencing asks for."""
        tip = self.segment.tip
        return HeadFacts(self.commit, None if tip is None else tip.id)


class Sealer:
    """Of one log; runs at most one seal at a time."""

    def __init__(self, objects: LogObjects, limits: Limits) -> None:
        self._objects = objects
        self._limits = limits
        self._sealing: asyncio.Task[SealPlan] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no seal is under way."""
        return self._sealing is None or self._sealing.done()

    async def settled(self) -> None:
        """Wait for the seal that is under way."""
        if self._sealing is not None:
            await asyncio.wait([self._sealing])

    def begin_when_full(self, head: Head) -> None:
        """Start to seal a head that is full. A failure is looked at by the commits that follow."""
        if self._sealing is None and self._limits.is_full(head.segment, len(head.body)):
            self._sealing = asyncio.create_task(self._seal(head))
            self._sealing.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def relieved(self, head: Head) -> Segment | None:
        """The head's log on a new base, when its older records are sealed by now; else None.

        Raises what sealing raised when the head is overdue; otherwise a failed seal is just repeated later.
        """
        overdue = self._limits.is_overdue(head.segment, len(head.body))
        if overdue:
            self.begin_when_full(head)
            await self.settled()
        sealing = self._sealing
        if sealing is None or not sealing.done():
            return None
        self._sealing = None
        if sealing.cancelled() or (sealing.exception() is not None and not overdue):
            return None
        plan = sealing.result()
        return _rebased(head.segment, plan) if plan.fits(head.segment) else None

    async def _seal(self, head: Head) -> SealPlan:
        segment = replace(head.segment, name=names.new_segment(head.segment.base.sequence))
        await self._objects.put_segment(segment, head.commit, head.body)
        index = await self._objects.fold(with_segment(segment.base.index, segment))
        return SealPlan(segment, len(segment.records), index, await self._carried(segment))

    async def _carried(self, segment: Segment) -> dict[tuple[str, Version], Entry]:
        """The latest checkpoint's values as the next log refers to them, long chains replaced by fresh copies."""
        tip = segment.tip
        if tip is None:
            return {}
        reader, copies = ValueReader(self._objects), NewValues(self._limits, {}, {})
        carried: dict[tuple[str, Version], Entry] = {}
        for channel, version in tip.versions.items():
            if (channel, version) not in segment.table:
                continue
            entry = carry(segment, channel, version)
            if isinstance(entry, Sealed) and deserves_a_copy(entry, self._limits):
                typed = await reader.of_channel(segment, channel, version)
                entry = entry if typed is None else await copies.of_write(typed)
            carried[channel, version] = entry
        await self._objects.put_values(copies.uploads)
        return carried


def _rebased(head: Segment, plan: SealPlan) -> Segment:
    tail, tip = head.records[plan.count :], plan.segment.tip
    if tip is not None and not head.is_alive(tip):
        tip = None
    segment = Segment.begin("", next_base(plan, tail, secrets.token_bytes(8), tip))
    for record in tail:
        segment.add(record)
    return segment
