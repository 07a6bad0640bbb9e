"""The app's object storage in memory, with the faults that a test orders."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from durablegraph.errors import TransientError
from durablegraph.storage.objects import ObjectEntry, ObjectStore, StoredObject
from durablegraph.testing.lives import Life
from durablegraph.testing.moments import What, When

Request = Literal["get", "put", "delete", "list"]
_REQUESTS: tuple[Request, ...] = ("get", "put", "delete", "list")


@dataclass(slots=True)
class _Fault:
    requests: frozenset[str]
    key: str
    skip: int
    times: int
    when: When


class Storage:
    """What a test may do to the storage; `requests` counts what the app asked of it so far."""

    def __init__(self, objects: ObjectStore) -> None:
        """`objects` is the store itself, in which nothing fails: tests read there."""
        self.objects = objects
        self.requests: dict[Request, int] = dict.fromkeys(_REQUESTS, 0)
        self._faults: list[_Fault] = []

    def fail(
        self,
        on: Request | None = None,
        *,
        at: int = 1,
        times: int = 1,
        key: str = "",
        when: Literal["before", "after"] = "before",
    ) -> None:
        """Let requests of the app fail with an error that may pass, as a broken connection does.

        The `at`-th matching request from now (from 1) and those after it fail, `times` in all; `on` and `key` (a part
        of the object's key) narrow what matches. "after": the request is carried out and its answer is lost.
        """
        if on is not None and on not in _REQUESTS:
            raise ValueError(f"found on={on!r}, expected one of {', '.join(_REQUESTS)}, or nothing for all of them")
        if at < 1 or times < 1:
            raise ValueError(f"found at={at}, times={times}; expected 1 or more of each")
        wanted = frozenset(_REQUESTS if on is None else (on,))
        self._faults.append(_Fault(wanted, key, at - 1, times, When(when)))

    def unused(self) -> list[str]:
        """A line for each fault that has not come as often as it was ordered."""
        return [
            f"{'/'.join(sorted(fault.requests))} of keys with {fault.key!r}: {fault.times} still to come"
            for fault in self._faults
        ]

    def arrive(self, request: Request, key: str) -> bool:
        """Count a request; raise the fault that is due before it, say whether one is due after it."""
        self.requests[request] += 1
        for fault in self._faults:
            if request not in fault.requests or fault.key not in key:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            if not fault.times:
                self._faults.remove(fault)
            if fault.when is When.BEFORE:
                broken(request, key)
            return True
        return False


def broken(request: str, key: str) -> None:
    """Fail as a connection does that breaks."""
    raise TransientError(f"{request} {key}: the connection broke (a fault that the test ordered)")


class LivingStore:
    """The store as one life of the app sees it: with faults, and shut when that life is over."""

    def __init__(self, storage: Storage, life: Life) -> None:
        self._storage, self._inner, self._life = storage, storage.objects, life

    async def get(self, key: str) -> StoredObject | None:
        """See ObjectStore."""
        late = self._arrive("get", key)
        stored = await self._inner.get(key)
        self._leave("get", key, late=late)
        return stored

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False, note: str | None = None
    ) -> str:
        """See ObjectStore."""
        late = self._arrive("put", key)
        self._life.check(What.WRITE, When.BEFORE)
        etag = await self._inner.put(key, data, if_match=if_match, if_absent=if_absent, note=note)
        self._life.check(What.WRITE, When.AFTER)
        self._leave("put", key, late=late)
        return etag

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """See ObjectStore."""
        late = self._arrive("delete", key)
        self._life.check(What.WRITE, When.BEFORE)
        removed = await self._inner.delete(key, if_match=if_match)
        self._life.check(What.WRITE, When.AFTER)
        self._leave("delete", key, late=late)
        return removed

    async def delete_many(self, keys: Sequence[str]) -> None:
        """See ObjectStore."""
        shown = ", ".join(keys)
        late = self._arrive("delete", shown)
        self._life.check(What.WRITE, When.BEFORE)
        await self._inner.delete_many(keys)
        self._life.check(What.WRITE, When.AFTER)
        self._leave("delete", shown, late=late)

    async def list(
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None, notes: bool = False
    ) -> AsyncIterator[ObjectEntry]:
        """See ObjectStore; a fault of a listing comes before its first entry."""
        if self._arrive("list", prefix):
            broken("list", prefix)
        async for entry in self._inner.list(prefix, start_after=start_after, limit=limit, notes=notes):
            yield entry

    async def aclose(self) -> None:
        """The store lives longer than one life of the app."""

    def _arrive(self, request: Request, key: str) -> bool:
        self._life.check_alive()
        return self._storage.arrive(request, key)

    def _leave(self, request: Request, key: str, *, late: bool) -> None:
        self._life.check_alive()
        if late:
            broken(request, key)
