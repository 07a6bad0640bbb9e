"""A page of a list: one facet is read when one thing is asked for, up to three are read side by side otherwise.

Every match stands in every facet asked for. So the next entries of several facets are read at once, and the facet that
gets furthest counts: what it holds up to there is complete, and an entry's note tells whether the rest holds too. A
rare facet gets to its end at once, however long the others are. Two that are long and seldom meet give short pages: a
page is one round of requests, never more, and the next page goes on where the round came to.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic

from durablegraph.storage.indexes.filters import Filter
from durablegraph.storage.indexes.index import Index, Record, Told
from durablegraph.storage.indexes.positions import end_after, start_before
from durablegraph.storage.parallel import in_parallel

_FACETS: Final = 3
"""As many are read; whether an entry stands in more, its note tells."""
_STRETCH: Final = 500
"""Entries that are read of each of several facets."""
_END: Final = "~"
"""After every position."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """A page of a list; `next` is the position after which the next one begins, None when there is none.

    A page may hold less than was asked for, even nothing, and yet have a next one: things that are frequent each but
    rare together are looked for in stretches.
    """

    records: list[Record]
    next: str | None


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Entries (position, note) of one facet, complete up to and including the position `reached`."""

    entries: list[tuple[str, str]]
    reached: str


async def search(
    index: Index[Record],
    wanted: Filter,
    load: Callable[[str], Awaitable[Record | None]],
    *,
    after: str | None,
    limit: int,
) -> Page[Record]:
    """At most `limit` (1 or more) records after the position `after`, newest first.

    The records are as brief as notes are. `load` reads one whose note was cut; such a record is left out when it is
    gone. Requests to the store: a listing for each thing asked for, at most three, and a read for each cut note.
    """
    low = max(after or "", start_before(wanted.created_before) if wanted.created_before else "")
    end = end_after(wanted.created_after) if wanted.created_after else _END
    facets = wanted.facets()[:_FACETS]
    lead = await _lead(index, facets, low, limit + 1 if len(facets) == 1 else max(_STRETCH, limit + 1))
    entries = [entry for entry in lead.entries if entry[0] < end]
    found = await _matches(index, wanted, load, entries, limit + 1)
    records = [item.record for item in found[:limit]]
    if len(found) > limit:
        return Page(records, found[limit - 1].position)
    return Page(records, None if lead.reached >= end else lead.reached)


async def _lead(index: Index[Record], facets: Sequence[str], low: str, chunk: int) -> _Stretch:
    """What comes next in the facet that gets furthest."""

    async def stretch(facet: str) -> _Stretch:
        read = [entry async for entry in index.entries(facet, low, chunk)]
        reached = read[-1][0] if len(read) == chunk else _END
        return _Stretch([(at, note) for at, note in read if note is not None], reached)

    return max(await in_parallel(facets, stretch), key=lambda one: one.reached)


async def _matches(
    index: Index[Record],
    wanted: Filter,
    load: Callable[[str], Awaitable[Record | None]],
    entries: Sequence[tuple[str, str]],
    limit: int,
) -> list[Told[Record]]:
    """The first `limit` entries that hold all that is wanted, with what was cut filled in."""

    async def whole(told: Told[Record]) -> Told[Record] | None:
        if not told.cut:
            return told if wanted.holds(told.record) else None
        if not wanted.holds_outside_metadata(told.record):
            return None
        record = await load(told.record.identity)
        return Told(told.position, record, cut=False) if record and wanted.holds(record) else None

    found: list[Told[Record]] = []
    for start in range(0, len(entries), limit):
        told = [index.told(*entry) for entry in entries[start : start + limit]]
        found += [item for item in await in_parallel(told, whole) if item is not None]
        if len(found) >= limit:
            break
    return found[:limit]
