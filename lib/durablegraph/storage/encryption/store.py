"""An object store whose values and notes are encrypted, and one without keys that says so when it meets such."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Protocol

from durablegraph.storage.encryption import envelope
from durablegraph.storage.encryption.data_keys import Bounds, DataKeys
from durablegraph.storage.encryption.errors import EncryptionKeyMissingError
from durablegraph.storage.encryption.ring import KeyRing
from durablegraph.storage.encryption.sealing import Sealer
from durablegraph.storage.objects import (
    ObjectEntry,
    ObjectStore,
    StoredObject,
    check_conditions,
    check_key,
    check_note,
)


class _Seals(Protocol):
    """What is done to values and notes on their way; see Sealer."""

    async def seal(self, key: str, value: bytes) -> bytes: ...

    async def open(self, key: str, data: bytes) -> bytes: ...

    async def seal_note(self, key: str, note: str | None) -> str | None: ...

    async def open_note(self, key: str, note: str) -> str: ...


class _SealedStore:
    """An ObjectStore in front of another one, with which it is closed."""

    def __init__(self, store: ObjectStore, seals: _Seals) -> None:
        self._store = store
        self._seals = seals

    async def get(self, key: str) -> StoredObject | None:
        """See ObjectStore."""
        found = await self._store.get(key)
        if found is None:
            return None
        opened = await self._seals.open(key, found.data)
        return found if opened is found.data else replace(found, data=opened)

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False, note: str | None = None
    ) -> str:
        """See ObjectStore."""
        check_conditions(if_match, if_absent=if_absent)
        sealed_note = await self._seals.seal_note(check_key(key), check_note(note))
        sealed = await self._seals.seal(key, data)
        return await self._store.put(key, sealed, if_match=if_match, if_absent=if_absent, note=sealed_note)

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """See ObjectStore."""
        return await self._store.delete(key, if_match=if_match)

    async def delete_many(self, keys: Sequence[str]) -> None:
        """See ObjectStore."""
        await self._store.delete_many(keys)

    async def list(
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None, notes: bool = False
    ) -> AsyncIterator[ObjectEntry]:
        """See ObjectStore."""
        async for entry in self._store.list(prefix, start_after=start_after, limit=limit, notes=notes):
            if entry.note is None:
                yield entry
            else:
                yield replace(entry, note=await self._seals.open_note(entry.key, entry.note))

    async def aclose(self) -> None:
        """See ObjectStore."""
        await self._store.aclose()


class EncryptedStore(_SealedStore):
    """An ObjectStore that keeps its values and notes encrypted in another one.

    Keys of objects, times and etags pass as they are, and so do sizes: `ObjectEntry.size` is the stored size, a value's
    after compression and encryption. Whatever does not authenticate raises CorruptObject; what is not encrypted raises
    NotEncryptedError, unless `reads_plaintext`. A value may have up to 2 GiB, a note half the length of the port's.
    """

    def __init__(
        self, store: ObjectStore, ring: KeyRing, *, reads_plaintext: bool = False, bounds: Bounds | None = None
    ) -> None:
        """`store` is closed with this one; nothing is asked of `ring` before the first read or write."""
        super().__init__(store, Sealer(DataKeys(ring, bounds), reads_plaintext=reads_plaintext))


class KeylessStore(_SealedStore):
    """An ObjectStore that passes everything on as it is, but for encrypted objects: EncryptionKeyMissingError."""

    def __init__(self, store: ObjectStore) -> None:
        """`store` is closed with this one."""
        super().__init__(store, _NoKeys())


class _NoKeys:
    """Encrypts nothing and opens nothing."""

    async def seal(self, key: str, value: bytes) -> bytes:
        """The value."""
        del key
        return value

    async def open(self, key: str, data: bytes) -> bytes:
        """The value; raises EncryptionKeyMissingError."""
        if (key_id := envelope.key_id_of(key, data)) is not None:
            raise EncryptionKeyMissingError(
                f"{key} is encrypted under the key {key_id!r}, and this app has no keys: give it that key in "
                "DURABLEGRAPH_ENCRYPTION_KEYS, or to a saver as encryption=…"
            )
        return data

    async def seal_note(self, key: str, note: str | None) -> str | None:
        """The note."""
        del key
        return note

    async def open_note(self, key: str, note: str) -> str:
        """The note; raises EncryptionKeyMissingError."""
        if envelope.is_sealed_note(note):
            raise EncryptionKeyMissingError(
                f"the note of {key} is encrypted, and this app has no keys: give it those it was written with in "
                "DURABLEGRAPH_ENCRYPTION_KEYS"
            )
        return note
