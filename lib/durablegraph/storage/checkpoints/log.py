"""One log: the checkpoints of one (thread, namespace), and the only code that has its head moved.

Commits are grouped: everything that is queued while a commit is under way goes into the next one, and writes of a
task wait up to two milliseconds for the checkpoint they usually come with, so that a super-step costs one request.
A head that grew large is sealed in the background: its older records are stored as a segment, and the next commit
replaces them by a base, so that no checkpoint waits for two requests.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from durablegraph.storage.checkpoints.changes import Change, Draft, PutWrites
from durablegraph.storage.checkpoints.errors import ConcurrentWriterError, CorruptCheckpoint, ObjectMissing
from durablegraph.storage.checkpoints.fencing import View, refusal
from durablegraph.storage.checkpoints.frames import NO_COMMIT, GrowingBody
from durablegraph.storage.checkpoints.head import Head, MovingHead
from durablegraph.storage.checkpoints.names import SEGMENTS, LogNames
from durablegraph.storage.checkpoints.objects import LogObjects, Shared
from durablegraph.storage.checkpoints.records import CommitMark, Entry, Typed, Version
from durablegraph.storage.checkpoints.sealer import Sealer
from durablegraph.storage.checkpoints.sealing import carry
from durablegraph.storage.checkpoints.search import find
from durablegraph.storage.checkpoints.segment import Segment, WritesByPlace
from durablegraph.storage.checkpoints.values import NewValues
from durablegraph.storage.checkpoints.waiting import CommitQueue, Waiting
from durablegraph.storage.checkpoints.wire import pack

_LONGEST_PAUSE = 0.1


class Log:
    """See the module. All methods run on the event loop the saver belongs to."""

    def __init__(self, shared: Shared, log_names: LogNames) -> None:
        self.names = log_names
        self.objects = LogObjects(shared, log_names)
        self._shared = shared
        self._lock = asyncio.Lock()
        self._head = MovingHead(shared, log_names)
        self._queue = CommitQueue(self._flush, shared.limits.linger)
        self._sealer = Sealer(self.objects, shared.limits)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, so that the log may be dropped from memory."""
        return self._queue.is_empty and not self._lock.locked() and self._sealer.is_idle

    @property
    def held(self) -> int:
        """Bytes in memory, roughly."""
        return self._head.held + self.objects.held

    async def read(self, view: View) -> Segment | None:
        """The head as it is now, or None when the log does not exist; one request.

        None at all when the newest commit this process knows is the one that the view was told to trust: a commit on
        an outdated head would be refused anyway.
        """
        async with self._lock:
            head, trusted = self._head.known, view.trusted(self.names.head)
            if head is None or trusted is None or head.commit != trusted:
                head = await self._head.load()
            view.saw(self.names.head, head.facts())
            if view.is_committer:
                self._sealer.begin_when_full(head, self._head.latest)  # while the super-step is executed
            return None if head.etag is None else head.segment

    async def assert_not_lost(self) -> None:
        """Raise CorruptCheckpoint when the head is missing and segments are there; no request when it is there."""
        async with self._lock:
            head = self._head.known or await self._head.load()
            if head.etag is None:
                await self._assert_never_sealed()

    async def _assert_never_sealed(self) -> None:
        async for found in self._shared.store.list(f"{self.names.objects}{SEGMENTS}/", limit=1):
            raise CorruptCheckpoint(
                f"{self._title()}: the head is missing, and {found.key} is there: the head was lost, or a deletion "
                f"of the thread was cut off; restore {self.names.head}, or delete the thread (again)"
            )

    async def commit(self, change: Change, view: View, *, urgent: bool) -> None:
        """Make a change durable. Raises ConcurrentWriterError when `view` may not make it."""
        await self._queue.carry_out(change, view, urgent=urgent)

    async def rewrite(self, make: Callable[[Head], Awaitable[Segment | None]], view: View) -> bool:
        """Replace the head by what `make` builds from it; False when it declined. Repeats when somebody else wins."""
        async with self._lock:
            for attempt in range(self._shared.limits.conflict_attempts):
                await self._pause(attempt)
                head = await self._head.load()
                try:
                    made = await make(head)
                    if made is None:
                        return False
                    if await self._replace(head, made, view):
                        return True
                except ObjectMissing:
                    if not self._head.another_look():
                        raise
            raise self._contention()

    async def _replace(self, head: Head, segment: Segment, view: View) -> bool:
        commit = secrets.token_bytes(len(NO_COMMIT))
        segment.add(CommitMark(commit))
        body = GrowingBody(pack([segment.base, *segment.records]))
        moved = await self._head.move(head, segment, body, commit, {view: self._head.was_seen_by(view, head)})
        self._head.stored.clear()
        return moved

    async def settle(self) -> None:
        """Wait until everything under way has ended."""
        await self._queue.drained()
        await self._sealer.settled()

    async def _flush(self, batch: list[Waiting]) -> None:
        """Commit a batch: settles each of its changes, or raises."""
        async with self._lock:
            try:
                for attempt in range(self._shared.limits.conflict_attempts):
                    await self._pause(attempt)
                    head = self._head.known or await self._head.load()
                    if head.etag is None and any(waiting.change.wanted().follows_another for waiting in batch):
                        await self._assert_never_sealed()
                    batch = self._allowed(batch, head)
                    try:
                        done = not batch or await self._try(head, batch)
                    except ObjectMissing:
                        done = False
                        if not self._head.another_look():
                            raise
                    if done:
                        for waiting in batch:
                            waiting.settle()
                        return
                raise self._contention()  # noqa: TRY301 -- every way out forgets the head, this one too
            except BaseException:
                self._head.forget()
                raise

    def _allowed(self, batch: Sequence[Waiting], head: Head) -> list[Waiting]:
        """The changes that may be made to this head; the others are refused now."""
        allowed, facts = [], head.facts()
        for waiting in batch:
            reason = refusal(waiting.view, self.names.head, waiting.change.wanted(), facts)
            if reason is None:
                allowed.append(waiting)
                # What follows in the same commit builds on this change.
                facts = replace(facts, tip=waiting.change.puts() or facts.tip)
            else:
                waiting.settle(ConcurrentWriterError(f"{self._title()}: {reason}; read the thread again"))
        return allowed

    async def _try(self, head: Head, batch: list[Waiting]) -> bool:
        """One attempt to commit; False when the head had moved meanwhile."""
        draft = await self._draft(head, batch)
        if not draft.records:
            return True
        if head.etag is None and draft.values.uploads:
            await self.begin(head, {waiting.view for waiting in batch})
            return False
        await self.objects.put_values(draft.values.uploads)
        views = {waiting.view for waiting in batch}
        alone = {view: len(views) == 1 and self._head.was_seen_by(view, head) for view in views}
        if draft.replaced or head.etag is None:
            body = GrowingBody(pack([draft.segment.base, *draft.segment.records]))
        else:
            body = self._head.grown(head, draft.records)
        if not await self._head.move(head, draft.segment, body, draft.commit, alone):
            return False
        for waiting in batch:
            waiting.view.put(self.names.head, waiting.change.puts())
        self._head.accept(draft.commit, draft.values)
        if draft.pack is not None:
            self._sealer.publish(draft.pack)
        moved = self._head.known
        if moved is not None and self._head.wrote_last:
            self._sealer.begin_when_full(moved, self._head.latest)
        self._head.wrote_last = moved is not None
        return True

    async def begin(self, absent: Head, views: Iterable[View] = ()) -> Head | None:
        """Store a head without checkpoints where there is none; None when somebody else was faster.

        No object is stored before its log has a head. So whoever stored some and then stalled has to replace a head
        it knows, and is refused when a sweep moved or a deletion removed it meanwhile.
        """
        commit, segment = secrets.token_bytes(len(NO_COMMIT)), absent.segment.copy()
        segment.add(CommitMark(commit))
        body = GrowingBody(pack([segment.base, *segment.records]))
        alone = {view: self._head.was_seen_by(view, absent) for view in views}
        return self._head.known if await self._head.move(absent, segment, body, commit, alone) else None

    async def _draft(self, head: Head, batch: Sequence[Waiting]) -> Draft:
        limits = self._shared.limits
        relieved = await self._sealer.relieved(head, self._head.latest)
        segment, pack = relieved or (head.segment.copy(), None)
        draft = Draft(
            segment=segment,
            values=NewValues(limits, self._head.stored, dict(self._head.latest)),
            commit=secrets.token_bytes(len(NO_COMMIT)),
            replaced=relieved is not None,
            pack=pack,
            borrow=partial(self._borrow, segment),
            writes_of=partial(self._writes_of, segment),
            deltas_of=partial(self._deltas_of, segment),
            objects=self.objects,
        )
        for waiting in batch:
            await waiting.change.apply(draft)
        return draft

    async def _writes_of(self, segment: Segment, checkpoint: str) -> WritesByPlace:
        """All writes of a checkpoint; no request for a new one, because its id lies beyond all that is sealed."""
        if checkpoint in segment.checkpoints:
            return segment.writes.get(checkpoint, {})
        return (await find(self.objects, segment, checkpoint)).writes()

    async def _deltas_of(self, segment: Segment, checkpoint: str) -> tuple[str, ...]:
        """The delta channels that a checkpoint's metadata name."""
        record = segment.checkpoints.get(checkpoint) or (await find(self.objects, segment, checkpoint)).record
        return () if record is None else record.deltas

    async def _borrow(self, segment: Segment, checkpoint: str, channel: str, version: Version) -> Entry | None:
        """A value of a checkpoint that only a sealed segment has, as this head can refer to it."""
        found = (await find(self.objects, segment, checkpoint)).home
        if found is None or found is segment or (channel, version) not in found.table:
            return None
        return carry(found, channel, version)

    def knows_run(self, run: str) -> bool:
        """Whether the head, as last seen, has a living checkpoint of this run; its marker then exists."""
        segment = None if self._head.known is None else self._head.known.segment
        return segment is not None and any(
            record.run == run and segment.is_alive(record) for record in segment.checkpoints.values()
        )

    def expects_no_checkpoint(self, change: PutWrites) -> bool:
        """Whether LangGraph waits for these writes before it puts the checkpoint, as it does for a delta channel's."""
        head = self._head.known
        record = None if head is None else head.segment.checkpoints.get(change.checkpoint)
        return record is not None and any(channel in record.deltas for _, channel, _ in change.writes)

    def remember(self, segment: Segment, channel: str, version: Version, typed: Typed) -> None:
        """Keep a large value of the newest head at hand, so that the next version can be told as a difference."""
        self._head.remember(segment, channel, version, typed)

    async def _pause(self, attempt: int) -> None:
        if attempt:
            await asyncio.sleep(random.random() * min(_LONGEST_PAUSE, 0.004 * 2**attempt))  # noqa: S311 -- jitter

    def _title(self) -> str:
        return f"thread {self.names.thread!r}, namespace {self.names.namespace!r}"

    def _contention(self) -> ConcurrentWriterError:
        tries = self._shared.limits.conflict_attempts
        return ConcurrentWriterError(
            f"{self._title()}: other writers moved the head {tries} times in a row; try again later"
        )
