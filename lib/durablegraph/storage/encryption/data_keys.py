"""Data keys: one for the writes of this process, renewed in time, and those of others, unwrapped once.

A data key encrypts at most 2**20 texts and 2**36 bytes (64 GiB). With random 96-bit nonces the probability that any
two of n texts share one is below n**2 / 2**97, here 2**-57 a data key; NIST SP 800-38D allows 2**32 texts and 2**-32.
2**36 bytes are 2**32 blocks, which tell the ciphertext from random bits with an advantage below 2**64 / 2**128.
"""

import asyncio
import secrets
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from durablegraph.errors import ConfigurationError
from durablegraph.storage.encryption.aes import KEY_BYTES, Aead
from durablegraph.storage.encryption.envelope import LONGEST_ID, LONGEST_WRAPPED
from durablegraph.storage.encryption.errors import CorruptObject, EncryptionKeyMissingError
from durablegraph.storage.encryption.ring import KeyRing, Refused

_STRIPES: Final = 16  # unwrapping of as many data keys at a time, and each of them once


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a data key is renewed, and how many unwrapped ones are kept."""

    texts: int = 2**20
    text_bytes: int = 2**36
    kept: int = 1024


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key for values, open and as it is stored."""

    key_id: str
    wrapped: bytes
    aead: Aead


@dataclass(slots=True)
class _Current:
    """The data key of new writes, and what it was used for."""

    key: DataKey
    texts: int = 0
    text_bytes: int = field(default=0)


class DataKeys:
    """See the module. Usable from any thread and any event loop."""

    def __init__(self, ring: KeyRing, bounds: Bounds | None = None) -> None:
        self._ring = ring
        self._bounds = bounds or Bounds()
        self._guard = threading.Lock()
        self._current: _Current | None = None
        self._opened: OrderedDict[tuple[str, bytes], DataKey] = OrderedDict()
        self._locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[asyncio.Lock, ...]]
        self._locks = weakref.WeakKeyDictionary()

    async def for_writing(self, size: int) -> DataKey:
        """The data key for one text of `size` bytes, wrapped by the key that is active now."""
        active = self._ring.active
        if (key := self._taken(active, size)) is not None:
            return key
        async with self._lock(0):
            if (key := self._taken(active, size)) is not None:
                return key
            made = await self._make(active)
            with self._guard:
                self._current = _Current(made, texts=1, text_bytes=size)
                self._keep(made)
            return made

    async def for_reading(self, object_key: str, key_id: str, wrapped: bytes) -> DataKey:
        """The data key of an object. Raises EncryptionKeyMissingError, or CorruptObject when it cannot be unwrapped."""
        name = (key_id, wrapped)
        if (key := self._known(name)) is not None:
            return key
        async with self._lock(hash(name)):
            if (key := self._known(name)) is not None:
                return key
            opened = DataKey(key_id, wrapped, Aead(await self._unwrapped(object_key, key_id, wrapped)))
            with self._guard:
                self._keep(opened)
            return opened

    def _taken(self, active: str, size: int) -> DataKey | None:
        """The current key, counted as used once more, if it may be."""
        with self._guard:
            current, bounds = self._current, self._bounds
            if current is None or current.key.key_id != active or current.texts >= bounds.texts:
                return None
            if current.text_bytes + size > bounds.text_bytes:
                return None
            current.texts += 1
            current.text_bytes += size
            return current.key

    async def _make(self, key_id: str) -> DataKey:
        if not 1 <= len(key_id) <= LONGEST_ID or not key_id.isascii() or not key_id.isprintable():
            raise ConfigurationError(
                f"the key ring's active key has the id {key_id[:LONGEST_ID]!r}: expected 1-{LONGEST_ID} printable "
                "ASCII characters; give it a shorter name"
            )
        secret = secrets.token_bytes(KEY_BYTES)
        wrapped = await self._ring.wrap(key_id, secret)
        if not 1 <= len(wrapped) <= LONGEST_WRAPPED:
            raise ConfigurationError(
                f"the key ring wrapped a data key as {len(wrapped)} bytes: expected 1-{LONGEST_WRAPPED}; "
                "correct its wrap()"
            )
        return DataKey(key_id, wrapped, Aead(secret))

    async def _unwrapped(self, object_key: str, key_id: str, wrapped: bytes) -> bytes:
        try:
            secret = await self._ring.unwrap(key_id, wrapped)
        except LookupError as error:
            raise EncryptionKeyMissingError(
                f"{object_key} is encrypted under the key {key_id!r}, which this app does not have (its active one is "
                f"{self._ring.active!r}): add it behind the active one to DURABLEGRAPH_ENCRYPTION_KEYS, or to your "
                "key ring"
            ) from error
        except Refused as error:
            raise CorruptObject(
                f"{object_key}: its data key cannot be unwrapped with the key {key_id!r}: the object was altered, or "
                "another key had this id when it was written; restore the object or the key"
            ) from error
        if len(secret) != KEY_BYTES:
            raise CorruptObject(f"{object_key}: the key ring unwrapped {len(secret)} bytes, expected {KEY_BYTES}")
        return secret

    def _known(self, name: tuple[str, bytes]) -> DataKey | None:
        with self._guard:
            key = self._opened.get(name)
            if key is not None:
                self._opened.move_to_end(name)
            return key

    def _keep(self, key: DataKey) -> None:
        self._opened[key.key_id, key.wrapped] = key
        while len(self._opened) > self._bounds.kept:
            self._opened.popitem(last=False)

    def _lock(self, choice: int) -> asyncio.Lock:
        """One of this loop's locks: concurrent calls ask the key ring once."""
        loop = asyncio.get_running_loop()
        with self._guard:
            locks = self._locks.get(loop)
            if locks is None:
                locks = self._locks[loop] = tuple(asyncio.Lock() for _ in range(_STRIPES))
        return locks[choice % _STRIPES]
