"""An object store seen below a prefix, so that several apps can share a container."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from durablegraph.storage.objects import ObjectEntry, ObjectStore, StoredObject


class PrefixedStore:
    """An ObjectStore whose keys all begin with ``{prefix}/`` in another one."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        """`prefix` is one or more key parts without slashes at its ends."""
        self._store = store
        self._prefix = prefix.strip("/") + "/"

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
