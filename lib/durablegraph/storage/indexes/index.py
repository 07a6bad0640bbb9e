"""The entries of one kind of record: their keys and notes, and how they are written and removed."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from durablegraph.model.records import Listed
from durablegraph.storage.indexes.filters import ALL, graph_facet, metadata_facets, status_facet, thread_facet
from durablegraph.storage.indexes.positions import position
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.parallel import in_parallel

_LONGEST_NOTE: Final = 2048
"""Half of what a store takes: an encrypting store makes notes longer."""
_CUT: Final = "~"
"""Before a note that lacks what would make it too long; others begin with ``{``."""
_UNSURE: Final = "?"
"""Before the note of a mark that somebody wrote who had more to write."""

Record = TypeVar("Record", bound=Listed)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Record]):
    """What distinguishes runs from threads and from whatever else is listed.

    Entries of the `live` statuses stand under ``live/``, where the supervisor looks. Who has one of the statuses
    `at_work` soon has another one: it has a single entry, in one list of all that are at work, named after the last of
    them. Who has the status that is `usual` has none in the list of all, which is read together with its own. A status
    among `ends` is never left. `brief` makes of a record what lists show, `shorter` what is left of that when it is too
    long for a note: all but what filters compare. `former` are lists that an earlier version kept besides.
    """

    name: str
    model: type[Record]
    statuses: tuple[str, ...]
    live: frozenset[str]
    brief: Callable[[Record], Record]
    shorter: Callable[[Record], Record]
    at_work: tuple[str, ...] = ()
    usual: str | None = None
    ends: frozenset[str] = frozenset()
    former: tuple[str, ...] = ()
    by_thread: bool = False


@dataclass(frozen=True, slots=True)
class Told(Generic[Record]):
    """What an entry tells of a record; a `cut` one tells only the beginning."""

    position: str
    record: Record
    cut: bool


class Index(Generic[Record]):
    """Entries of one kind of record in a store. Every method may be repeated; none reads a record."""

    def __init__(self, store: ObjectStore, kind: Kind[Record]) -> None:
        self._store = store
        self.kind = kind

    def prefix(self, facet: str) -> str:
        """What the keys of a facet's entries begin with."""
        name, _, status = facet.partition("/")
        if facet in self.kind.former:
            return facet
        if name == "status" and status in self.kind.at_work:
            facet = status_facet(status := self.kind.at_work[-1])
        if name == "status" and status in self.kind.live:
            return f"live/{self.kind.name}/{status}/"
        return f"index/{self.kind.name}/{facet}/"

    def keys(self, record: Record) -> list[str]:
        """The keys of a record's entries but that of its status."""
        if record.status in self.kind.at_work:
            return []
        everywhere = self.everywhere(record)
        return everywhere[1:] if record.status == self.kind.usual else everywhere

    def everywhere(self, record: Record) -> list[str]:
        """The keys that `keys` gives for any of the record's statuses; that of the list of all is the first."""
        facets = [ALL] if record.graph is None else [ALL, graph_facet(record.graph)]
        thread_id = getattr(record, "thread_id", None) if self.kind.by_thread else None
        if thread_id is not None:
            facets.append(thread_facet(thread_id))
        at = position(record.created_at, record.identity)
        return [f"{self.prefix(facet)}{at}" for facet in (*facets, *dict.fromkeys(metadata_facets(record.metadata)))]

    def status_key(self, record: Record, status: str | None = None) -> str:
        """The key of a record's entry under its status, or under another one."""
        at = position(record.created_at, record.identity)
        return f"{self.prefix(status_facet(status or record.status))}{at}"

    def status_keys(self, record: Record, statuses: Iterable[str]) -> list[str]:
        """The keys of the entries that a record would have under these statuses."""
        return [self.status_key(record, status) for status in statuses]

    def own(self, record: Record) -> list[str]:
        """The keys of the entries that a record wants."""
        return [*self.keys(record), self.status_key(record)]

    def others(self, record: Record) -> set[str]:
        """The keys of the entries that it may have left behind, and of those an earlier version gave it."""
        at = position(record.created_at, record.identity)
        every = {*self.everywhere(record), *self.status_keys(record, self.kind.statuses)}
        return (every | {f"{prefix}{at}" for prefix in self.kind.former}) - set(self.own(record))

    def note(self, record: Record) -> str:
        """What a record's entries tell of it, at most 2,048 bytes."""
        brief = self.kind.brief(record)
        note = brief.model_dump_json(exclude_defaults=True)
        if len(note.encode()) <= _LONGEST_NOTE:
            return note
        return _CUT + self.kind.shorter(brief).model_dump_json(exclude_defaults=True)

    def told(self, key: str, note: str) -> Told[Record]:
        """What an entry tells."""
        plain = note.removeprefix(_UNSURE)
        record = self.kind.model.model_validate_json(plain.removeprefix(_CUT))
        return Told(key.rpartition("/")[2], record, cut=plain.startswith(_CUT))

    async def put(self, record: Record, keys: Iterable[str], *, unsure: bool = False) -> None:
        """Write entries, all at once; the first error is raised when all have ended.

        `unsure` is for a mark, and its note says so: it never is the one that the record wants.
        """
        note = _UNSURE + self.note(record) if unsure else self.note(record)
        await in_parallel(keys, lambda key: self._store.put(key, b"", note=note))

    async def remove(self, keys: Iterable[str]) -> None:
        """Remove entries: one request."""
        if gone := list(keys):
            await self._store.delete_many(gone)

    async def entries(self, facet: str, after: str | None, limit: int | None) -> AsyncIterator[tuple[str, str | None]]:
        """(position, note) of a facet's entries after a position, newest first: one request up to 5,000."""
        prefix = self.prefix(facet)
        start = None if after is None else prefix + after
        async for entry in self._store.list(prefix, start_after=start, limit=limit, notes=True):
            yield entry.key[len(prefix) :], entry.note
