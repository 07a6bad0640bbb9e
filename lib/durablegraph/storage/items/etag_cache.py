"""Objects this process has read, served again while the store still has the same version."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from durablegraph.storage.objects import ObjectEntry, ObjectStore, StoredObject
from durablegraph.storage.parallel import in_parallel

_MOST_BYTES: Final = 32 * 1024 * 1024


class EtagCache:
    """Least recently used out first, up to `most_bytes` of values. Thread-safe.

    It never makes a read stale: an etag is never reused for a key, so an entry of a fresh listing that names the etag
    in memory names the bytes in memory.
    """

    def __init__(self, objects: ObjectStore, *, most_bytes: int = _MOST_BYTES) -> None:
        self._objects = objects
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: OrderedDict[str, StoredObject] = OrderedDict()
        self._lock = threading.Lock()

    async def get(self, key: str) -> StoredObject | None:
        """The object as it is now; one request."""
        stored = await self._objects.get(key)
        if stored is None:
            self.forget(key)
        else:
            self.remember(stored)
        return stored

    async def listed(self, entries: Iterable[ObjectEntry]) -> list[StoredObject]:
        """The objects of a listing, or later versions, in no order; a request for each that is not known."""
        found: list[StoredObject] = []
        unknown: list[str] = []
        for entry in entries:
            known = self.known(entry.key)
            if known is not None and known.etag == entry.etag:
                found.append(known)
            else:
                unknown.append(entry.key)
        read = await in_parallel(unknown, self.get)
        return [*found, *(stored for stored in read if stored is not None)]

    def known(self, key: str) -> StoredObject | None:
        """The version read last, which may be outdated: for conditional writes only."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def remember(self, stored: StoredObject) -> None:
        """Keep a version that was just read or written."""
        with self._lock:
            self._drop(stored.key)
            self._known[stored.key] = stored
            self._bytes += _weight(stored)
            while self._bytes > self._most_bytes:
                self._drop(next(iter(self._known)))

    def forget(self, key: str) -> None:
        """Keep nothing of `key`."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: str) -> None:
        stored = self._known.pop(key, None)
        if stored is not None:
            self._bytes -= _weight(stored)


def _weight(stored: StoredObject) -> int:
    return len(stored.data) + len(stored.key) + 200  # what Python itself needs for an entry, roughly
