"""Values and notes into envelopes and back."""

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from durablegraph.errors import InvariantBroken, TooLarge
from durablegraph.storage.encryption import envelope
from durablegraph.storage.encryption.aes import Altered
from durablegraph.storage.encryption.data_keys import DataKeys
from durablegraph.storage.encryption.envelope import Content, Envelope
from durablegraph.storage.encryption.errors import CorruptObject, NotEncryptedError
from durablegraph.storage.encryption.packing import pack, unpack
from durablegraph.storage.objects import MAX_NOTE_BYTES

P = ParamSpec("P")
T = TypeVar("T")

_OFF_THE_LOOP: Final = 256 * 1024  # bytes from which the work would hold up the event loop
_LARGEST: Final = 2**31 - 1024  # what the library encrypts in one call


class Sealer:
    """Seals what goes to a store and opens what comes from it; `key` is always the object's."""

    def __init__(self, keys: DataKeys, *, reads_plaintext: bool = False) -> None:
        """`reads_plaintext` hands out what is not encrypted as it is: for the time of a migration."""
        self._keys = keys
        self._reads_plaintext = reads_plaintext

    async def seal(self, key: str, value: bytes) -> bytes:
        """The envelope of a value; raises TooLarge for 2 GiB and more."""
        return await self._sealed(key, value, Content.VALUE)

    async def open(self, key: str, data: bytes) -> bytes:
        """The value. Raises CorruptObject, EncryptionKeyMissingError, or NotEncryptedError."""
        if not envelope.is_envelope(data):
            self._check_plaintext(key)
            return data
        return await self._opened(key, data, Content.VALUE)

    async def seal_note(self, key: str, note: str | None) -> str | None:
        """A note as it is stored. Raises InvariantBroken for one that would be too long, which half a note is not."""
        if note is None:
            return None
        sealed = envelope.to_note(await self._sealed(key, note.encode(), Content.NOTE))
        if len(sealed) > MAX_NOTE_BYTES:
            raise InvariantBroken(
                f"a note of {len(note.encode())} bytes takes {len(sealed)} encrypted: expected at most "
                f"{MAX_NOTE_BYTES}; keep notes to half of that"
            )
        return sealed

    async def open_note(self, key: str, note: str) -> str:
        """The note. Raises as `open` does."""
        if not envelope.is_sealed_note(note):
            self._check_plaintext(key)
            return note
        return (await self._opened(key, envelope.from_note(key, note), Content.NOTE)).decode()

    async def reseal(self, key: str, data: bytes) -> bytes:
        """A value under the active key: authenticated, encrypted anew, but not compressed anew."""
        if not envelope.is_envelope(data):
            return await self.seal(key, await self.open(key, data))
        content, packed = await self._decrypted(key, data)
        return await self._encrypted(key, content, packed)

    def _check_plaintext(self, key: str) -> None:
        if not self._reads_plaintext:
            raise NotEncryptedError(
                f"{key} is not encrypted, and encryption is on: nothing vouches for it, so it is refused; if it is "
                "from before encryption, set DURABLEGRAPH_ENCRYPTION_READ_PLAINTEXT=true until `durablegraph "
                "rotate-keys` has encrypted it"
            )

    async def _sealed(self, key: str, data: bytes, kind: Content) -> bytes:
        compressed, packed = await _worked(len(data), pack, data)
        return await self._encrypted(key, kind | Content.COMPRESSED if compressed else kind, packed)

    async def _opened(self, key: str, data: bytes, kind: Content) -> bytes:
        content, packed = await self._decrypted(key, data)
        if content & Content.NOTE != kind:
            raise CorruptObject(f"{key}: a note lies where a value belongs, or the reverse; restore it from a backup")
        return await _worked(len(packed), unpack, packed) if content & Content.COMPRESSED else packed

    async def _encrypted(self, key: str, content: Content, packed: bytes) -> bytes:
        if len(packed) > _LARGEST:
            raise TooLarge(
                f"{key}: {len(packed)} bytes cannot be encrypted at once, at most {_LARGEST}; split the value"
            )
        data_key = await self._keys.for_writing(len(packed))
        text = await _worked(len(packed), data_key.aead.encrypt, packed, envelope.bound(content, key))
        return Envelope(content, data_key.key_id, data_key.wrapped, text).to_bytes()

    async def _decrypted(self, key: str, data: bytes) -> tuple[Content, bytes]:
        found = envelope.parse(key, data)
        data_key = await self._keys.for_reading(key, found.key_id, found.wrapped)
        try:
            bound = envelope.bound(found.content, key)
            return found.content, await _worked(len(data), data_key.aead.decrypt, found.text, bound)
        except Altered as error:
            raise CorruptObject(
                f"{key} does not authenticate: it was altered, damaged or moved from another name; restore it from a "
                "backup"
            ) from error


async def _worked(size: int, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """The result of work on so many bytes, done in a thread when it is much."""
    return work(*given, **named) if size < _OFF_THE_LOOP else await asyncio.to_thread(work, *given, **named)
