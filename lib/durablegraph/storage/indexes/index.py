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

    Entries of the `live` statuses stand under ``live/``, where the supervisor looks. `brief` makes of a record what
    lists show, `shorter` what is left of that when it is too long for a note: all but what filters compare.
    """

    name: str
    model: type[Record]
    statuses: tuple[str, ...]
    live: frozenset[str]
    brief: Callable[[Record], Record]
    shorter: Callable[[Record], Record]
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
        if name == "status" and status in self.kind.live:
            return f"live/{self.kind.name}/{status}/"
        return f"index/{self.kind.name}/{facet}/"

    def facets(self, record: Record) -> list[str]:
        """The facets of a record but its status, which it leaves again and again."""
        found = [ALL] if record.graph is None else [ALL, graph_facet(record.graph)]
        thread_id = getattr(record, "thread_id", None) if self.kind.by_thread else None
        if thread_id is not None:
            found.append(thread_facet(thread_id))
        return [*found, *dict.fromkeys(metadata_facets(record.metadata))]

    def keys(self, record: Record) -> list[str]:
        """The keys of a record's entries but that of its status."""
        at = position(record.created_at, record.identity)
        return [f"{self.prefix(facet)}{at}" for facet in self.facets(record)]

    def status_key(self, record: Record, status: str | None = None) -> str:
        """The key of a record's entry under its status, or under another one."""
        at = position(record.created_at, record.identity)
        return f"{self.prefix(status_facet(status or record.status))}{at}"

    def status_keys(self, record: Record, statuses: Iterable[str]) -> list[str]:
        """The keys of the entries that a record would have under these statuses."""
        return [self.status_key(record, status) for status in statuses]

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

        `unsure` is for a mark: its note says so, and its value is the whole record, so that who finds it can undo.
        """
        note = _UNSURE + self.note(record) if unsure else self.note(record)
        value = record.model_dump_json(exclude_defaults=True).encode() if unsure else b""
        await in_parallel(keys, lambda key: self._store.put(key, value, note=note))

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
