"""The key ring that settings name, and the store it protects."""

import importlib
from typing import Any, Final

from durablegraph.errors import ConfigurationError
from durablegraph.storage.encryption.local_keys import SETTING, LocalKeys
from durablegraph.storage.encryption.ring import KeyRing
from durablegraph.storage.encryption.store import EncryptedStore, KeylessStore
from durablegraph.storage.objects import ObjectStore

_RING_SETTING: Final = "DURABLEGRAPH_ENCRYPTION_KEY_RING"


def protected(store: ObjectStore, ring: KeyRing | None, *, reads_plaintext: bool = False) -> ObjectStore:
    """The store with encryption, or, without a ring, one that tells encrypted objects from damaged ones."""
    return KeylessStore(store) if ring is None else EncryptedStore(store, ring, reads_plaintext=reads_plaintext)


def key_ring(keys: str, named: str) -> KeyRing | None:
    """The ring of the two settings, None when both are empty.

    `keys` is the text of DURABLEGRAPH_ENCRYPTION_KEYS, `named` is ``module:attribute`` of a ring in the app's code, or
    of a function without arguments that makes one. Raises ConfigurationError for what is none.
    """
    if keys.strip() and named.strip():
        raise ConfigurationError(f"found both {SETTING} and {_RING_SETTING}: expected one of them; unset the other")
    if keys.strip():
        return LocalKeys.from_text(keys)
    return _imported(named.strip()) if named.strip() else None


def _imported(named: str) -> KeyRing:
    module, separator, attribute = named.partition(":")
    if not separator or not module or not attribute:
        raise ConfigurationError(f"{_RING_SETTING}={named!r}: expected module:attribute of a KeyRing, as in keys:ring")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        ring = _made(found)
    except Exception as error:  # whatever the app's module does when it is imported
        raise ConfigurationError(
            f"{_RING_SETTING}={named!r} cannot be used ({type(error).__name__}): expected a module of the app with "
            "a KeyRing of this name, or with a function that makes one; correct the name or the module"
        ) from error
    if not isinstance(ring, KeyRing):
        raise ConfigurationError(
            f"{_RING_SETTING}={named!r} is a {type(ring).__name__}: expected a KeyRing, which has active, wrap "
            "and unwrap (see durablegraph.storage.encryption)"
        )
    return ring


def _made(found: object) -> object:
    return found() if callable(found) and not isinstance(found, KeyRing) else found
