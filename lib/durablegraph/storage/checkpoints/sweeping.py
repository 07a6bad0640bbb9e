"""Which objects of a log nothing refers to, and how that is made to last: see `storage.retention.orphans`."""

from collections.abc import Collection
from dataclasses import replace
from secrets import token_bytes

from durablegraph.storage.checkpoints import names
from durablegraph.storage.checkpoints.archive import Archive
from durablegraph.storage.checkpoints.errors import ObjectMissing
from durablegraph.storage.checkpoints.fencing import ConflictPolicy, View
from durablegraph.storage.checkpoints.head import Head
from durablegraph.storage.checkpoints.log import Log
from durablegraph.storage.checkpoints.reach import reachable
from durablegraph.storage.checkpoints.segment import Segment


async def unreferenced(archive: Archive, path: str, listed: Collection[str], *, move: bool) -> set[str] | None:
    """The objects of `listed` that the log's head does not lead to; None when the log has no head.

    `move` gives the log another head with the same content first. Then nobody will ever refer to what is returned, if
    it was listed before the call. A log of which an object is missing is left alone: nothing of it is unreferenced.
    """
    log = await _log(archive, path)
    if log is None:
        return None
    view = View(ConflictPolicy.FENCE, pinned=False)
    head = await _moved(log, view) if move else await log.read(view)
    if head is None:
        return None
    try:
        return set(listed) - await reachable(log.objects, head)
    except ObjectMissing:
        return set()


async def _log(archive: Archive, path: str) -> Log | None:
    thread, namespace = (names.from_part(part) for part in path.split("/")[1:])
    if thread is not None and namespace is not None:
        return archive.log(thread, namespace)
    base = await archive.base_of(f"{archive.shared.prefix}h/{path}")
    return None if base is None else archive.log(*base)


async def _moved(log: Log, view: View) -> Segment | None:
    made: list[Segment] = []

    async def anew(head: Head) -> Segment | None:
        made.clear()
        if head.etag is None:
            return None
        segment = Segment.begin("", replace(head.segment.base, id=token_bytes(8)))
        for record in head.segment.records:
            segment.add(record)
        made.append(segment)
        return segment

    return made[0] if await log.rewrite(anew, view) else None
