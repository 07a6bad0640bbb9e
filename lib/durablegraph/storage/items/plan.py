"""What a batch of operations amounts to, decided before anything is read or written."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from langgraph.store.base import GetOp, ListNamespacesOp, Op, PutOp, SearchOp, validate_op_namespace

from durablegraph.errors import InvalidRequest
from durablegraph.storage.items.embedding import Embedded, Embedder
from durablegraph.storage.items.json_values import to_json_value
from durablegraph.storage.items.matching import check_filter
from durablegraph.storage.items.names import Namespace
from durablegraph.storage.items.record import Put

_LONGEST_TTL: Final = timedelta(days=36500)
Read = GetOp | SearchOp | ListNamespacesOp


@dataclass(frozen=True, slots=True)
class Delete:
    """An item to be removed."""

    namespace: Namespace
    key: str


@dataclass(frozen=True, slots=True)
class PlannedPut:
    """A put whose texts (field path, text) are still to be embedded."""

    put: Put
    texts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Reads with their places among the results; one write at most for each item, the last one of the batch."""

    size: int
    reads: tuple[tuple[int, Read], ...]
    puts: tuple[PlannedPut, ...]
    deletes: tuple[Delete, ...]

    @property
    def texts(self) -> list[str]:
        """All that must be embedded before anything is written."""
        return [text for planned in self.puts for _, text in planned.texts]

    @property
    def queries(self) -> list[str]:
        """All that must be embedded before anything is searched."""
        return [op.query for _, op in self.reads if isinstance(op, SearchOp) and op.query]

    @property
    def written(self) -> set[tuple[Namespace, str]]:
        """Items that the batch replaces or removes."""
        puts = {(planned.put.namespace, planned.put.key) for planned in self.puts}
        return puts | {(delete.namespace, delete.key) for delete in self.deletes}


def plan(ops: Iterable[Op], embedder: Embedder | None) -> Plan:
    """Check and sort the operations; values are copied, so what callers do with theirs afterwards has no effect."""
    reads: list[tuple[int, Read]] = []
    last: dict[tuple[Namespace, str], PutOp] = {}
    size = 0
    for op in ops:
        if isinstance(op, PutOp):
            validate_op_namespace(op)
            last[tuple(op.namespace), str(op.key)] = op
        elif isinstance(op, GetOp | SearchOp | ListNamespacesOp):
            validate_op_namespace(op)
            if isinstance(op, SearchOp):
                check_filter(op.filter)
            reads.append((size, op))
        else:
            raise ValueError(f"Unknown operation type: {type(op)}")  # noqa: TRY004 -- what LangGraph's stores raise
        size += 1
    puts = [
        _planned(place, op, ordinal, embedder)
        for ordinal, (place, op) in enumerate(last.items())
        if op.value is not None
    ]
    deletes = [Delete(*place) for place, op in last.items() if op.value is None]
    return Plan(size, tuple(reads), tuple(puts), tuple(deletes))


def with_vectors(planned: PlannedPut, embedded: Embedded) -> Put:
    """The put, ready to be stored."""
    put = planned.put
    vectors = tuple((path, embedded.texts[text]) for path, text in planned.texts)
    return Put(put.namespace, put.key, put.value, put.ttl, put.ordinal, vectors)


def _planned(place: tuple[Namespace, str], op: PutOp, ordinal: int, embedder: Embedder | None) -> PlannedPut:
    value: Any = to_json_value(op.value)
    texts = embedder.texts(value, op.index) if embedder is not None and op.index is not False else ()
    return PlannedPut(Put(*place, value, time_to_live(op.ttl), ordinal), texts)


def time_to_live(minutes: float | None) -> timedelta | None:
    """LangGraph's minutes as a duration; raises InvalidRequest (422) when there is no such duration."""
    if minutes is None:
        return None
    if not math.isfinite(minutes) or not 0 <= minutes <= _LONGEST_TTL.total_seconds() / 60:
        raise InvalidRequest(
            f"found a time to live of {minutes!r} minutes; expected a number from 0 to {_LONGEST_TTL.days} days, "
            "or None for an item that never expires",
            code="invalid_item",
            status=422,
        )
    return timedelta(minutes=minutes)
