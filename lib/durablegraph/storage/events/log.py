"""Event logs on the object store: append by conditional writes, read from any offset.

Keys, below a run's own (see `durablegraph.storage.runs`), so that they go when the run is purged::

    runs/{hh}/{run}/events/{999999999999 - first offset}   a segment; the newest is first in a listing
    runs/{hh}/{run}/parts/{event}                          data of one event that is too large for a segment
"""

import asyncio
import json
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from durablegraph.errors import TransientError
from durablegraph.model.ids import key_part
from durablegraph.storage.events.event import Event
from durablegraph.storage.events.segment import Limits, Segment, Tail
from durablegraph.storage.keys import run_key
from durablegraph.storage.objects import ObjectStore, PreconditionFailed
from durablegraph.storage.parallel import in_parallel

log = logging.getLogger(__name__)

_LAST: Final = 10**12 - 1
_TRIES: Final = 40
_REMEMBERED: Final = 128  # runs whose tail, of 64 KB at most as a rule, is kept in memory
_HOPS: Final = 3


class EventsGone(Exception):  # noqa: N818 -- it says what it found
    """The offset asked for was removed; `first` is the first one that is there."""

    def __init__(self, run_id: str, offset: int, first: int) -> None:
        super().__init__(f"event {offset} of run {run_id!r} is not kept any more, the first one is {first}")
        self.first = first


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events with their offsets. `more`: there may be more at once; `closed`: there will never be more."""

    events: tuple[tuple[int, Event], ...] = ()
    more: bool = False
    closed: bool = False


@dataclass(slots=True, eq=False)
class _Appending:
    events: Sequence[Event]
    done: bool = False


@dataclass(slots=True)
class _Writer:
    """What this process knows about one run's log. Belongs to one event loop."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    tail: Tail | None = None
    waiting: list[_Appending] = field(default_factory=list)


class EventLogs:
    """The logs of all runs in a store; safe to share between tasks, and any number of processes may write one log."""

    def __init__(
        self,
        store: ObjectStore,
        limits: Limits | None = None,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._limits = limits or Limits()
        self._pause = pause
        self._writers: OrderedDict[str, _Writer] = OrderedDict()
        self._places: OrderedDict[str, int] = OrderedDict()

    async def begin(self, run_id: str, event: Event) -> None:
        """Create a log with its first event: one request; nothing happens where there is one."""
        segment, _ = Segment().grown([event], self._limits)
        try:
            etag = await self._store.put(_key(run_id, segment.first), segment.encode(), if_absent=True)
        except PreconditionFailed:
            return
        tail = Tail(segment, etag)
        tail.learn(segment.events)
        self._writer(run_id).tail = tail

    async def append(self, run_id: str, events: Sequence[Event]) -> None:
        """Add events at the end; durable when it returns.

        An event whose id the last two segments hold already is not added again, and a closed log takes nothing more:
        any number of calls with the same events add them once. A writer that was the last to write needs one request
        for each segment that it writes to (as a rule: one); what waits meanwhile in this process shares the next one.
        Raises TransientError when others were faster many times in a row.
        """
        if not events:
            return
        writer = self._writer(run_id)
        mine = _Appending([await self._slim(run_id, event) for event in events])
        writer.waiting.append(mine)
        async with writer.lock:
            if mine.done:
                return
            group, writer.waiting = writer.waiting, []
            try:
                await self._write(run_id, writer, [event for each in group for event in each.events])
            except BaseException:
                writer.tail = None
                writer.waiting = [*(each for each in group if each is not mine), *writer.waiting]
                raise
            for each in group:
                each.done = True

    async def read(self, run_id: str, after: int = 0, limit: int = 1000) -> EventPage:
        """At most `limit` events with offsets above `after` (0: from the first); none where there are none yet.

        At most two requests, and one where this process has read or written this log before; one more for each event
        whose data lies apart. Raises EventsGone where retention has removed the offset.
        """
        segment = await self._holding(run_id, after + 1)
        if segment is None:
            return EventPage()
        begin = after + 1 - segment.first
        shown = segment.events[begin : begin + limit] if begin < len(segment.events) else ()
        complete = after + len(shown) + 1 >= segment.end
        full = await in_parallel(shown, partial(self._full, run_id))
        return EventPage(
            tuple(enumerate(full, after + 1)),
            more=bool(shown) and not (complete and (segment.closed or not segment.sealed)),
            closed=segment.closed and complete,
        )

    # ---- writing

    def _writer(self, run_id: str) -> _Writer:
        writer = self._writers.setdefault(run_id, _Writer())
        self._writers.move_to_end(run_id)
        if len(self._writers) > _REMEMBERED:
            oldest = next(iter(self._writers))
            if not self._writers[oldest].lock.locked():
                del self._writers[oldest]
        return writer

    async def _write(self, run_id: str, writer: _Writer, events: Sequence[Event]) -> None:
        written: set[str] = set()
        for turn in range(_TRIES):
            tail = writer.tail or await self._load(run_id)
            new = tail.unknown(run_id, [event for event in events if event.id not in written])
            try:
                while new and not tail.segment.closed:
                    tail, taken = await self._put(run_id, tail, new)
                    written.update(event.id for event in new[:taken])
                    new = new[taken:]
            except PreconditionFailed:  # another writer was faster, or our own answer was lost: the ids tell
                writer.tail = None
                await self._pause(random.random() * min(1.0, 0.01 * 2**turn))  # noqa: S311 -- spreads writers
                continue
            writer.tail = tail
            return
        raise TransientError(f"the event log of run {run_id!r} was written by others {_TRIES} times in a row")

    async def _put(self, run_id: str, tail: Tail, events: Sequence[Event]) -> tuple[Tail, int]:
        """One request: the tail with some of these events, or the next segment where the tail is full."""
        segment, etag = tail.segment, tail.etag
        if full := segment.sealed:
            segment, etag = segment.after(self._limits.kept), None
        grown, taken = segment.grown(events, self._limits)
        key = _key(run_id, grown.first)
        stored = await self._store.put(key, grown.encode(), if_match=etag, if_absent=etag is None)
        fresh = Tail(grown, stored)
        if full:
            fresh.learn(tail.segment.events)
            await self._trim(run_id, tail.segment, grown)
        else:
            fresh.ids, fresh.attempts = tail.ids, tail.attempts
        fresh.learn(grown.events)
        return fresh, taken

    async def _load(self, run_id: str) -> Tail:
        """The tail as it is stored, with what the segment before it tells."""
        async for entry in self._store.list(_prefix(run_id), limit=1):
            found = await self._store.get(entry.key)
            if found is None:
                break  # purged in between
            segment = Segment.decode(found.key, found.data)
            tail = Tail(segment, found.etag)
            if segment.earlier and (before := await self._segment(run_id, segment.earlier[-1])):
                tail.learn(before.events)
            tail.learn(segment.events)
            return tail
        return Tail(Segment(), None)

    async def _slim(self, run_id: str, event: Event) -> Event:
        """The event, with its data stored apart where that is large."""
        data = json.dumps(event.data)
        if len(data) <= self._limits.inline:
            return event
        name = key_part(event.id)
        await self._store.put(_part(run_id, name), data.encode())
        return replace(event, data=None, ref=name)

    async def _trim(self, run_id: str, full: Segment, begun: Segment) -> None:
        """Remove what is older than the oldest segment that `begun` keeps; what fails is removed the next time."""
        if len(begun.earlier) > len(full.earlier):
            return
        try:
            old = [
                entry.key async for entry in self._store.list(_prefix(run_id), start_after=_key(run_id, begun.oldest))
            ]
            for key in old:
                found = await self._store.get(key)
                events = Segment.decode(key, found.data).events if found else ()
                await self._store.delete_many([*(_part(run_id, event.ref) for event in events if event.ref), key])
        except TransientError as error:
            log.warning("run %s: old events stay until the next segment begins: %s", run_id, error)

    # ---- reading

    async def _holding(self, run_id: str, offset: int) -> Segment | None:
        """The segment in which the offset is or will be; None for a log that does not exist."""
        place = self._places.get(run_id)
        if place is not None and place <= offset:
            segment = await self._segment(run_id, place)
            for _ in range(_HOPS):
                if segment is None or not segment.sealed or segment.closed or offset < segment.end:
                    break
                following = await self._segment(run_id, segment.end)
                if following is None:
                    return segment
                segment = following
            else:
                segment = None
            if segment is not None:
                return self._remember(run_id, segment)
        found = await self._first(run_id, start_after=_key(run_id, offset + 1))
        if found is not None:
            return self._remember(run_id, found)
        newest = await self._first(run_id)
        if newest is not None:
            raise EventsGone(run_id, offset, newest.oldest)
        return None

    def _remember(self, run_id: str, segment: Segment) -> Segment:
        self._places[run_id] = segment.first
        self._places.move_to_end(run_id)
        if len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)
        return segment

    async def _first(self, run_id: str, start_after: str | None = None) -> Segment | None:
        async for entry in self._store.list(_prefix(run_id), start_after=start_after, limit=1):
            found = await self._store.get(entry.key)
            return Segment.decode(found.key, found.data) if found else None
        return None

    async def _segment(self, run_id: str, first: int) -> Segment | None:
        found = await self._store.get(_key(run_id, first))
        return Segment.decode(found.key, found.data) if found else None

    async def _full(self, run_id: str, event: Event) -> Event:
        if not event.ref:
            return event
        found = await self._store.get(_part(run_id, event.ref))
        return replace(event, data=json.loads(found.data) if found else None)


def _prefix(run_id: str) -> str:
    return run_key(run_id, "events/")


def _key(run_id: str, first: int) -> str:
    return f"{_prefix(run_id)}{_LAST - first:012d}"


def _part(run_id: str, name: str) -> str:
    return run_key(run_id, f"parts/{name}")
