"""LangGraph's node cache on an object store: what a node with a `CachePolicy` returned for an input.

::

    node-cache/{sha256 of the namespace}/{sha256 of the key}    the entry
    node-cache-expiries/{minute of expiry}/{its key}            its marker, when it expires (see `items.expiries`)

An entry is a line of JSON (``type`` of the serialised value, ``expires``, ``namespace``) and then the value's bytes.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from langgraph.cache.base import BaseCache, FullKey, Namespace, ValueT
from langgraph.checkpoint.serde.base import SerializerProtocol

from durablegraph import clock
from durablegraph.storage.checkpoints.serde import AppSerializer
from durablegraph.storage.home import Home
from durablegraph.storage.items.expiries import Expiries, Visited
from durablegraph.storage.objects import ObjectStore, PreconditionFailed, StoredObject
from durablegraph.storage.parallel import in_parallel

_ROOT: Final = "node-cache/"
_EXPIRIES: Final = "node-cache-expiries/"
_DELETE_AT_ONCE: Final = 1000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A serialised value, and the moment from which it does not count."""

    typed: tuple[str, bytes]
    expires: datetime | None

    def is_expired(self, now: datetime) -> bool:
        return self.expires is not None and self.expires <= now


class NodeCache(BaseCache[ValueT]):
    """A BaseCache shared by all processes that share the object store; a time to live is in seconds.

    An entry that cannot be read any more, because a class of its value is gone for example, is a miss and is logged:
    the node then runs. Both faces may be used from every thread and loop, as those of ItemStore.
    """

    def __init__(
        self,
        objects: ObjectStore,
        *,
        serde: SerializerProtocol | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """`objects` remains the caller's to close; `serde` is as strict as an app's, LangGraph's own default is not."""
        super().__init__(serde=serde or AppSerializer())
        self._objects = objects
        self._expiries = Expiries(objects, _EXPIRIES)
        self._now = now
        self._home = Home()

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """See `aget`."""
        return self._home.wait(self.aget(keys), "get")

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """The values there are; one request a key."""
        wanted = list(dict.fromkeys((tuple(namespace), key) for namespace, key in keys))
        loaded = zip(wanted, await in_parallel(wanted, self._load), strict=True)
        return {full_key: found[0] for full_key, found in loaded if found}

    def set(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """See `aset`."""
        self._home.wait(self.aset(pairs), "set")

    async def aset(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """Store values, over what was there; the last writer wins."""
        now = self._now()
        await in_parallel(pairs.items(), partial(self._store, now))

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """See `aclear`."""
        self._home.wait(self.aclear(namespaces), "clear")

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Remove all entries of exactly these namespaces, or of all."""
        prefixes = [_ROOT] if namespaces is None else [_folder(namespace) for namespace in namespaces]
        for prefix in prefixes:
            batch: list[str] = []
            async for entry in self._objects.list(prefix):
                batch.append(entry.key)
                if len(batch) == _DELETE_AT_ONCE:
                    await self._objects.delete_many(batch)
                    batch = []
            await self._objects.delete_many(batch)

    async def sweep(self, now: datetime, *, limit: int | None = None) -> int:
        """Remove entries that have expired at `now` and return their number; bounded as `ItemStore.sweep` is."""
        return await self._expiries.sweep(now, partial(self._visit, now), limit=limit)

    async def sweep_ttl(self) -> int:
        """Remove all expired entries and return their number; safe at any time, in several processes at once."""
        return await self.sweep(self._now())

    async def _load(self, full_key: FullKey) -> list[ValueT]:
        """The value, in a list because it may be None; an empty list for a miss."""
        stored = await self._objects.get(_object_key(full_key))
        if stored is None:
            return []
        try:
            entry = _decode(stored)
            return [] if entry.is_expired(self._now()) else [self.serde.loads_typed(entry.typed)]
        except Exception:  # noqa: BLE001 -- whatever a serializer raises: a cache may forget, but must not end a run
            _log.warning("the cached value %s cannot be read; the node runs again", stored.key, exc_info=True)
            return []

    async def _store(self, now: datetime, pair: tuple[FullKey, tuple[Any, int | None]]) -> None:
        full_key, (value, seconds) = pair
        key = _object_key(full_key)
        entry = _Entry(self.serde.dumps_typed(value), None if seconds is None else now + timedelta(seconds=seconds))
        if entry.expires is not None:
            await self._expiries.mark(key, entry.expires)
        await self._objects.put(key, _encode(entry, full_key[0]))

    async def _visit(self, now: datetime, key: str) -> Visited:
        stored = await self._objects.get(key)
        if stored is None:
            return Visited(removed=False, expires=None)
        try:
            entry = _decode(stored)
        except ValueError:
            return Visited(removed=await self._objects.delete(key), expires=None)
        if not entry.is_expired(now):
            return Visited(removed=False, expires=entry.expires)
        try:
            return Visited(removed=await self._objects.delete(key, if_match=stored.etag), expires=None)
        except PreconditionFailed:  # it was set again a moment ago, with a marker of its own
            return Visited(removed=False, expires=None)


def _folder(namespace: Namespace) -> str:
    return f"{_ROOT}{_digest(json.dumps(list(namespace)))}/"


def _object_key(full_key: FullKey) -> str:
    namespace, key = full_key
    return _folder(namespace) + _digest(key)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _encode(entry: _Entry, namespace: Namespace) -> bytes:
    kind, data = entry.typed
    expires = None if entry.expires is None else entry.expires.isoformat()
    header = {"type": kind, "expires": expires, "namespace": list(namespace)}
    return json.dumps(header).encode() + b"\n" + data


def _decode(stored: StoredObject) -> _Entry:
    """Raise ValueError when the object is no entry."""
    line, newline, data = stored.data.partition(b"\n")
    if not newline:
        raise ValueError(f"the object {stored.key} is no cache entry: it has no first line")
    header = json.loads(line)
    try:
        expires = header["expires"]
        return _Entry((header["type"], data), None if expires is None else datetime.fromisoformat(expires))
    except (KeyError, TypeError) as error:
        raise ValueError(f"the object {stored.key} is no cache entry: {error!r}") from error
