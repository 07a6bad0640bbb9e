"""An item as it is stored: a JSON document with its names, value, times and vectors."""

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from durablegraph.errors import InvariantBroken
from durablegraph.storage.items.json_values import dumps, loads
from durablegraph.storage.items.names import Namespace, item_key

_FORMAT: Final = 1
Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Put:
    """An item to be stored; `ordinal` is its place in the batch, `vectors` are (field path, embedding)."""

    namespace: Namespace
    key: str
    value: Any
    ttl: timedelta | None
    ordinal: int
    vectors: tuple[tuple[str, Vector], ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A stored item. `expires` is None exactly when `ttl` is."""

    namespace: Namespace
    key: str
    value: Any
    created: datetime
    updated: datetime
    ordinal: int
    ttl: timedelta | None = None
    expires: datetime | None = None
    vectors: tuple[tuple[str, Vector], ...] = field(default=())

    @property
    def object_key(self) -> str:
        """Where it is stored."""
        return item_key(self.namespace, self.key)

    @property
    def age_order(self) -> tuple[datetime, int, Namespace, str]:
        """Sorts items in the order they were first put."""
        return self.created, self.ordinal, self.namespace, self.key

    def is_expired(self, now: datetime) -> bool:
        """Whether its time to live is over."""
        return self.expires is not None and self.expires <= now


def put_over(previous: Record | None, put: Put, now: datetime) -> Record:
    """The record after `put`; what it replaces (None when there is nothing alive) gives the time of creation."""
    return Record(
        namespace=put.namespace,
        key=put.key,
        value=put.value,
        created=previous.created if previous else now,
        updated=now,
        ordinal=previous.ordinal if previous else put.ordinal,
        ttl=put.ttl,
        expires=None if put.ttl is None else now + put.ttl,
        vectors=put.vectors,
    )


def refreshed(record: Record, now: datetime) -> Record:
    """The record with its time to live beginning anew; itself when that changes nothing."""
    if record.ttl is None or record.expires is None or now + record.ttl <= record.expires:
        return record
    return replace(record, expires=now + record.ttl)


def encode(record: Record) -> bytes:
    """The bytes of the object."""
    document: dict[str, Any] = {
        "format": _FORMAT,
        "namespace": record.namespace,
        "key": record.key,
        "value": record.value,
        "created": record.created.isoformat(),
        "updated": record.updated.isoformat(),
        "ordinal": record.ordinal,
    }
    if record.ttl is not None and record.expires is not None:
        document["ttl"] = record.ttl.total_seconds()
        document["expires"] = record.expires.isoformat()
    if record.vectors:
        document["vectors"] = [[path, _packed(vector)] for path, vector in record.vectors]
    return dumps(document)


def decode(object_key: str, data: bytes) -> Record:
    """The inverse of `encode`; raises InvariantBroken when the object is none that `encode` makes for this key."""
    try:
        document = loads(data)
        if document["format"] != _FORMAT:
            raise InvariantBroken(
                f"the object {object_key!r} has format {document['format']!r}; expected {_FORMAT}: it was written by a "
                "later version of durablegraph; upgrade this one"
            )
        record = _record(document)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise InvariantBroken(
            f"the object {object_key!r} is not an item: {error!r}; expected what ItemStore writes; restore or delete it"
        ) from error
    if record.object_key != object_key:
        raise InvariantBroken(
            f"the object {object_key!r} holds the item of {record.object_key!r}: it was moved by hand"
        )
    return record


def _record(document: Mapping[str, Any]) -> Record:
    ttl, expires = document.get("ttl"), document.get("expires")
    return Record(
        namespace=tuple(document["namespace"]),
        key=document["key"],
        value=document["value"],
        created=_moment(document["created"]),
        updated=_moment(document["updated"]),
        ordinal=int(document["ordinal"]),
        ttl=None if ttl is None else timedelta(seconds=ttl),
        expires=None if expires is None else _moment(expires),
        vectors=tuple((path, _unpacked(packed)) for path, packed in document.get("vectors", ())),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _unpacked(text: str) -> Vector:
    data = base64.b64decode(text)
    return struct.unpack(f"<{len(data) // 4}f", data)
