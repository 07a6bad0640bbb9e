"""Finds what may have expired without reading everything else.

Each object that can expire has a marker, an empty object ``{root}{minute of expiry}/{its key}``, written before it. A
listing of the markers, which sort by time, leads to the objects that are due, and to no others. The rule that makes it
safe: *as long as an object that can expire exists, it has a marker no later than its expiry.* So a marker is written
when an expiry is new or becomes earlier, but not when it becomes later (a refresh): then the sweep that follows the old
marker puts a new one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.parallel import in_parallel

_MINUTE: Final = "%Y%m%dT%H%M"
_GRACE: Final = timedelta(minutes=5)  # a write that is still on its way may need a marker put before
_BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Visited:
    """What a sweep found at a key: whether it removed the object, and when the one that is there expires."""

    removed: bool
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class _Marker:
    minute: str
    key: str


class Expiries:
    """The markers below `root`, which ends in a slash."""

    def __init__(self, objects: ObjectStore, root: str) -> None:
        self._objects = objects
        self._root = root

    async def mark(self, key: str, expires: datetime) -> None:
        """Say that the object at `key` will expire then; to be called before the object is written."""
        await self._objects.put(self._marker_key(_Marker(_minute(expires), key)), b"")

    async def due(self, now: datetime) -> AsyncIterator[str]:
        """Keys of all objects that may have expired; one listing. Some may live on, or be gone."""
        async for marker in self._due(now):
            yield marker.key

    async def sweep(
        self, now: datetime, visit: Callable[[str], Awaitable[Visited]], *, limit: int | None = None
    ) -> int:
        """Visit what is due, the earliest first and at most `limit`; tidy up; returns how many `visit` removed.

        Markers that were followed are deleted once no write can need them, so bounded calls get through them all.
        """
        removed, left = 0, limit
        batch: list[_Marker] = []
        async for marker in self._due(now):
            if left == 0:
                break
            left = None if left is None else left - 1
            batch.append(marker)
            if len(batch) == _BATCH:
                removed += await self._sweep(batch, now, visit)
                batch = []
        return removed + await self._sweep(batch, now, visit)

    async def _sweep(self, batch: list[_Marker], now: datetime, visit: Callable[[str], Awaitable[Visited]]) -> int:
        async def follow(marker: _Marker) -> tuple[_Marker, Visited]:
            visited = await visit(marker.key)
            if visited.expires is not None and _minute(visited.expires) != marker.minute:
                await self.mark(marker.key, visited.expires)
            return marker, visited

        followed = await in_parallel(batch, follow)
        late = _minute(now - _GRACE)
        done = [
            self._marker_key(marker)
            for marker, visited in followed
            if marker.minute < late and (visited.expires is None or _minute(visited.expires) != marker.minute)
        ]
        await self._objects.delete_many(done)
        return sum(visited.removed for _, visited in followed)

    async def _due(self, now: datetime) -> AsyncIterator[_Marker]:
        last = _minute(now)
        async for entry in self._objects.list(self._root):
            minute, _, key = entry.key[len(self._root) :].partition("/")
            if minute > last:
                return
            yield _Marker(minute, key)

    def _marker_key(self, marker: _Marker) -> str:
        return f"{self._root}{marker.minute}/{marker.key}"


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_MINUTE)
