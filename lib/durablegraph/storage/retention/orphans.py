"""Objects of checkpoint logs that no head leads to: their writer died before it could refer to them.

An object that nothing refers to now may be about to be referred to, however old it is: a seal that has been stored is
referred to by the next commit, and that may come after a wait of months. Age alone is therefore no proof. The proof is
a move of the head: every commit replaces a head that its writer has read, and refers to nothing but what that head
leads to and what the writer stored itself since it read it. So of what was listed before the head moved, whatever the
moved head does not lead to will never be referred to. A log has no objects before it has a head (`Log.begin`), so
without a head all its objects are garbage, and a writer that comes late is refused.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from durablegraph.storage import checkpoints
from durablegraph.storage.checkpoints import names
from durablegraph.storage.objects import ObjectEntry
from durablegraph.storage.retention.finds import (
    Find,
    Looked,
    Retention,
    Times,
    found,
    grouped,
    judged,
    remove_unchanged,
)

_KIND = "objects no checkpoint needs"


async def logs(retention: Retention, after: str | None, times: Times) -> AsyncIterator[Looked]:
    """Objects of logs that are not referred to, and all objects of logs whose head is gone."""
    saver = next((saver for saver in retention.savers if isinstance(saver, checkpoints.BlobCheckpointSaver)), None)
    if saver is None:
        return
    heads, done = _Heads(retention.objects.list("h/", start_after=_heads_after(after))), after or "d/"
    async for beginning, entries in grouped(retention.objects.list("d/", start_after=after), 3):
        of_thread = await heads.below(beginning[2:])
        async for log, own in grouped(_each(entries), 4):
            listed = _Log(retention, saver, log[2:-1], own)
            find = await judged(log, _look(listed, of_thread.get(log[2:-1]), times))
            if find is not None:
                yield Looked(done, 0, find)
        done = entries[-1].key
        yield Looked(done, len(entries))


async def markers(retention: Retention, after: str | None, times: Times) -> AsyncIterator[Looked]:
    """Markers of runs without their twin among the log's own objects: their writer died between the two."""
    async for entry in retention.objects.list("r/", start_after=after):
        find = None
        if retention.policy.is_past_grace(entry, times.now) and times.is_new(entry, retention.policy.grace):
            _, run, path = entry.key.split("/", 2)
            if await retention.objects.get(f"d/{path}/{names.RUNS}/{run}") is None:
                find = found(_KIND, entry.key, [entry], partial(remove_unchanged, retention.objects, [entry]))
        yield Looked(entry.key, 1, find)


@dataclass(frozen=True, slots=True)
class _Log:
    """One log as it was listed; `path` is what its head's key has after ``h/``."""

    retention: Retention
    saver: "checkpoints.BlobCheckpointSaver"
    path: str
    entries: Sequence[ObjectEntry]

    @property
    def beginning(self) -> str:
        return f"d/{self.path}/"

    def is_marker(self, entry: ObjectEntry) -> bool:
        return entry.key.startswith(f"{self.beginning}{names.RUNS}/")

    async def orphans(self, now: datetime, *, move: bool) -> list[ObjectEntry]:
        """What of the listed nothing refers to; for ever, if the head was moved. Without a head that is everything."""
        aged = [entry for entry in self.entries if self.retention.policy.is_past_grace(entry, now)]
        listed = {entry.key[len(self.beginning) :]: entry for entry in aged if not self.is_marker(entry)}
        loose = await self.saver.aunreferenced(self.path, listed, move=move)
        if loose is None:
            return aged if len(aged) == len(self.entries) else []
        return [listed[name] for name in sorted(loose)]

    async def remove(self, now: datetime) -> bool:
        """Remove the orphans, and a marker's twin before the marker that leads to it."""
        orphans = await self.orphans(now, move=True)
        marked = [entry.key for entry in orphans if self.is_marker(entry)]
        await self.retention.objects.delete_many([f"r/{key.rpartition('/')[2]}/{self.path}" for key in marked])
        return bool(orphans) and await remove_unchanged(self.retention.objects, orphans)


async def _look(log: _Log, head: ObjectEntry | None, times: Times) -> Find | None:
    policy, now = log.retention.policy, times.now
    aged = [entry for entry in log.entries if policy.is_past_grace(entry, now)]
    if head is None:
        if len(aged) < len(log.entries):
            return None
    elif not policy.is_past_grace(head, now):
        return None  # somebody works there: a moved head would cost a super-step
    elif not any(times.is_new(entry, policy.grace) for entry in (head, *aged) if not log.is_marker(entry)):
        return None
    orphans = await log.orphans(now, move=False)
    return found(_KIND, log.path, orphans, partial(log.remove, now)) if orphans else None


class _Heads:
    """The heads' listing, read alongside that of the objects: threads stand in the same order in both."""

    def __init__(self, entries: AsyncIterator[ObjectEntry]) -> None:
        self._entries = entries
        self._next: ObjectEntry | None = None

    async def below(self, path: str) -> dict[str, ObjectEntry]:
        """The heads of one thread by their paths; threads must be asked for in order."""
        heads: dict[str, ObjectEntry] = {}
        while True:
            entry = self._next or await anext(self._entries, None)
            self._next = entry
            if entry is None or (entry.key[2:] > path and not entry.key[2:].startswith(path)):
                return heads
            if entry.key[2:].startswith(path):
                heads[entry.key[2:]] = entry
            self._next = None


def _heads_after(after: str | None) -> str | None:
    """Behind the last thread that is done: ``0`` follows the slash."""
    return None if after is None else "h/" + "/".join(after.split("/")[1:3]) + "0"


async def _each(entries: Sequence[ObjectEntry]) -> AsyncIterator[ObjectEntry]:
    for entry in entries:
        yield entry
