"""Bring every object under the active key: one conditional write each, so that whoever writes meanwhile wins.

Objects are encrypted anew, not only their data keys wrapped anew: each is read and written in either case, what is read
is authenticated on the way, one data key serves a million of them where rewrapping asks the key ring for each, and no
data key outlives its wrapping.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from durablegraph.errors import TransientError
from durablegraph.storage.encryption import envelope
from durablegraph.storage.encryption.data_keys import DataKeys
from durablegraph.storage.encryption.errors import CorruptObject, EncryptionKeyMissingError, NotEncryptedError
from durablegraph.storage.encryption.ring import KeyRing
from durablegraph.storage.encryption.sealing import Sealer
from durablegraph.storage.objects import ObjectEntry, ObjectStore, PreconditionFailed, StoredObject
from durablegraph.storage.parallel import in_parallel
from durablegraph.storage.prefixed import ROOTS
from durablegraph.storage.written import rotated_note

_PAGE: Final = 500
_TRIES: Final = 10
_TOLD: Final = 20

PLAINTEXT: Final = "(not encrypted)"
"""What stands for a key's id in the counts of what is not encrypted."""


@dataclass(slots=True)
class Rotation:
    """What was found and done. `found` counts objects by the key they were under at first sight."""

    active: str
    found: Counter[str] = field(default_factory=Counter)
    rewritten: int = 0
    overtaken: int = 0
    """Objects that others deleted, or wrote under the active key, while this was about to."""
    left: int = 0
    """Objects that are not under the active key now."""
    problems: list[str] = field(default_factory=list)
    """Why objects are left, of the first twenty; none in a dry run."""

    def missed(self, problem: str) -> None:
        """Count an object that stays as it is."""
        self.left += 1
        if len(self.problems) < _TOLD:
            self.problems.append(problem)


async def rotate(
    store: ObjectStore, ring: KeyRing, *, reads_plaintext: bool = False, dry_run: bool = False
) -> Rotation:
    """Encrypt each object that is not under the active key anew; `store` is the one below the encryption.

    Only what an app stores by itself is looked at: other objects of the container are somebody else's. May be
    interrupted and called again, also while the app runs: it looks at every object, and writes those that need it.
    What is not encrypted is encrypted only with `reads_plaintext`. With `dry_run` nothing is written, and `left` counts
    what would be.
    """
    run = _Run(store, ring.active, Sealer(DataKeys(ring), reads_plaintext=reads_plaintext), dry_run=dry_run)
    async for page in _pages(store):
        await in_parallel(page, run.visit)
    return run.told


class _Run:
    """One pass over the store."""

    def __init__(self, store: ObjectStore, active: str, sealer: Sealer, *, dry_run: bool) -> None:
        self.told = Rotation(active)
        self._store = store
        self._sealer = sealer
        self._dry_run = dry_run

    async def visit(self, entry: ObjectEntry) -> None:
        """Bring one object under the active key, and count it."""
        try:
            await self._visit(entry)
        except (CorruptObject, EncryptionKeyMissingError, NotEncryptedError, TransientError) as error:
            self.told.missed(str(error))

    async def _visit(self, entry: ObjectEntry) -> None:
        at_first = True
        for _ in range(_TRIES):
            stored, note = await self._read(entry)
            if at_first and stored is not None:
                self.told.found[envelope.key_id_of(entry.key, stored.data) or PLAINTEXT] += 1
            if stored is None or self._is_current(stored, note):
                self.told.overtaken += not (at_first and stored)
                return
            at_first = False
            if self._dry_run:
                self.told.left += 1
                return
            if await self._rewritten(stored, note):
                self.told.rewritten += 1
                return
        self.told.missed(f"{entry.key}: others changed it {_TRIES} times meanwhile; rotate again")

    async def _read(self, entry: ObjectEntry) -> tuple[StoredObject | None, str | None]:
        """An object and the note of the same version, which only a listing tells."""
        stored = await self._store.get(entry.key)
        for _ in range(_TRIES):
            if stored is None or entry.etag == stored.etag:
                return stored, entry.note
            found = [one async for one in self._store.list(entry.key, limit=1, notes=True) if one.key == entry.key]
            entry = found[0] if found else entry
            stored = await self._store.get(entry.key)
        raise TransientError(f"{entry.key}: others changed it {_TRIES} times meanwhile; rotate again")

    def _is_current(self, stored: StoredObject, note: str | None) -> bool:
        value_key = envelope.key_id_of(stored.key, stored.data)
        note_key = self.told.active if note is None else envelope.key_id_of_note(stored.key, note)
        return value_key == note_key == self.told.active

    async def _rewritten(self, stored: StoredObject, note: str | None) -> bool:
        """Replace exactly what was read, and keep its age; False when it has been replaced meanwhile."""
        key = stored.key
        told = None if note is None else await self._sealer.open_note(key, note)
        sealed_note = await self._sealer.seal_note(key, rotated_note(key, told, stored.modified))
        sealed = await self._sealer.reseal(key, stored.data)
        try:
            await self._store.put(key, sealed, if_match=stored.etag, note=sealed_note)
        except PreconditionFailed:
            return False
        return True


async def _pages(store: ObjectStore) -> AsyncIterator[Sequence[ObjectEntry]]:
    """All entries of this app; each page is a listing of its own, so that a slow rotation holds none open."""
    for root in sorted(ROOTS):
        after: str | None = None
        while True:
            page = [entry async for entry in store.list(f"{root}/", start_after=after, limit=_PAGE, notes=True)]
            if page:
                yield page
            if len(page) < _PAGE:
                break
            after = page[-1].key
