"""What a sweep works with, and what it finds."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from durablegraph.errors import TransientError
from durablegraph.storage.objects import ObjectEntry, ObjectStore, PreconditionFailed
from durablegraph.storage.parallel import in_parallel
from durablegraph.storage.retention.policy import Policy
from durablegraph.storage.runs import RunStore

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """The storage of one app, the policy, and the way to forget a Durable instance's history."""

    objects: ObjectStore
    runs: RunStore
    savers: Sequence[BaseCheckpointSaver[Any]]
    policy: Policy
    purge: Callable[[str], Awaitable[None]]
    """Forgets the history of the Durable instance of a run; no error when there is none."""


@dataclass(frozen=True, slots=True)
class Find:
    """Something that is to be removed: what it is, its objects and their bytes. `remove` may find that it is not."""

    kind: str
    name: str
    objects: int
    size: int
    remove: Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Looked:
    """How far a pass has got: the last key it is done with, how many it listed for that, and what it found."""

    after: str
    keys: int
    find: Find | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """`now`, when this round began and when the one before did (None: there was none). All by the app's clock."""

    now: datetime
    began: datetime
    before: datetime | None = None

    def is_new(self, entry: ObjectEntry, age: timedelta = timedelta()) -> bool:
        """Whether the round before could not judge what was written then, because it has to be of an `age`."""
        return self.before is None or entry.modified > self.before - age - OVERLAP


OVERLAP: Final = timedelta(hours=1)
"""Clocks of app and store may differ by as much."""


def found(kind: str, name: str, entries: Sequence[ObjectEntry], remove: Callable[[], Awaitable[bool]]) -> Find:
    """A find made of listed objects."""
    return Find(kind, name, len(entries), sum(entry.size for entry in entries), remove)


async def judged(name: str, look: Awaitable[Find | None]) -> Find | None:
    """What a look found. What cannot be read is logged and stays: the sweep has to go on behind it."""
    try:
        return await look
    except TransientError:
        raise
    except Exception:  # damage has many names: of records, of checkpoints, of keys that are not there
        log.exception("%s cannot be read; it stays as it is", name)
        return None


async def grouped(entries: AsyncIterable[ObjectEntry], depth: int) -> AsyncIterator[tuple[str, list[ObjectEntry]]]:
    """Entries that share the first `depth` parts of their keys, with that beginning (it ends in a slash)."""
    beginning, group = "", list[ObjectEntry]()
    async for entry in entries:
        own = "/".join(entry.key.split("/", depth)[:depth]) + "/"
        if own != beginning and group:
            yield beginning, group
            group = []
        beginning = own
        group.append(entry)
    if group:
        yield beginning, group


async def remove_unchanged(objects: ObjectStore, entries: Sequence[ObjectEntry]) -> bool:
    """Delete listed objects, each only as it was listed: what was written again since then stays."""

    async def remove(entry: ObjectEntry) -> bool:
        try:
            return await objects.delete(entry.key, if_match=entry.etag)
        except PreconditionFailed:
            return False

    return any(await in_parallel(entries, remove))
