"""Reading and writing items as objects; every change of an item is one conditional write."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from durablegraph.storage.items import names
from durablegraph.storage.items.etag_cache import EtagCache
from durablegraph.storage.items.expiries import Expiries, Visited
from durablegraph.storage.items.names import Namespace
from durablegraph.storage.items.record import Put, Record, decode, encode, put_over, refreshed
from durablegraph.storage.objects import ObjectStore, PreconditionFailed, StoredObject
from durablegraph.storage.parallel import in_parallel

_CONDITIONAL_ATTEMPTS: Final = 5
_EXPIRIES: Final = "item-expiries/"


@dataclass(frozen=True, slots=True)
class Found:
    """An item as it was read, with the etag that a conditional write of it must name."""

    record: Record
    etag: str


class ItemObjects:
    """Items below ``items/`` of an object store; usable from every loop that the store is usable from.

    With `omit_expired` an item is gone from the moment it expires; without, it stays until a sweep removes it.
    """

    def __init__(self, objects: ObjectStore, *, omit_expired: bool) -> None:
        self._objects = objects
        self._omit_expired = omit_expired
        self._cache = EtagCache(objects)
        self._expiries = Expiries(objects, _EXPIRIES)

    async def get(self, namespace: Namespace, key: str, now: datetime) -> Found | None:
        """One item; one request."""
        return self._alive(_found(await self._cache.get(names.item_key(namespace, key))), now)

    async def below(self, prefix: Namespace, now: datetime) -> list[Found]:
        """All items at or below `prefix` in the order they were first put.

        One listing, and a request for each item that this process has not read in its present version before.
        """
        entries = [
            entry
            async for entry in self._objects.list(names.listing_prefix(prefix))
            if names.may_be_below(entry.key, prefix)
        ]
        stored = await self._cache.listed(entries)
        return await asyncio.to_thread(self._sorted_below, prefix, stored, now)  # much to parse: not on the loop

    async def namespaces(self, prefix: Namespace, now: datetime) -> set[Namespace]:
        """Namespaces with an item, all of those below `prefix` among them.

        Read from keys alone, two listings in all, but for items that may have expired and names too long for keys.
        """
        due = {key async for key in self._expiries.due(now)} if self._omit_expired else set()
        certain: set[Namespace] = set()
        doubtful: defaultdict[str, list[str]] = defaultdict(list)
        async for entry in self._objects.list(names.listing_prefix(prefix)):
            namespace = names.namespace_of(entry.key)
            if namespace is None or entry.key in due:
                doubtful[names.path_of(entry.key)].append(entry.key)
            else:
                certain.add(namespace)
        told = await in_parallel(doubtful.values(), partial(self._first_namespace, certain, now))
        return certain | {namespace for namespace in told if namespace is not None}

    async def put(self, put: Put, now: datetime) -> None:
        """Store an item, keeping the time of creation of what it replaces; put twice is put once, but for times.

        One request for an item that this process read or wrote last, else two; one more for a new expiry.
        """
        object_key = names.item_key(put.namespace, put.key)
        stored = self._cache.known(object_key) or await self._cache.get(object_key)
        for _ in range(_CONDITIONAL_ATTEMPTS):
            previous = _found(stored)
            record = self._put_over(previous, put, now)
            marked = previous.record.expires if previous else None
            if record.expires is not None and (marked is None or record.expires < marked):
                await self._expiries.mark(object_key, record.expires)
            if await self._replace(record, previous, now):
                return
            stored = await self._cache.get(object_key)
        await self._overwrite(self._put_over(_found(stored), put, now), now)

    async def delete(self, namespace: Namespace, key: str) -> None:
        """Remove an item if there is one; one request."""
        object_key = names.item_key(namespace, key)
        await self._objects.delete(object_key)
        self._cache.forget(object_key)

    async def refresh(self, found: Found, now: datetime) -> None:
        """Begin the item's time to live anew, unless somebody changed the item meanwhile."""
        record = refreshed(found.record, now)
        if record is not found.record:
            await self._replace(record, found, now)

    async def sweep(self, now: datetime, *, limit: int | None) -> int:
        """Remove what has expired, looking at most at `limit` items; returns how many were removed."""
        return await self._expiries.sweep(now, partial(self._visit, now), limit=limit)

    async def _visit(self, now: datetime, object_key: str) -> Visited:
        found = _found(await self._cache.get(object_key))
        if found is None or not found.record.is_expired(now):
            return Visited(removed=False, expires=found.record.expires if found else None)
        try:
            removed = await self._objects.delete(object_key, if_match=found.etag)
        except PreconditionFailed:  # it was put or refreshed a moment ago: the next sweep looks again
            return Visited(removed=False, expires=found.record.expires)
        self._cache.forget(object_key)
        return Visited(removed=removed, expires=None)

    def _put_over(self, previous: Found | None, put: Put, now: datetime) -> Record:
        alive = self._alive(previous, now)
        return put_over(alive.record if alive else None, put, now)

    async def _replace(self, record: Record, previous: Found | None, now: datetime) -> bool:
        key, data = record.object_key, encode(record)
        try:
            if previous is None:
                etag = await self._objects.put(key, data, if_absent=True)
            else:
                etag = await self._objects.put(key, data, if_match=previous.etag)
        except PreconditionFailed:
            self._cache.forget(key)
            return False
        self._cache.remember(StoredObject(key, data, etag, now))
        return True

    async def _overwrite(self, record: Record, now: datetime) -> None:
        """Write without a condition: many writers of one item at once must not keep each other from it for ever."""
        key, data = record.object_key, encode(record)
        if record.expires is not None:
            await self._expiries.mark(key, record.expires)
        self._cache.remember(StoredObject(key, data, await self._objects.put(key, data), now))

    def _sorted_below(self, prefix: Namespace, stored: Sequence[StoredObject], now: datetime) -> list[Found]:
        alive = [found for one in stored if (found := self._alive(_found(one), now)) is not None]
        chosen = [found for found in alive if found.record.namespace[: len(prefix)] == prefix]
        return sorted(chosen, key=lambda found: found.record.age_order)

    async def _first_namespace(self, certain: set[Namespace], now: datetime, keys: list[str]) -> Namespace | None:
        if names.namespace_of(keys[0]) in certain:
            return None
        for key in keys:
            found = self._alive(_found(await self._cache.get(key)), now)
            if found is not None:
                return found.record.namespace
        return None

    def _alive(self, found: Found | None, now: datetime) -> Found | None:
        if found is not None and self._omit_expired and found.record.is_expired(now):
            return None
        return found


def _found(stored: StoredObject | None) -> Found | None:
    return None if stored is None else Found(decode(stored.key, stored.data), stored.etag)
