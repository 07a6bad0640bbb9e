"""AES as this package uses it, from the package `cryptography`, which is an extra.

Values: AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces. Data keys: AES key wrap (NIST SP 800-38F, RFC 3394),
which is deterministic, so that the key-encryption key has no nonces to run out of.
"""

import importlib
import os
from typing import Any, Final

from durablegraph.errors import ConfigurationError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class Altered(Exception):  # noqa: N818 -- internal: what it means is known only where the bytes came from
    """The text does not authenticate under this key."""


class Aead:
    """AES-256-GCM under one key; thread-safe. Its repr tells nothing of the key."""

    def __init__(self, key: bytes) -> None:
        self._gcm = _part("primitives.ciphers.aead").AESGCM(key)

    def encrypt(self, text: bytes, bound: bytes) -> bytes:
        """Nonce, ciphertext and tag; `bound` must be given again to decrypt."""
        nonce = os.urandom(NONCE_BYTES)
        encrypted: bytes = self._gcm.encrypt(nonce, text, bound)
        return nonce + encrypted

    def decrypt(self, encrypted: bytes | memoryview, bound: bytes) -> bytes:
        """The text; raises Altered."""
        if len(encrypted) < NONCE_BYTES + TAG_BYTES:
            raise Altered
        try:
            text: bytes = self._gcm.decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], bound)
        except _part("exceptions", below="").InvalidTag as error:
            raise Altered from error
        return text


def wrap(key: bytes, data_key: bytes) -> bytes:
    """A data key under a key-encryption key; 8 bytes longer."""
    wrapped: bytes = _part("primitives.keywrap").aes_key_wrap(key, data_key)
    return wrapped


def unwrap(key: bytes, wrapped: bytes) -> bytes:
    """The data key; raises Altered."""
    keywrap = _part("primitives.keywrap")
    try:
        data_key: bytes = keywrap.aes_key_unwrap(key, wrapped)
    except (keywrap.InvalidUnwrap, ValueError) as error:
        raise Altered from error
    return data_key


def check_installed() -> None:
    """Raise ConfigurationError that names the extra when `cryptography` is not installed."""
    _part("primitives.keywrap")


def _part(name: str, *, below: str = "hazmat.") -> Any:
    try:
        return importlib.import_module(f"cryptography.{below}{name}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "encryption is on, but the package cryptography is not installed; install durablegraph[encryption]"
        ) from error
