"""The object store: a flat namespace of small immutable-or-replaced values with conditional writes.

The port is what Azure Blob and one SQLite file have in common. Everything that must last is built on it once:
checkpoints, payloads, runs, threads. A key is 1-900 characters of ``[A-Za-z0-9_=~/-]`` plus ``.`` inside a part;
it neither starts nor ends with ``/``. A value is bytes of any size. An etag is an opaque string that changes with
every write of a key and is never reused for it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A value as it was read, with the etag that a conditional write of it must name."""

    key: str
    data: bytes
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """A key in a listing."""

    key: str
    size: int
    etag: str
    modified: datetime


class PreconditionFailed(Exception):  # noqa: N818 -- the name HTTP gives it (RFC 9110, 412)
    """A conditional write met another etag than it named, or an object where it wanted none."""


class ObjectStore(Protocol):
    """Conditional reads and writes of objects; every method is safe to call again after an unclear failure."""

    async def get(self, key: str) -> StoredObject | None:
        """The object, or None when there is none. A read sees every write acknowledged before it began."""

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """Write the whole object and return its new etag; atomic and durable when it returns.

        `if_match` names the etag it replaces, `if_absent` wants no object there; at most one of them. Neither:
        the last writer wins. Raises PreconditionFailed, and then nothing was written.
        """

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """Remove the object; True when there was one. Raises PreconditionFailed when `if_match` is another's."""

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Remove all of these that exist, in as few requests as the store allows; not atomic."""

    def list(self, prefix: str, *, start_after: str | None = None, limit: int | None = None) -> AsyncIterator[ObjectEntry]:
        """Entries whose key begins with `prefix`, in ascending code-point order of the key, after `start_after`."""

    async def aclose(self) -> None:
        """Release connections; the store cannot be used afterwards. A second call does nothing."""
