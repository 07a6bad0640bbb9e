"""Encryption of everything stored: each object under a data key, each data key under a versioned key of yours."""

from durablegraph.storage.encryption.errors import CorruptObject, EncryptionKeyMissingError, NotEncryptedError
from durablegraph.storage.encryption.local_keys import LocalKeys
from durablegraph.storage.encryption.ring import KeyRing, Refused
from durablegraph.storage.encryption.store import EncryptedStore

__all__ = [
    "CorruptObject",
    "EncryptedStore",
    "EncryptionKeyMissingError",
    "KeyRing",
    "LocalKeys",
    "NotEncryptedError",
    "Refused",
]
