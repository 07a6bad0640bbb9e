"""Where key-encryption keys come from."""

from typing import Protocol, runtime_checkable


class Refused(Exception):  # noqa: N818 -- said by a key ring about a wrapped key; the store makes the error of it
    """The key is known, and does not unwrap this: it is another key than the one that wrapped it, or it was altered."""


@runtime_checkable
class KeyRing(Protocol):
    """Versioned keys that wrap data keys; they need never leave the place that holds them.

    Called from any thread and any event loop, so a client that belongs to one loop does not fit. Failures that may pass
    should be raised as TransientError: the call is then repeated as one to the storage is.
    """

    @property
    def active(self) -> str:
        """Id of the key that wraps new data keys: 1-200 printable ASCII characters. May change at any time."""

    async def wrap(self, key_id: str, data_key: bytes) -> bytes:
        """The 32 bytes of a data key, wrapped with this key; at most 4,096 bytes."""

    async def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        """The data key. Raises LookupError for a key that the ring does not have, Refused when it does not fit."""
