"""A page of a list: up to three lists are read side by side, in one round of requests.

Every match stands in every facet asked for. So the next entries of several facets are read at once, and the facet that
gets furthest counts: what it holds up to there is complete, and an entry's note tells whether the rest holds too. A
rare facet gets to its end at once, however long the others are. Two that are long and seldom meet give short pages: a
page is one round of requests, never more, and the next page goes on where the round came to.

What is at work stands in a list of its own and in no facet, or with an older note. So that list is read besides, unless
what is asked for has ended for good, and what it tells counts. The list of all lacks those that have the usual status:
their own list is read with it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic

from durablegraph.storage.indexes.filters import ALL, Filter, status_facet
from durablegraph.storage.indexes.index import Index, Kind, Record, Told
from durablegraph.storage.indexes.positions import end_after, start_before
from durablegraph.storage.parallel import in_parallel

_LISTS: Final = 3
"""As many are read; whether an entry stands in more, its note tells."""
_STRETCH: Final = 500
"""Entries that are read of each of several facets."""
_AT_WORK: Final = 5000
"""Entries that are read of what is at work, as many as Azure lists in one request: with fewer no page is short."""
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
    """Entries (position: note) of a list, complete up to and including the position `reached`."""

    entries: dict[str, str]
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
    gone. Requests to the store: at most three listings, and a read for each cut note.
    """
    low = max(after or "", start_before(wanted.created_before) if wanted.created_before else "")
    end = end_after(wanted.created_after) if wanted.created_after else _END
    groups = _lists(index.kind, wanted)
    read = await in_parallel(
        [(facet, _enough(groups, facet, wanted, limit)) for group in groups for facet in group],
        lambda one: _stretch(index, *one, low),
    )
    taken = iter(read)
    *facets, working = [_together([next(taken) for _ in group]) for group in groups]
    lead = max(facets, key=lambda one: one.reached, default=_Stretch({}, _END))
    found = _together([lead, working])
    entries = [entry for entry in sorted(found.entries.items()) if entry[0] < end]
    matches = await _matches(index, wanted, load, entries, limit + 1)
    records = [item.record for item in matches[:limit]]
    if len(matches) > limit:
        return Page(records, matches[limit - 1].position)
    return Page(records, None if found.reached >= end else found.reached)


def _lists(kind: Kind[Record], wanted: Filter) -> list[list[str]]:
    """What to read: for each facet asked for the lists that it consists of; the last are those of what is at work."""
    if wanted.status in kind.at_work:
        return [[*kind.former, status_facet(wanted.status)]]
    working = [] if wanted.status in kind.ends else [status_facet(status) for status in kind.at_work[-1:]]
    facets = [[facet] for facet in wanted.facets()[: _LISTS - len(working)]]
    if facets == [[ALL]] and kind.usual is not None:
        facets = [[ALL, status_facet(kind.usual)]]
    return [*facets, working]


def _enough(groups: Sequence[Sequence[str]], facet: str, wanted: Filter, limit: int) -> int:
    """How many entries of a list to read for a page."""
    if wanted.facets() == [ALL]:
        return limit + 1
    if facet in groups[-1]:
        return max(_AT_WORK, limit + 1)
    return limit + 1 if len(wanted.facets()) == 1 else max(_STRETCH, limit + 1)


async def _stretch(index: Index[Record], facet: str, chunk: int, low: str) -> _Stretch:
    read = [entry async for entry in index.entries(facet, low, chunk)]
    reached = read[-1][0] if len(read) == chunk else _END
    return _Stretch({at: note for at, note in read if note is not None}, reached)


def _together(lists: Sequence[_Stretch]) -> _Stretch:
    """Lists as one; of what stands in several the last one tells."""
    reached = min((one.reached for one in lists), default=_END)
    return _Stretch({at: note for one in lists for at, note in one.entries.items() if at <= reached}, reached)


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
