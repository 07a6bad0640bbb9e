"""Keeping only the newest checkpoints of a thread, so that a run of any length takes up the same room.

What stays is copied into a new head that needs none of the old segments. Delta channels are folded into every kept
checkpoint whose parent goes. Beside the newest of the root namespace stays the last checkpoint before the run they are
of, now as their ancestor: from it a run is counted. The rules of `maintenance` hold: the head first, then
only objects that were listed before it changed.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from secrets import token_bytes

from durablegraph.storage.checkpoints import names
from durablegraph.storage.checkpoints.archive import Archive
from durablegraph.storage.checkpoints.deltas import delta_history
from durablegraph.storage.checkpoints.fencing import ConflictPolicy, View
from durablegraph.storage.checkpoints.head import Head
from durablegraph.storage.checkpoints.log import Log
from durablegraph.storage.checkpoints.names import LogNames
from durablegraph.storage.checkpoints.reach import externals
from durablegraph.storage.checkpoints.records import (
    Base,
    Entry,
    Folded,
    Sealed,
    Spliced,
    StoredCheckpoint,
    Typed,
    Version,
)
from durablegraph.storage.checkpoints.sealing import COMMITS_CARRIED, as_records
from durablegraph.storage.checkpoints.search import Found, newest_first
from durablegraph.storage.checkpoints.segment import Segment
from durablegraph.storage.checkpoints.values import NewValues, ValueReader


@dataclass(frozen=True, slots=True)
class Reading:
    """What the saver reads out of metadata: a nested checkpoint's root checkpoint, and any checkpoint's run."""

    root_of: Callable[[Typed], str | None]
    run_of: Callable[[Typed], object]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What of a log stays, newest first, and what of that is kept only to be counted from."""

    newest: Sequence[Found]
    before: Found | None = None

    def oldest_first(self) -> list[Found]:
        return [*([] if self.before is None else [self.before]), *reversed(self.newest)]


Choose = Callable[[Segment], Awaitable[_Kept | None]]
"""What of a head's log stays; None when everything does."""


async def keep_last(archive: Archive, view: View, thread: str, count: int, reading: Reading) -> bool:
    """Keep the newest `count` checkpoints of a thread's root namespace, and what its subgraphs need for them.

    Namespaces of single tasks go with the checkpoint that the tasks followed; a subgraph's lasting namespace keeps what
    is newer than the oldest root checkpoint, and one more. False when there was nothing to remove.
    """
    nested = [namespace for _, namespace in await archive.namespaces(thread) if namespace]
    kept: list[Found] = []

    root = archive.log(thread, "")

    async def choose(head: Segment) -> _Kept | None:
        chosen = await _newest(head, root, count, reading)
        kept[:] = [] if chosen is None else chosen.newest
        return chosen

    if not await _rewritten(archive, view, root, choose) or not kept:
        return False
    oldest = min(found.id for found in kept)
    for namespace in nested:
        await _nested(archive, archive.log(thread, namespace), oldest, reading)
    return True


async def _newest(head: Segment, log: Log, count: int, reading: Reading) -> _Kept | None:
    """The newest `count`, and the newest one before their run; None when that is all there is."""
    newest: list[Found] = []
    before: Found | None = None
    latest: object = None
    several_runs = surplus = False
    async with aclosing(newest_first(log.objects, head)) as all_of_them:
        async for found in all_of_them:
            run = None if found.record is None else reading.run_of(found.record.metadata)
            other = bool(newest) and run != latest
            latest = latest if newest else run
            if len(newest) < count:
                newest.append(found)
                several_runs = several_runs or other
            elif other and not several_runs:
                before, several_runs = found, True
            elif several_runs:
                return _Kept(newest, before)
            else:
                surplus = True
    return _Kept(newest, before) if surplus else None


async def _nested(archive: Archive, log: Log, oldest: str, reading: Reading) -> None:
    """Thin out a subgraph's namespace, or remove it when its task is of a checkpoint that is gone."""
    view = View(ConflictPolicy.FENCE, pinned=False)
    head = await log.read(view)
    if head is None or head.tip is None:
        return
    last = reading.root_of(head.tip.metadata)
    if last is None:
        return
    if ":" in log.names.namespace:
        if last < oldest:
            await _remove(archive, log)
        return

    async def choose(segment: Segment) -> _Kept | None:
        newest: list[Found] = []
        complete = False
        async with aclosing(newest_first(log.objects, segment)) as all_of_them:
            async for found in all_of_them:
                if complete:
                    return _Kept(newest)
                newest.append(found)
                above = None if found.record is None else reading.root_of(found.record.metadata)
                complete = above is not None and above < oldest
        return None

    await _rewritten(archive, view, log, choose)


async def _remove(archive: Archive, log: Log) -> None:
    """Remove a whole namespace: its head first."""
    await log.settle()
    store, prefix = archive.shared.store, archive.shared.prefix
    objects = [entry.key async for entry in store.list(log.names.objects)]
    await store.delete(log.names.head)
    archive.forget_log(log)
    marked = f"{log.names.objects}{names.RUNS}/"
    path = log.names.head[len(f"{prefix}h/") :]
    markers = [f"{prefix}r/{key[len(marked) :]}/{path}" for key in objects if key.startswith(marked)]
    await store.delete_many([*markers, *objects])


async def _rewritten(archive: Archive, view: View, log: Log, choose: Choose) -> bool:
    await log.settle()
    listed = [entry.key async for entry in archive.shared.store.list(log.names.objects)]
    used: set[str] = set()

    async def make(head: Head) -> Segment | None:
        if head.etag is None:
            return None
        kept = await choose(head.segment)
        if kept is None:
            return None
        made = await _copied(archive, log, head.segment, kept)
        used.clear()
        used.update(externals(made))
        return made

    if not await log.rewrite(make, view):
        return False
    doomed = [key for key in listed if _name(log.names, key) not in used and not _is_marker(log.names, key)]
    if doomed:
        await archive.shared.store.delete_many(doomed)
    return True


async def _copied(archive: Archive, log: Log, head: Segment, kept: _Kept) -> Segment:
    """A head with nothing but what is kept."""
    staying = {found.id for found in kept.oldest_first()}
    base = Base(
        token_bytes(8),
        head.base.sequence + 1,
        head.base.thread,
        head.base.namespace,
        forgotten=head.forgotten,
        folded=await _folded(log, head, kept, staying),
        commits=tuple(head.commits[-COMMITS_CARRIED:]),
    )
    segment, reader = Segment.begin("", base), ValueReader(log.objects)
    copies = NewValues(archive.shared.limits, {}, {})
    above = None if kept.before is None else kept.before.id
    for found in kept.oldest_first():
        home, record = found.home, found.record
        if home is None or record is None:
            continue
        values = await _values(segment, home, record, reader, copies)
        parent = record.parent if record.parent in staying else above if found.id != above else None
        segment.add(replace(record, parent=parent, values=tuple(values)))
        for writes in as_records(found.id, found.writes()):
            segment.add(writes)
        reader.forget_when_large()
    for id_, places in head.writes.items():  # they may overtake their checkpoint
        if id_ not in head.checkpoints and (head.tip is None or id_ > head.tip.rank):
            for writes in as_records(id_, places):
                segment.add(writes)
    await log.objects.put_values(copies.uploads)
    return segment


async def _folded(log: Log, head: Segment, kept: _Kept, staying: set[str]) -> dict[str, dict[str, Folded]]:
    folded: dict[str, dict[str, Folded]] = {}
    for found in kept.oldest_first():
        record = found.record
        if record is not None and record.deltas and record.parent not in staying:
            folded[found.id] = dict(await delta_history(log, head, found.id, record.deltas))
    return folded


async def _values(
    segment: Segment, home: Segment, record: StoredCheckpoint, reader: ValueReader, copies: NewValues
) -> list[tuple[str, Version, Entry]]:
    """The values of a checkpoint that the new head does not have yet."""
    values: list[tuple[str, Version, Entry]] = []
    for channel, version in record.versions.items():
        entry = home.table.get((channel, version))
        if entry is None or (channel, version) in segment.table:
            continue
        has_base = isinstance(entry, Spliced) and (channel, entry.base) in segment.table
        if isinstance(entry, Spliced | Sealed) and not has_base:
            typed = await reader.of_channel(home, channel, version)
            if typed is None:
                continue
            entry = await copies.of_write(typed)
        values.append((channel, version, entry))
    return values


def _name(log: LogNames, key: str) -> str:
    return key[len(log.objects) :]


def _is_marker(log: LogNames, key: str) -> bool:
    return _name(log, key).startswith(f"{names.RUNS}/")
