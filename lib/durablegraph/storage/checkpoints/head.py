"""The head of one log: what this process knows of it, and its two requests, to read it and to move it.

What is remembered beside it, the newest values and the names of stored ones, counts only while nobody else has moved
it.
"""

import secrets
import weakref
from collections.abc import Mapping
from dataclasses import dataclass

from durablegraph.storage.checkpoints import frames
from durablegraph.storage.checkpoints.errors import LOOKS, CorruptCheckpoint
from durablegraph.storage.checkpoints.fencing import HeadFacts, View
from durablegraph.storage.checkpoints.frames import NO_COMMIT, GrowingBody
from durablegraph.storage.checkpoints.names import LogNames
from durablegraph.storage.checkpoints.objects import LOG, Shared
from durablegraph.storage.checkpoints.records import Base, Record, Typed, Version
from durablegraph.storage.checkpoints.segment import Segment
from durablegraph.storage.checkpoints.values import NewValues
from durablegraph.storage.checkpoints.wire import pack
from durablegraph.storage.objects import PreconditionFailed

_KNOWN_VALUES = 256


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


class MovingHead:
    """See the module. One call at a time."""

    def __init__(self, shared: Shared, log_names: LogNames) -> None:
        self.known: Head | None = None
        self.latest: dict[str, tuple[Version, Typed]] = {}
        """The newest bytes of large channels, to tell their successors as differences."""
        self.stored: dict[bytes, str] = {}
        """Names of stored values by their hashes."""
        self.wrote_last = False  # a process that commits but once would leave its seal to nobody
        self._shared = shared
        self._names = log_names
        self._body: weakref.ref[GrowingBody] | None = None
        self._misses = 0

    @property
    def held(self) -> int:
        """Bytes in memory, roughly."""
        body = 0 if self.known is None else len(self.known.body)
        return 8 * body + sum(len(raw) for _, (_, raw) in self.latest.values())

    def was_seen_by(self, view: View, head: Head) -> bool:
        """Whether nobody else moved the head since the view saw it."""
        seen = view.seen(self._names.head)
        return seen is None or seen.is_current(head.facts())

    async def load(self) -> Head:
        """The head as it is now; one request."""
        stored = await self._shared.store.get(self._names.head)
        known = self.known
        if known is not None and known.etag == (None if stored is None else stored.etag):
            return known
        self.forget()
        if stored is None:
            base = Base(secrets.token_bytes(8), 0, self._names.thread, self._names.namespace)
            self.known = Head(None, NO_COMMIT, Segment.begin("", base), b"")
            return self.known
        frame = frames.open_(stored.key, stored.data, LOG, self._shared.cipher)
        segment = Segment.read(stored.key, "", frames.decompress(stored.key, frame.body))
        if (segment.base.thread, segment.base.namespace) != (self._names.thread, self._names.namespace):
            raise CorruptCheckpoint(
                f"{stored.key}: found the head of thread {segment.base.thread!r}, namespace {segment.base.namespace!r}"
            )
        self.known = Head(stored.etag, frame.commit, segment, frame.body)
        return self.known

    async def move(
        self, head: Head, segment: Segment, body: GrowingBody, commit: bytes, views: Mapping[View, bool]
    ) -> bool:
        """Put another head in its place; True when that is done, also when only the answer of an attempt was lost.

        `views` are the writers, and whether each of them knew everything that the head held before.
        """
        key, facts, whole = self._names.head, head.facts(), body.whole()
        data = frames.close(LOG, commit, whole, self._shared.cipher)
        for view, alone in views.items():
            if alone:
                view.tries(key, facts, commit)
        self.known, self._body = None, None
        try:
            etag = await self._shared.store.put(key, data, if_match=head.etag, if_absent=head.etag is None)
        except PreconditionFailed:
            self.forget()
            if commit not in (await self.load()).segment.commits:
                return False
        else:
            self.known, self._misses = Head(etag, commit, segment, whole), 0
            self._body = self._shared.hold(key, body)
        tip = segment.tip
        for view, alone in views.items():
            if alone:
                view.wrote(key, HeadFacts(commit, None if tip is None else tip.id))
        return True

    def grown(self, head: Head, added: list[Record]) -> GrowingBody:
        """The body of the next head, which has these records more; compresses them alone if it can."""
        body = None if self._body is None else self._body()
        self._body = None
        if body is None:
            body = GrowingBody(frames.decompress(self._names.head, head.body))
        body.append(pack(added))
        return body

    def accept(self, commit: bytes, values: NewValues) -> None:
        """Remember the values of a commit, unless somebody else has committed on top of it already."""
        if self.known is None or self.known.commit != commit:
            return
        self.latest = values.latest
        self.stored.update(values.named)
        while len(self.stored) > _KNOWN_VALUES:
            del self.stored[next(iter(self.stored))]

    def remember(self, segment: Segment, channel: str, version: Version, typed: Typed) -> None:
        """Keep a large value of the newest head at hand, so that the next version can be told as a difference."""
        is_newest = self.known is not None and self.known.segment is segment
        if is_newest and channel not in self.latest and len(typed[1]) > self._shared.limits.inline:
            self.latest[channel] = (version, typed)

    def forget(self) -> None:
        """Nothing of the head is certain any more. A reference to an upload must not survive this: see NewValues."""
        self.known, self._body, self.wrote_last = None, None, False
        self.stored, self.latest = {}, {}

    def another_look(self) -> bool:
        """Whether to read the head again after an object it refers to was missing."""
        self.forget()
        self._misses += 1
        return self._misses % LOOKS != 0
