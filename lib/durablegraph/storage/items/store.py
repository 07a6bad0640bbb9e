"""LangGraph's BaseStore on an object store."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, assert_never

from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Op,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
)

from durablegraph import clock
from durablegraph.storage.home import Home
from durablegraph.storage.items.embedding import Embedded, Embedder, rank
from durablegraph.storage.items.item_objects import Found, ItemObjects
from durablegraph.storage.items.matching import common_prefix, matches, select_namespaces
from durablegraph.storage.items.names import Namespace
from durablegraph.storage.items.plan import Delete, Plan, PlannedPut, Read, plan, time_to_live, with_vectors
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.parallel import in_parallel


@dataclass(frozen=True, slots=True)
class _Answer:
    """A read's result, and the items whose time to live it begins anew."""

    result: Result
    refreshed: tuple[Found, ...] = ()


class ItemStore(BaseStore):
    """Items that outlive runs, threads and processes, for nodes (`runtime.store`, `get_store()`) and everybody else.

    In a batch all reads see the items as they were before it, and the last write of an item wins; its writes are made
    together but not as one: after an error some may have been made, and the batch may simply be repeated. Several
    processes may share the object store: a write is visible to the next read anywhere, and none is half visible.

    Found by search: all items in the order they were first put; with a query, the nearest first. A value is any JSON
    (None deletes). An expired item is gone at once, unless `ttl` says ``omit_expired: False``; `sweep_ttl` gives its
    space back.

    Both faces may be used from every thread and loop. The synchronous one carries the work to an event loop on a thread
    of its own and waits there: it never waits for the caller's loop, so it cannot deadlock, but on a thread that runs a
    loop it holds that loop up meanwhile. `objects` must be usable from several loops, as all of this library's are; it
    remains the caller's to close.
    """

    supports_ttl = True

    def __init__(
        self,
        objects: ObjectStore,
        *,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """Raise ConfigurationError for an `index` that cannot embed, InvalidRequest for a `ttl` that is no duration."""
        settings: TTLConfig = ttl or {}
        time_to_live(settings.get("default_ttl"))
        self.ttl_config = ttl
        self.index_config = index
        self._embedder = Embedder(index) if index else None
        self._items = ItemObjects(objects, omit_expired=settings.get("omit_expired", True))
        self._now = now
        self._home = Home()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """See BaseStore.batch and the class. Embeds in the caller's thread."""
        planned = plan(ops, self._embedder)
        embedded = self._embedder.embed(planned.texts, planned.queries) if self._embedder else Embedded()
        return self._home.wait(self._carry_out(planned, embedded), "batch")

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """See BaseStore.abatch and the class."""
        planned = plan(ops, self._embedder)
        embedded = await self._embedder.aembed(planned.texts, planned.queries) if self._embedder else Embedded()
        return await self._carry_out(planned, embedded)

    async def sweep(self, now: datetime, *, limit: int | None = None) -> int:
        """Remove items that have expired at `now`, the longest expired first; returns how many were removed.

        For a timer: a call looks at most at `limit` places where an item may have expired (None: at all), and leaves
        the others to later calls; a place is kept for five minutes after its time. One listing when nothing is due.
        Safe at any time, in several processes at once; an item that is put or refreshed meanwhile stays.
        """
        return await self._items.sweep(now, limit=limit)

    async def sweep_ttl(self) -> int:
        """Remove all expired items and return their number: `sweep` under the name that LangGraph's stores have."""
        return await self.sweep(self._now())

    async def _carry_out(self, planned: Plan, embedded: Embedded) -> list[Result]:
        results: list[Result] = [None] * planned.size
        refreshed: dict[tuple[Namespace, str], Found] = {}
        answers = await in_parallel([op for _, op in planned.reads], partial(self._answer, embedded))
        for (place, _), answer in zip(planned.reads, answers, strict=True):
            results[place] = answer.result
            refreshed |= {(found.record.namespace, found.record.key): found for found in answer.refreshed}
        now = self._now()
        untouched = [found for place, found in refreshed.items() if place not in planned.written]
        await in_parallel(untouched, partial(self._items.refresh, now=now))
        await in_parallel([*planned.puts, *planned.deletes], partial(self._write, embedded, now))
        return results

    async def _write(self, embedded: Embedded, now: datetime, write: PlannedPut | Delete) -> None:
        if isinstance(write, Delete):
            await self._items.delete(write.namespace, write.key)
        else:
            await self._items.put(with_vectors(write, embedded), now)

    async def _answer(self, embedded: Embedded, op: Read) -> _Answer:
        now = self._now()
        match op:
            case GetOp():
                found = await self._items.get(tuple(op.namespace), str(op.key), now)
                return _Answer(_item(found), (found,) if found and op.refresh_ttl else ())
            case SearchOp():
                page = await self._search(op, embedded, now)
                refreshed = tuple(found for _, found in page) if op.refresh_ttl else ()
                return _Answer([_search_item(score, found) for score, found in page], refreshed)
            case ListNamespacesOp():
                namespaces = await self._items.namespaces(common_prefix(op.match_conditions), now)
                return _Answer(select_namespaces(namespaces, op))
            case _:
                assert_never(op)

    async def _search(self, op: SearchOp, embedded: Embedded, now: datetime) -> list[tuple[float | None, Found]]:
        below = await self._items.below(tuple(op.namespace_prefix), now)
        chosen = [found for found in below if matches(found.record.value, op.filter)]
        query = embedded.queries.get(op.query) if op.query else None
        ranked: list[tuple[float | None, Found]] = [(None, found) for found in chosen]
        if query is not None:
            ranked = await asyncio.to_thread(rank, query, chosen)  # many multiplications: not on the loop
        return ranked[op.offset : op.offset + op.limit]


def _item(found: Found | None) -> Item | None:
    return None if found is None else Item(**_fields(found))


def _search_item(score: float | None, found: Found) -> SearchItem:
    return SearchItem(**_fields(found), score=score)


def _fields(found: Found) -> dict[str, Any]:
    record = found.record
    return {
        "namespace": record.namespace,
        "key": record.key,
        "value": record.value,
        "created_at": record.created,
        "updated_at": record.updated,
    }
