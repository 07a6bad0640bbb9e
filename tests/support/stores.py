"""Object stores around another one: they count requests, or fail at a chosen one."""

import math
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

from durablegraph.errors import TransientError
from durablegraph.storage.objects import ObjectEntry, ObjectStore, StoredObject

_BATCH = 256  # keys that one request deletes, as on Azure
_PAGE = 5000  # entries that one request lists, as on Azure


class Kind(StrEnum):
    """A request's class, after the prices of Azure Blob Storage."""

    READ = "read"
    WRITE = "write"
    LIST = "list"
    DELETE = "delete"


WRITING = frozenset({Kind.WRITE, Kind.DELETE})


@dataclass(slots=True)
class Tally:
    """What was asked of a store: requests by kind, and bytes of values."""

    requests: Counter[Kind] = field(default_factory=Counter)
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def total(self) -> int:
        """All requests."""
        return self.requests.total()


class CountingStore:
    """Counts what passes to `inner`, failed requests too; `start_anew` begins a new tally and returns the old one."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner
        self.tally = Tally()

    def start_anew(self) -> Tally:
        done, self.tally = self.tally, Tally()
        return done

    async def get(self, key: str) -> StoredObject | None:
        self.tally.requests[Kind.READ] += 1
        stored = await self.inner.get(key)
        self.tally.bytes_read += 0 if stored is None else len(stored.data)
        return stored

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False, note: str | None = None
    ) -> str:
        self.tally.requests[Kind.WRITE] += 1
        self.tally.bytes_written += len(data)
        return await self.inner.put(key, data, if_match=if_match, if_absent=if_absent, note=note)

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        self.tally.requests[Kind.DELETE] += 1
        return await self.inner.delete(key, if_match=if_match)

    async def delete_many(self, keys: Sequence[str]) -> None:
        self.tally.requests[Kind.DELETE] += math.ceil(len(keys) / _BATCH)
        await self.inner.delete_many(keys)

    async def list(
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None, notes: bool = False
    ) -> AsyncIterator[ObjectEntry]:
        self.tally.requests[Kind.LIST] += 1
        seen = 0
        async for entry in self.inner.list(prefix, start_after=start_after, limit=limit, notes=notes):
            if seen and seen % _PAGE == 0:
                self.tally.requests[Kind.LIST] += 1
            seen += 1
            yield entry

    async def aclose(self) -> None:
        await self.inner.aclose()


class When(StrEnum):
    """Whether the request at which the fault comes is carried out."""

    BEFORE = "before"  # it never reaches the store
    AFTER = "after"  # it is carried out, and its answer is lost


class SimulatedCrash(BaseException):
    """The process would be dead now: no `except Exception` may go on after it."""


def fail() -> NoReturn:
    """A fault that may pass; the store works again afterwards."""
    raise TransientError("the connection broke (a fault made by the test)")


def crash() -> NoReturn:
    """The end of this process, as far as the code under test can tell."""
    raise SimulatedCrash


def kill() -> NoReturn:
    """The real end of this process."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


class FaultStore:
    """Does `fault` at the `at`-th request (from 1) of the `kinds` given; after a crash every request crashes.

    `at=0` never fails: `seen` then tells how many points there are. A delete_many is one request, and so is a listing,
    whose fault comes before its first entry whatever `when` says.
    """

    def __init__(
        self,
        inner: ObjectStore,
        *,
        at: int,
        when: When = When.BEFORE,
        fault: Callable[[], NoReturn] = fail,
        kinds: frozenset[Kind] = frozenset(Kind),
    ) -> None:
        self.inner = inner
        self.seen = 0
        self._at = at
        self._when = when
        self._fault = fault
        self._kinds = kinds
        self._struck = False

    async def get(self, key: str) -> StoredObject | None:
        strikes = self._arrive(Kind.READ)
        stored = await self.inner.get(key)
        self._leave(strikes=strikes)
        return stored

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False, note: str | None = None
    ) -> str:
        strikes = self._arrive(Kind.WRITE)
        try:
            return await self.inner.put(key, data, if_match=if_match, if_absent=if_absent, note=note)
        finally:
            self._leave(strikes=strikes)

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        strikes = self._arrive(Kind.DELETE)
        try:
            return await self.inner.delete(key, if_match=if_match)
        finally:
            self._leave(strikes=strikes)

    async def delete_many(self, keys: Sequence[str]) -> None:
        strikes = self._arrive(Kind.DELETE)
        await self.inner.delete_many(keys)
        self._leave(strikes=strikes)

    async def list(
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None, notes: bool = False
    ) -> AsyncIterator[ObjectEntry]:
        self._leave(strikes=self._arrive(Kind.LIST))
        async for entry in self.inner.list(prefix, start_after=start_after, limit=limit, notes=notes):
            yield entry

    async def aclose(self) -> None:
        await self.inner.aclose()

    def _arrive(self, kind: Kind) -> bool:
        """Count the request; whether the fault is due after it."""
        if self._fault is crash and self._struck:
            crash()
        if kind not in self._kinds:
            return False
        self.seen += 1
        if self.seen != self._at:
            return False
        if self._when is When.BEFORE:
            self._struck = True
            self._fault()
        return True

    def _leave(self, *, strikes: bool) -> None:
        if strikes:
            self._struck = True
            self._fault()
