"""Deleting, pruning and copying: everything that rewrites a head or removes objects.

Two rules keep a reader and a concurrent writer safe. A head is changed or removed before the objects it refers to are
removed. And only objects that were listed before the head changed are removed: what a writer has uploaded after that
may be about to be referred to, and what it uploaded before, it uploads again (see `NewValues`).
"""

import secrets
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace

from durablegraph.errors import Conflict, InvalidRequest
from durablegraph.storage.checkpoints import names
from durablegraph.storage.checkpoints.archive import Archive
from durablegraph.storage.checkpoints.deltas import delta_history
from durablegraph.storage.checkpoints.errors import ConcurrentWriterError, CorruptCheckpoint
from durablegraph.storage.checkpoints.fencing import ConflictPolicy, View
from durablegraph.storage.checkpoints.head import Head
from durablegraph.storage.checkpoints.log import Log
from durablegraph.storage.checkpoints.records import (
    Base,
    Entry,
    External,
    Folded,
    Forgotten,
    Sealed,
    Spliced,
    StoredCheckpoint,
    Version,
)
from durablegraph.storage.checkpoints.sealing import as_records, carry
from durablegraph.storage.checkpoints.search import Found, newest_first
from durablegraph.storage.checkpoints.segment import Segment
from durablegraph.storage.checkpoints.values import NewValues, ValueReader
from durablegraph.storage.checkpoints.wire import unpack_marker
from durablegraph.storage.parallel import in_parallel

_COPY_ATTEMPTS = 5


async def delete_thread(archive: Archive, view: View, thread: str) -> None:
    """Remove a thread with all its namespaces and markers; it is gone as soon as its heads are."""
    await archive.settle_thread(thread)
    store, prefix = archive.shared.store, archive.shared.prefix
    objects = await _keys(archive, names.thread_objects(prefix, thread))
    heads = await _keys(archive, names.heads(prefix, thread))
    if heads:
        await store.delete_many(heads)
    archive.forget_thread(thread)
    view.forget(heads)
    if objects:
        await store.delete_many([*objects, *_run_markers(prefix, thread, objects)])


def _run_markers(prefix: str, thread: str, objects: Iterable[str]) -> Iterable[str]:
    """The markers in the index of runs that belong to a thread's own ones."""
    start = names.thread_objects(prefix, thread)
    for key in objects:
        namespace, kind, name = key[len(start) :].split("/", 2)
        if kind == names.RUNS:
            yield f"{prefix}r/{name}/{names.thread_path(thread)}{namespace}"


async def delete_for_runs(archive: Archive, view: View, runs: Sequence[str]) -> None:
    """Delete every checkpoint these runs made. Their writes stay where a delta channel of a later one may need them."""
    for run in runs:
        for key in await _keys(archive, names.run_markers(archive.shared.prefix, run)):
            thread, namespace = await _marked(archive, key)
            log = archive.log(thread, namespace)
            await log.settle()
            await log.rewrite(lambda head, log=log, run=run: _without_run(log, head, run), view)  # type: ignore[misc]
            archive.unmark(log, run)
            await archive.shared.store.delete_many([key, log.names.own_run_marker(run)])


async def _marked(archive: Archive, key: str) -> tuple[str, str]:
    parts = key.rsplit("/", 2)[1:]
    thread, namespace = names.from_part(parts[0]), names.from_part(parts[1])
    if thread is not None and namespace is not None:
        return thread, namespace
    stored = await archive.shared.store.get(key)
    if stored is None:
        raise CorruptCheckpoint(f"{key}: the marker of a run vanished; delete the run again")
    return unpack_marker(key, stored.data)


async def _without_run(log: Log, head: Head, run: str) -> Segment | None:
    """The head with a deletion added, and with the latest checkpoint that is left."""
    if head.etag is None:
        return None
    segment = head.segment.copy()
    segment.add(Forgotten((run,)))
    async with aclosing(newest_first(log.objects, segment)) as found:
        left = await anext(found, None)
    if left is None or left.home is None or left.home is segment:
        return segment
    return _brought_in(segment, left, left.home)


def _brought_in(segment: Segment, found: Found, home: Segment) -> Segment:
    """The head with a checkpoint of a sealed segment in it, complete."""
    record = home.checkpoints[found.id]
    folded = {id_: history for id_, history in home.base.folded.items() if id_ == found.id}
    base = replace(segment.base, id=secrets.token_bytes(8), folded={**segment.base.folded, **folded})
    bringing = Segment.begin("", base)
    for old in segment.records:
        bringing.add(old)
    values = tuple((c, v, carry(home, c, v)) for c, v in record.versions.items() if (c, v) in home.table)
    bringing.add(replace(record, values=values))
    for writes in as_records(found.id, found.writes()):
        bringing.add(writes)
    return bringing


async def prune(archive: Archive, view: View, threads: Sequence[str], strategy: str) -> None:
    """Keep the latest checkpoint of every namespace, or nothing."""
    if strategy not in {"keep_latest", "delete"}:
        raise InvalidRequest(f"strategy {strategy!r} is unknown: expected 'keep_latest' or 'delete'")
    for thread in threads:
        if strategy == "delete":
            await delete_thread(archive, view, thread)
            continue
        for owner, namespace in await archive.namespaces(thread):
            await _prune_log(archive, view, archive.log(owner, namespace))


async def _prune_log(archive: Archive, view: View, log: Log) -> None:
    await log.settle()
    listed = [key for key in await _keys(archive, log.names.objects) if _is_log_object(log, key)]
    kept: set[str] = set()

    async def only_the_latest(head: Head) -> Segment | None:
        tip = head.segment.tip
        if head.etag is None or tip is None:
            return None
        segment = Segment.begin("", await _folded_base(archive, log, head, tip))
        kept.clear()
        kept.update(_externals(segment))
        return segment

    if await log.rewrite(only_the_latest, view):
        doomed = [key for key in listed if key[len(log.names.objects) :] not in kept]
        if doomed:
            await archive.shared.store.delete_many(doomed)


def _is_log_object(log: Log, key: str) -> bool:
    return not key[len(log.names.objects) :].startswith(f"{names.RUNS}/")


async def _folded_base(archive: Archive, log: Log, head: Head, tip: StoredCheckpoint) -> Base:
    """A base that needs nothing but the values it names."""
    segment, reader = head.segment, ValueReader(log.objects)
    copies = NewValues(archive.shared.limits, {}, {})
    values: list[tuple[str, Version, Entry]] = []
    for channel, version in tip.versions.items():
        entry = segment.table.get((channel, version))
        if isinstance(entry, Spliced | Sealed):
            typed = await reader.of_channel(segment, channel, version)
            entry = None if typed is None else await copies.of_write(typed)
        if entry is not None:
            values.append((channel, version, entry))
    await log.objects.put_values(copies.uploads)
    folded: dict[str, dict[str, Folded]] = {}
    if tip.deltas:
        folded[tip.id] = dict(await delta_history(log, segment, tip.id, tip.deltas))
    return replace(
        Base(secrets.token_bytes(8), segment.base.sequence + 1, segment.base.thread, segment.base.namespace),
        values=tuple(values),
        checkpoint=replace(tip, parent=None, values=()),
        writes=tuple(as_records(tip.id, segment.writes.get(tip.id, {}))),
        forgotten=segment.forgotten,
        folded=folded,
        commits=tuple(segment.commits[-1:]),
    )


def _externals(segment: Segment) -> Iterable[str]:
    writes = (write.entry for places in segment.writes.values() for write in places.values())
    return (entry.name for entry in [*segment.table.values(), *writes] if isinstance(entry, External))


async def copy_thread(archive: Archive, source: str, target: str) -> None:
    """Copy all checkpoints and writes; the target must not have any.

    A head without checkpoints comes first, then the objects, then the checkpoints, on that very head: were it moved
    meanwhile, by a sweep for example that took the objects for an earlier copy's remains, nothing may refer to them.
    """
    for owner, namespace in await archive.namespaces(source):
        for attempt in range(_COPY_ATTEMPTS):
            try:
                await _copy_log(archive, archive.log(owner, namespace), archive.log(target, namespace))
                break
            except CorruptCheckpoint:  # perhaps the source was pruned while it was copied: then its new head is whole
                if attempt + 1 == _COPY_ATTEMPTS:
                    raise


async def _copy_log(archive: Archive, source: Log, target: Log) -> None:
    await source.settle()
    onlooker = View(ConflictPolicy.FENCE, pinned=False)
    head = await source.read(onlooker)
    if head is None:
        return
    runs = {record.run for record in head.checkpoints.values() if record.run}
    begun = await _begun(target, onlooker)

    async def copy(key: str) -> None:
        name = key.removeprefix(source.names.objects)
        stored = await archive.shared.store.get(key)
        if stored is None:
            raise CorruptCheckpoint(f"{key} vanished while it was copied")
        await archive.shared.store.put(target.names.objects + name, stored.data)
        if name.startswith("s/"):
            segment = await source.objects.segment(name)
            runs.update(record.run for record in segment.checkpoints.values() if record.run)

    keys = [key for key in await _keys(archive, source.names.objects) if _is_log_object(source, key)]
    await in_parallel(keys, copy)
    for run in sorted(runs):
        await archive.mark_run(target, run)

    async def as_target(found: Head) -> Segment | None:
        if begun not in found.segment.commits[-1:]:
            _assert_unborn(target, found)
            raise ConcurrentWriterError(
                f"thread {target.names.thread!r} was touched while it was copied to: copy again"
            )
        segment = Segment.begin("", replace(head.base, id=secrets.token_bytes(8), thread=target.names.thread))
        for record in head.records:
            segment.add(record)
        return segment

    await target.rewrite(as_target, onlooker)


async def _begun(target: Log, view: View) -> bytes:
    """A head without checkpoints, whether or not a broken copy left one; the result is its commit."""
    made: list[Segment] = []

    async def unborn(found: Head) -> Segment | None:
        _assert_unborn(target, found)
        made[:] = [Segment.begin("", replace(found.segment.base, id=secrets.token_bytes(8)))]
        return made[0]

    await target.rewrite(unborn, view)
    return made[0].commits[-1]


def _assert_unborn(target: Log, found: Head) -> None:
    segment = found.segment
    if found.etag is not None and (segment.checkpoints or segment.writes or segment.base.index):
        raise Conflict(
            f"thread {target.names.thread!r} has checkpoints already: delete it first, or copy to another id",
            code="thread_exists",
        )


async def _keys(archive: Archive, prefix: str) -> list[str]:
    return [entry.key async for entry in archive.shared.store.list(prefix)]
