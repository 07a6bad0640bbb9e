"""Keys that the app is given as text, in a setting. Nothing here shows a key, not even a wrong one."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final, Self

from durablegraph.errors import ConfigurationError
from durablegraph.storage.encryption import aes
from durablegraph.storage.encryption.ring import Refused

SETTING: Final = "DURABLEGRAPH_ENCRYPTION_KEYS"
_FORM: Final = (
    "write v2=<32 bytes in base64>,v1=<32 bytes in base64>, the active key first; `openssl rand -base64 32` makes one"
)
# Shorter than 32 bytes in base64, so that a key whose name was forgotten is never taken for a name and shown.
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


class LocalKeys:
    """A KeyRing of keys in memory; the first is active."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """`keys` are 32 bytes each, by id. Raises ConfigurationError for none, or for one of another length."""
        aes.check_installed()
        if not keys:
            raise ConfigurationError(f"found no encryption key, expected at least one: {_FORM}")
        for number, (key_id, key) in enumerate(keys.items(), 1):
            if not _ID.fullmatch(key_id) or len(key) != aes.KEY_BYTES:
                raise ConfigurationError(
                    f"encryption key {number} has an id of {len(key_id)} characters and {len(key)} bytes: expected an "
                    f"id of 1-32 letters, digits and . _ - and {aes.KEY_BYTES} bytes; {_FORM}"
                )
        self._keys = dict(keys)
        self._active = next(iter(keys))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The keys of the setting DURABLEGRAPH_ENCRYPTION_KEYS. Raises ConfigurationError that shows none of them."""
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(text.split(","), 1):
            key_id, key = _parsed(number, entry.strip())
            if key_id in keys or key in keys.values():
                raise ConfigurationError(
                    f"{SETTING}: entry {number} repeats the id or the key of an earlier one; expected each once; "
                    f"leave one of them out; {_FORM}"
                )
            keys[key_id] = key
        return cls(keys)

    def __repr__(self) -> str:
        return f"LocalKeys(active={self._active!r}, ids={list(self._keys)})"

    @property
    def active(self) -> str:
        """See KeyRing."""
        return self._active

    async def wrap(self, key_id: str, data_key: bytes) -> bytes:
        """See KeyRing."""
        return aes.wrap(self._keys[key_id], data_key)

    async def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        """See KeyRing."""
        try:
            return aes.unwrap(self._keys[key_id], wrapped)
        except aes.Altered as error:
            raise Refused from error


def _parsed(number: int, entry: str) -> tuple[str, bytes]:
    key_id, separator, encoded = entry.partition("=")
    if not separator or not _ID.fullmatch(key_id):
        raise ConfigurationError(
            f"{SETTING}: entry {number} does not begin with an id of 1-32 letters, digits and . _ - and an equals "
            f"sign; {_FORM}"
        )
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != aes.KEY_BYTES:
        raise ConfigurationError(
            f"{SETTING}: the key of entry {number} is not base64 of {aes.KEY_BYTES} bytes ({len(encoded)} characters "
            f"found); {_FORM}"
        ) from None
    return key_id, key
