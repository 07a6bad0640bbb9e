"""An object store seen below a prefix, so that several apps can share a container."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from durablegraph.errors import ConfigurationError
from durablegraph.storage.objects import ObjectEntry, ObjectStore, StoredObject, is_key

LONGEST_PREFIX: Final = 200
"""The longest key behind it has 490 characters, and a saver may have a prefix behind that of its app."""
_OF_RUNS: Final = {"runs", "threads", "live", "index", "idempotency", "schedules", "supervisor", "recent"}
ROOTS: Final = frozenset({"h", "d", "r", *_OF_RUNS, "items", "node-cache", "erasures", "retention"})
"""The first parts of all keys that are stored: sweeps and lists of an app take everything below them for its own."""


def checked_prefix(prefix: str) -> str:
    """What all keys behind a prefix begin with: empty, or ending in a slash; raises ConfigurationError."""
    path = prefix.strip("/")
    if not path:
        return ""
    if len(path) > LONGEST_PREFIX or not is_key(path):
        raise ConfigurationError(
            f"prefix {path[:60]!r} has {len(path)} characters; expected at most {LONGEST_PREFIX}, out of "
            "A-Z a-z 0-9 _ = ~ - in parts joined by '/', '.' only inside a part; shorten it, or leave out the others"
        )
    if taken := ROOTS.intersection(path.split("/")):
        raise ConfigurationError(
            f"prefix {path!r} has the part {min(taken)!r}, below which another app of the container keeps its own "
            f"objects and would sweep these away; expected none of {', '.join(sorted(ROOTS))}; choose another name"
        )
    return f"{path}/"


class PrefixedStore:
    """An ObjectStore whose keys all begin with ``{prefix}/`` in another one."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        """Raises ConfigurationError for a prefix that no key can have, or that could be taken for a key."""
        self._store = store
        self._prefix = checked_prefix(prefix)

    async def get(self, key: str) -> StoredObject | None:
        """See ObjectStore."""
        found = await self._store.get(self._prefix + key)
        return replace(found, key=key) if found else None

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False, note: str | None = None
    ) -> str:
        """See ObjectStore."""
        return await self._store.put(self._prefix + key, data, if_match=if_match, if_absent=if_absent, note=note)

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """See ObjectStore."""
        return await self._store.delete(self._prefix + key, if_match=if_match)

    async def delete_many(self, keys: Sequence[str]) -> None:
        """See ObjectStore."""
        await self._store.delete_many([self._prefix + key for key in keys])

    async def list(
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None, notes: bool = False
    ) -> AsyncIterator[ObjectEntry]:
        """See ObjectStore."""
        after = self._prefix + start_after if start_after is not None else None
        async for entry in self._store.list(self._prefix + prefix, start_after=after, limit=limit, notes=notes):
            yield replace(entry, key=entry.key[len(self._prefix) :])

    async def aclose(self) -> None:
        """See ObjectStore."""
        await self._store.aclose()
