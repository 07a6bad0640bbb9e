"""The object store in a dictionary: for tests and for apps that want to leave nothing behind."""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

from durablegraph import clock
from durablegraph.storage.objects import (
    ObjectEntry,
    PreconditionFailed,
    StoreClosed,
    StoredObject,
    check_conditions,
    check_key,
    check_note,
)


class MemoryObjectStore:
    """An ObjectStore that lasts as long as the object; usable from any thread and any event loop.

    `now` stamps `modified`, so that tests of retention can move time.
    """

    def __init__(self, *, now: Callable[[], datetime] = clock.now) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._objects: dict[str, StoredObject] = {}
        self._notes: dict[str, str | None] = {}
        self._keys: list[str] = []  # sorted, so that a listing need not sort a million keys
        self._writes = 0  # etags come from it: one counter for all keys, so that none is ever reused
        self._closed = False

    async def get(self, key: str) -> StoredObject | None:
        """See ObjectStore.get."""
        check_key(key)
        with self._lock:
            self._check_open()
            return self._objects.get(key)

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False, note: str | None = None
    ) -> str:
        """See ObjectStore.put; durable means until the process ends."""
        check_key(key)
        check_note(note)
        check_conditions(if_match, if_absent=if_absent)
        with self._lock:
            self._check_open()
            present = self._objects.get(key)
            if if_absent and present is not None:
                raise PreconditionFailed(f"{key}: wanted no object, found one with etag {present.etag}")
            if if_match is not None:
                self._check_etag(key, present, if_match)
            if present is None:
                insort(self._keys, key)
            self._writes += 1
            etag = f"m{self._writes}"
            self._objects[key] = StoredObject(key, bytes(data), etag, self._now())
            self._notes[key] = note
            return etag

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """See ObjectStore.delete."""
        check_key(key)
        with self._lock:
            self._check_open()
            present = self._objects.get(key)
            if present is None:
                return False
            if if_match is not None:
                self._check_etag(key, present, if_match)
            self._remove(key)
            return True

    async def delete_many(self, keys: Sequence[str]) -> None:
        """See ObjectStore.delete_many."""
        for key in keys:
            check_key(key)
        with self._lock:
            self._check_open()
            for key in keys:
                if key in self._objects:
                    self._remove(key)

    async def list(
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None, notes: bool = False
    ) -> AsyncIterator[ObjectEntry]:
        """See ObjectStore.list; the listing is as of its first step."""
        with self._lock:
            self._check_open()
            first = bisect_left(self._keys, prefix)
            if start_after is not None:
                first = max(first, bisect_right(self._keys, start_after))
            entries = self._entries(first, prefix, limit, notes=notes)
        for entry in entries:
            yield entry

    async def aclose(self) -> None:
        """See ObjectStore.aclose."""
        with self._lock:
            self._closed = True

    def _entries(self, first: int, prefix: str, limit: int | None, *, notes: bool) -> tuple[ObjectEntry, ...]:
        entries: list[ObjectEntry] = []
        for index in range(first, len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix) or (limit is not None and len(entries) >= limit):
                break
            stored = self._objects[key]
            note = self._notes[key] if notes else None
            entries.append(ObjectEntry(key, len(stored.data), stored.etag, stored.modified, note))
        return tuple(entries)

    def _remove(self, key: str) -> None:
        del self._objects[key]
        del self._notes[key]
        del self._keys[bisect_left(self._keys, key)]

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the in-memory object store was closed; open a new one")

    @staticmethod
    def _check_etag(key: str, present: StoredObject | None, if_match: str) -> None:
        found = "no object" if present is None else f"etag {present.etag}"
        if present is None or present.etag != if_match:
            raise PreconditionFailed(f"{key}: wanted etag {if_match}, found {found}")
