"""Schedules: their records and requests, the lists of them, and what is due.

Keys, below the container's root (``hh`` spreads them)::

    schedules/{hh}/{id}/record            ScheduleRecord, conditional
    schedules/{hh}/{id}/request/{random}  RunRequest, immutable: what every run of it is asked for
    index/schedules/{facet}/{position}    an entry of a list, newest first (see `storage.indexes`)
    index/schedules/due/{ms}-{id}         when it is due next, earliest first
    index/schedules/due/{ms}~{random}     a mark: a change that must be complete by then

The record is the truth. Whoever changes it leaves a mark first, and removes it when all entries are right; the mark
falls due like a schedule, five minutes later, and then names a change whose process died. So a tick finds what is due
and what is to be mended by one listing. When a run was started, the entry that was due is that mark itself.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel

from durablegraph.clock import EPOCH
from durablegraph.errors import Conflict, StaleHead
from durablegraph.model.ids import key_part, spread_part
from durablegraph.model.records import RunRequest, ScheduleRecord
from durablegraph.storage.documents import Documents, Versioned, encode
from durablegraph.storage.indexes import Filter, Index, Page, search
from durablegraph.storage.indexes.filters import thread_facet
from durablegraph.storage.indexes.kinds import SCHEDULES
from durablegraph.storage.objects import ObjectStore, PreconditionFailed
from durablegraph.storage.parallel import in_parallel

UNFINISHED: Final = timedelta(minutes=5)
"""A change that is older was broken off: Azure cuts its request long before."""
_DUE: Final = "index/schedules/due/"
_TRIES: Final = 50


@dataclass(frozen=True, slots=True)
class Due:
    """An entry whose time has come: a schedule that is due, or one that a change may have been broken off of."""

    key: str
    schedule_id: str


class _Mark(BaseModel):
    """Objects and entries that may stand though the record does not ask for them."""

    keys: list[str] = []


class ScheduleStore:
    """Everything that is stored about schedules; safe to share between tasks."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._records = Documents(store, ScheduleRecord)
        self._requests = Documents(store, RunRequest)
        self._marks = Documents(store, _Mark)
        self._index = Index(store, SCHEDULES)

    # ---- looking

    async def load(self, schedule_id: str) -> Versioned[ScheduleRecord] | None:
        """The record with its etag, or None when there is no such schedule."""
        return await self._records.load(_key(schedule_id, "record"))

    async def request(self, schedule: ScheduleRecord) -> RunRequest | None:
        """What its runs are made from; None when a change has replaced it since `schedule` was read."""
        found = await self._requests.load(_key(schedule.schedule_id, f"request/{schedule.request}"))
        return found.value if found else None

    async def search(self, wanted: Filter, *, after: str | None = None, limit: int) -> Page[ScheduleRecord]:
        """Schedules, newest first, each as it is now: a listing, and a read for each that is shown."""
        page = await search(self._index, wanted, self._current, after=after, limit=limit)
        loaded = await in_parallel([one.schedule_id for one in page.records], self._current)
        return Page([one for one in loaded if one is not None and wanted.holds(one)], page.next)

    async def of_thread(self, thread_id: str) -> list[str]:
        """The ids of the schedules that start their runs on this thread."""
        entries = self._index.entries(thread_facet(thread_id), None, None)
        return [self._index.told(at, note).record.schedule_id async for at, note in entries if note is not None]

    async def due(self, now: datetime, *, after: str | None = None, limit: int) -> list[Due]:
        """What is due by `now`, longest due first, `after` the key of an entry: one listing."""
        found = []
        async for entry in self._store.list(_DUE, start_after=after, limit=limit, notes=True):
            if int(entry.key[len(_DUE) :][:13]) > _milliseconds(now):
                break
            found.append(Due(entry.key, entry.note or ""))
        return found

    @staticmethod
    def due_of(schedule: ScheduleRecord) -> Due | None:
        """The entry that an enabled schedule has."""
        if schedule.next_run_at is None:
            return None
        key = f"{_DUE}{_milliseconds(schedule.next_run_at):013d}-{key_part(schedule.schedule_id)}"
        return Due(key, schedule.schedule_id)

    # ---- changing

    @staticmethod
    def new_request_name() -> str:
        """A name for `ScheduleRecord.request` that no other request has."""
        return secrets.token_hex(8)

    async def create(self, schedule: ScheduleRecord, request: RunRequest) -> bool:
        """Store a schedule and the request it names; False when it exists, and then its entries are made right."""
        schedule_id = schedule.schedule_id
        mark = await self._mark(schedule_id, [self._request_key(schedule)], schedule.created_at)
        await self._requests.create(self._request_key(schedule), request)
        created = await self._records.create(_key(schedule_id, "record"), schedule)
        if created:
            await self._tell(schedule_id, schedule, set())
        else:
            await self._mend(schedule_id, {self._request_key(schedule)})
        await self._store.delete(mark)
        return created

    async def change(
        self,
        schedule_id: str,
        change: Callable[[ScheduleRecord], ScheduleRecord],
        now: datetime,
        *,
        etag: str | None = None,
        request: RunRequest | None = None,
    ) -> ScheduleRecord | None:
        """Apply `change` to the current record, again when somebody else was faster; None when there is none.

        `change` must be pure. With `etag` only that version is changed; another one by now is a Conflict (412).
        `request` is stored under the name that `change` gives it; the one before is removed.
        """
        marks: list[str] = []
        for _ in range(_TRIES):
            current = await self.load(schedule_id)
            if current is None:
                return None
            if etag is not None and current.etag != etag:  # what was stored for the change goes with its mark
                raise Conflict(
                    f"schedule {schedule_id!r} was changed since you read it: read it again, and repeat the change",
                    code="schedule_changed",
                    status=412,
                )
            wanted = change(current.value)
            both = {*self._own(current.value), *self._own(wanted)}
            marks.append(await self._mark(schedule_id, both, now))
            if request is not None:
                await self._requests.create(self._request_key(wanted), request)
            try:
                await self._records.replace(_key(schedule_id, "record"), wanted, current.etag)
            except PreconditionFailed:
                continue
            await self._tell(schedule_id, wanted, both)
            await self._store.delete_many(marks)
            return wanted
        raise _busy(schedule_id)

    async def go_on(
        self,
        due: Due,
        version: Versioned[ScheduleRecord],
        change: Callable[[ScheduleRecord], ScheduleRecord],
    ) -> ScheduleRecord | None:
        """Change a schedule that was due; the entry that told so goes last, and stands for the change until then.

        A `change` that returns its argument finds that somebody else let the schedule go on.
        """
        current: Versioned[ScheduleRecord] | None = version
        for _ in range(_TRIES):
            if current is None or (wanted := change(current.value)) is current.value:
                await self.mend(due)
                return current.value if current else None
            try:
                await self._records.replace(_key(due.schedule_id, "record"), wanted, current.etag)
            except PreconditionFailed:
                current = await self.load(due.schedule_id)
                continue
            lists_stay = set(self._listed(wanted)) == set(self._listed(current.value))
            stale = set(self._own(current.value)) - {due.key}
            await self._tell(due.schedule_id, wanted, stale, only_due=lists_stay)
            await self._store.delete(due.key)
            return wanted
        raise _busy(due.schedule_id)

    async def delete(self, schedule_id: str, now: datetime, *, etag: str | None = None) -> bool:
        """Remove a schedule with all that is stored about it, False when there is none. Its runs stay.

        With `etag` only that version is removed; raises Conflict (412) when it is another by now.
        """
        found = await self.load(schedule_id)
        if found is None:
            return False
        stale = self._all(found.value)
        mark = await self._mark(schedule_id, stale, now)
        try:
            await self._store.delete(_key(schedule_id, "record"), if_match=etag)
        except PreconditionFailed as error:
            await self._store.delete(mark)
            raise Conflict(
                f"schedule {schedule_id!r} was changed since you read it: read it again, and repeat the deletion",
                code="schedule_changed",
                status=412,
            ) from error
        await self._mend(schedule_id, set(stale))
        await self._store.delete(mark)
        return True

    async def retell(self, schedule_id: str, now: datetime) -> None:
        """Write the entries anew that the record asks for, in lists and in what is due; a second call does no harm."""
        if (found := await self.load(schedule_id)) is not None:
            mark = await self._mark(schedule_id, self._own(found.value), now)
            await self._mend(schedule_id, set())
            await self._store.delete(mark)

    async def mend(self, due: Due) -> None:
        """Complete what an entry stands for that is not the schedule's own; the entry goes."""
        stored = await self._store.get(due.key)
        keys = _Mark.model_validate_json(stored.data).keys if stored and stored.data else []
        await self._mend(due.schedule_id, set(keys))
        found = await self.load(due.schedule_id)
        if found is None or self.due_of(found.value) != due:
            await self._store.delete(due.key)

    # ---- entries

    async def _mend(self, schedule_id: str, stale: set[str]) -> None:
        """Write all entries anew, and remove of `stale` what the record does not ask for."""
        found = await self.load(schedule_id)
        if found is None:
            stale |= {entry.key async for entry in self._store.list(_key(schedule_id, ""))}
        await self._tell(schedule_id, found.value if found else None, stale)

    async def _tell(
        self, schedule_id: str, schedule: ScheduleRecord | None, stale: set[str], *, only_due: bool = False
    ) -> None:
        """Write entries until they are those of the current record."""
        for _ in range(_TRIES):
            own: set[str] = set()
            if schedule is not None:
                own = set(self._own(schedule))
                await self._put(schedule, only_due=only_due)
                stale |= set() if only_due else set(self._all(schedule))
            await self._index.remove(stale - own)
            current = await self._current(schedule_id)
            if current == schedule:
                return
            stale |= own
            schedule, only_due = current, False
        raise _busy(schedule_id)

    async def _put(self, schedule: ScheduleRecord, *, only_due: bool) -> None:
        if not only_due:
            await self._index.put(schedule, self._listed(schedule))
        if due := self.due_of(schedule):
            await self._store.put(due.key, b"", note=due.schedule_id)

    async def _mark(self, schedule_id: str, keys: Iterable[str], now: datetime) -> str:
        key = f"{_DUE}{_milliseconds(now + UNFINISHED):013d}~{secrets.token_hex(8)}"
        await self._store.put(key, encode(_Mark(keys=sorted(keys))), note=schedule_id)
        return key

    def _listed(self, schedule: ScheduleRecord) -> list[str]:
        return [*self._index.keys(schedule), self._index.status_key(schedule)]

    def _own(self, schedule: ScheduleRecord) -> list[str]:
        """The entries and the request that a schedule has."""
        due = self.due_of(schedule)
        return [*self._listed(schedule), self._request_key(schedule), *([due.key] if due else [])]

    def _all(self, schedule: ScheduleRecord) -> list[str]:
        """Those, and the entries that it would have under other statuses."""
        return [*self._own(schedule), *self._index.status_keys(schedule, SCHEDULES.statuses)]

    async def _current(self, schedule_id: str) -> ScheduleRecord | None:
        found = await self.load(schedule_id)
        return found.value if found else None

    @staticmethod
    def _request_key(schedule: ScheduleRecord) -> str:
        return _key(schedule.schedule_id, f"request/{schedule.request}")


def _key(schedule_id: str, name: str) -> str:
    return f"schedules/{spread_part(schedule_id)}/{name}"


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _busy(schedule_id: str) -> StaleHead:
    return StaleHead(f"the schedule {schedule_id!r} was changed by others {_TRIES} times in a row; try again")
