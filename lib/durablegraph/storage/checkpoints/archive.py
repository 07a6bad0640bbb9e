"""All logs of one saver: checkpoints in and out as serialised bytes, asynchronous, on one event loop.

The saver turns LangGraph's objects into bytes and back; nothing here looks into a value.
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from durablegraph.storage.checkpoints import frames, names
from durablegraph.storage.checkpoints.changes import PutCheckpoint, PutWrites
from durablegraph.storage.checkpoints.deltas import delta_history
from durablegraph.storage.checkpoints.errors import LOOKS, ObjectMissing
from durablegraph.storage.checkpoints.fencing import View
from durablegraph.storage.checkpoints.log import Log
from durablegraph.storage.checkpoints.material import Candidate, Material, material
from durablegraph.storage.checkpoints.names import names_of
from durablegraph.storage.checkpoints.objects import LOG, Shared
from durablegraph.storage.checkpoints.records import Folded, Typed
from durablegraph.storage.checkpoints.search import Found, find, newest_first
from durablegraph.storage.checkpoints.segment import Segment
from durablegraph.storage.checkpoints.values import ValueReader
from durablegraph.storage.checkpoints.wire import pack_marker

T = TypeVar("T")

_LOGS_IN_MEMORY = 256
_BYTES_IN_MEMORY = 128 * 1024 * 1024
_WEIGHED_EVERY = 16
_REMEMBERED_MARKERS = 4096


class Archive:
    """See the module."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self._logs: OrderedDict[tuple[str, str], Log] = OrderedDict()
        self._marked_runs: set[tuple[str, str]] = set()
        self._opened = 0

    def log(self, thread: str, namespace: str) -> Log:
        """The log of a thread's namespace; the ones used longest ago leave memory."""
        key = (thread, namespace)
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = Log(self.shared, names_of(self.shared.prefix, thread, namespace))
            self._make_room()
        self._logs.move_to_end(key)
        return log

    def _make_room(self) -> None:
        """Drop the logs used longest ago, as many as are too many or, looked at now and then, too large together."""
        self._opened += 1
        weighed = self._opened % _WEIGHED_EVERY == 0
        held = sum(log.held for log in self._logs.values()) if weighed else 0
        for key, log in list(self._logs.items())[:-1]:
            if len(self._logs) <= _LOGS_IN_MEMORY and held <= _BYTES_IN_MEMORY:
                return
            if log.is_idle:
                held -= log.held
                del self._logs[key]

    def forget_log(self, log: Log) -> None:
        """Drop what memory holds of a log that was deleted."""
        self._logs.pop((log.names.thread, log.names.namespace), None)
        self._marked_runs = {place for place in self._marked_runs if place[0] != log.names.head}

    def forget_thread(self, thread: str) -> None:
        """Drop what memory holds of a thread."""
        for key in [key for key in self._logs if key[0] == thread]:
            head = self._logs.pop(key).names.head
            self._marked_runs = {place for place in self._marked_runs if place[0] != head}

    async def latest(self, view: View, thread: str, namespace: str) -> Material | None:
        """The latest checkpoint; one request, and one for each large value."""
        log = self.log(thread, namespace)

        async def look(head: Segment) -> Material | None:
            return None if head.tip is None else await material(log, Found(head.tip.id, head), ValueReader(log.objects))

        return await self.looked_up(log, view, look)

    async def by_id(self, view: View, thread: str, namespace: str, id_: str) -> Material | None:
        """The checkpoint of that id, unless it was deleted."""
        log = self.log(thread, namespace)

        async def look(head: Segment) -> Material | None:
            found = await find(log.objects, head, id_)
            if found.record is None or not head.is_alive(found.record):
                return None
            return await material(log, found, ValueReader(log.objects))

        result = await self.looked_up(log, view, look)
        if result is None:
            await log.assert_not_lost()
        view.asked_for(log.names.head, id_)
        return result

    async def history(
        self, view: View, thread: str, namespace: str, checkpoint: str | None, channels: Sequence[str]
    ) -> Mapping[str, Folded]:
        """What each delta channel is rebuilt from at a checkpoint (None: the latest)."""
        log = self.log(thread, namespace)
        found = await self.looked_up(log, view, lambda head: delta_history(log, head, checkpoint, channels))
        return found or {channel: Folded((), None) for channel in channels}

    async def looked_up(self, log: Log, view: View, look: Callable[[Segment], Awaitable[T]]) -> T | None:
        """What `look` finds in a head; None without a head. Looks again when the head was outdated meanwhile."""
        for attempt in range(LOOKS):
            head = await log.read(view)
            if head is None:
                return None
            try:
                return await look(head)
            except ObjectMissing:
                if attempt + 1 == LOOKS:
                    raise
        return None

    async def put(self, view: View, thread: str, namespace: str, change: PutCheckpoint) -> None:
        """Make a checkpoint durable."""
        log = self.log(thread, namespace)
        if change.run is not None:
            await self.mark_run(log, change.run)
        await log.commit(change, view, urgent=True)

    async def put_writes(self, view: View, thread: str, namespace: str, change: PutWrites) -> None:
        """Make the writes of a task durable. LangGraph waits for a delta channel's, so these do not linger."""
        log = self.log(thread, namespace)
        await log.commit(change, view, urgent=log.expects_no_checkpoint(change))

    async def namespaces(self, thread: str | None) -> list[tuple[str, str]]:
        """Every (thread, namespace) that has a head, of one thread or of all."""
        start = names.heads(self.shared.prefix, thread)
        found = []
        async for entry in self.shared.store.list(start):
            parts = entry.key.rsplit("/", 2)[1:]
            owner, namespace = names.from_part(parts[0]), names.from_part(parts[1])
            if owner is None or namespace is None:
                base = await self.base_of(entry.key)
                if base is None:
                    continue
                owner, namespace = base
            found.append((owner, namespace))
        return found

    async def base_of(self, key: str) -> tuple[str, str] | None:
        """The (thread, namespace) that a head tells, None when there is none."""
        stored = await self.shared.store.get(key)
        if stored is None:
            return None
        frame = frames.open_(key, stored.data, LOG, self.shared.cipher)
        base = Segment.read(key, "", frames.decompress(key, frame.body)).base
        return base.thread, base.namespace

    async def walk(
        self, view: View, logs: Sequence[tuple[str, str]], before: str | None, only: str | None
    ) -> AsyncGenerator["Candidate", None]:
        """The checkpoints of several logs merged, newest first; `only` the one of that id."""
        sources = [self._candidates(view, thread, namespace, before, only) for thread, namespace in logs]
        heads: list[tuple[_Newest, int, Candidate]] = []
        try:
            for number, source in enumerate(sources):
                first = await anext(source, None)
                if first is not None:
                    heapq.heappush(heads, (_Newest(first.record.rank), number, first))
            while heads:
                _, number, candidate = heapq.heappop(heads)
                yield candidate
                following = await anext(sources[number], None)
                if following is not None:
                    heapq.heappush(heads, (_Newest(following.record.rank), number, following))
        finally:
            for source in sources:
                await source.aclose()

    async def _candidates(
        self, view: View, thread: str, namespace: str, before: str | None, only: str | None
    ) -> AsyncGenerator[Candidate, None]:
        log = self.log(thread, namespace)
        head = await log.read(view)
        if head is None:
            return
        reader = ValueReader(log.objects)
        limit = None if before is None else await _rank(log, head, before)
        if only is not None:
            item = await find(log.objects, head, only)
            if item.record is not None and head.is_alive(item.record) and (limit is None or item.record.rank < limit):
                view.was_shown(log.names.head, item.id)
                yield Candidate(log, item, item.record, reader)
            return
        async with aclosing(newest_first(log.objects, head, limit)) as found:
            async for item in found:
                if item.record is not None:
                    view.was_shown(log.names.head, item.id)
                    yield Candidate(log, item, item.record, reader)
                reader.forget_when_large()

    async def materials(
        self,
        view: View,
        logs: Sequence[tuple[str, str]],
        before: str | None,
        only: str | None,
        accepts: Callable[[Typed], bool],
    ) -> AsyncGenerator[Material, None]:
        """The checkpoints of several logs whose metadata are accepted, newest first.

        When a prune removes what is still to come, the listing goes on with what it left.
        """
        end, misses = before, 0
        while misses < LOOKS:
            try:
                async with aclosing(self.walk(view, logs, end, only)) as found:
                    async for candidate in found:
                        if accepts(candidate.record.metadata):
                            yield await candidate.material()
                        end, misses = candidate.record.id, 0
            except ObjectMissing:
                misses += 1
                if misses == LOOKS:
                    raise
            else:
                return

    async def mark_run(self, log: Log, run: str) -> None:
        """Leave the markers that delete_for_runs follows, before the run's first checkpoint can be seen."""
        place = (log.names.head, run)
        if place in self._marked_runs or log.knows_run(run):
            return
        marker = pack_marker(log.names.thread, log.names.namespace)
        keys = (log.names.own_run_marker(run), log.names.run_marker(run))
        await asyncio.gather(*(self.shared.store.put(key, marker) for key in keys))
        if len(self._marked_runs) >= _REMEMBERED_MARKERS:
            self._marked_runs.clear()  # to write a marker again is harmless
        self._marked_runs.add(place)

    def unmark(self, log: Log, run: str) -> None:
        """The run's markers here are about to be deleted."""
        self._marked_runs.discard((log.names.head, run))

    async def settle_thread(self, thread: str) -> None:
        """Wait for everything under way in a thread."""
        for log in [log for (owner, _), log in self._logs.items() if owner == thread]:
            await log.settle()

    async def settle(self) -> None:
        """Wait for everything under way in the background."""
        for log in list(self._logs.values()):
            await log.settle()


async def _rank(log: Log, head: Segment, id_: str) -> str:
    """Where `id_` stands in the order of checkpoints; an unknown one stands where its id does."""
    record = (await find(log.objects, head, id_)).record
    return id_ if record is None else record.rank


@dataclass(frozen=True, slots=True)
class _Newest:
    rank: str

    def __lt__(self, other: "_Newest") -> bool:
        return self.rank > other.rank
