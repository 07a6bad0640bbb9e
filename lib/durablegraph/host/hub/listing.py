"""Listings of instances: filters, order and paging over the journal and the entities."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from heapq import merge

from durablegraph.host.hub.journal import Journal, stored
from durablegraph.host.hub.state import Entity, RuntimeStatus
from durablegraph.host.hub.status import InstanceStatus, entity_status, instance_status

_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Query:
    """Which instances: all conditions must hold. `start_id` is where a page begins, `top` its length."""

    prefix: str = ""
    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: tuple[RuntimeStatus, ...] = ()
    top: int = 100
    start_id: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some instances, and the id that the next page begins with (None: this was the last)."""

    statuses: list[InstanceStatus]
    next_id: str | None


def read_page(journal: Journal, entities: Iterable[Entity], query: Query) -> Page:
    """One page, in the order of the ids."""
    conditions, values = _range(query.created_from, query.created_to, query.statuses)
    conditions += ["id >= ?", "id < ?"]
    values += [max(query.prefix, query.start_id), query.prefix + _LAST]
    rows = journal.select(" AND ".join(conditions), [*values, query.top + 1], "ORDER BY id LIMIT ?")
    orchestrations = (instance_status(row) for row in rows)
    shown = sorted((entity_status(entity) for entity in entities), key=lambda status: status.instance_id)
    merged = merge(
        orchestrations, (status for status in shown if _matches(status, query)), key=lambda status: status.instance_id
    )
    found = [status for status, _ in zip(merged, range(query.top + 1), strict=False)]
    return Page(found[: query.top], found[query.top].instance_id if len(found) > query.top else None)


def statuses_between(
    journal: Journal, start: datetime, end: datetime | None, statuses: Iterable[RuntimeStatus]
) -> list[str]:
    """The ids of the instances that were created in a range and have one of these statuses (any without one)."""
    conditions, values = _range(start, end, tuple(statuses))
    return [row.id for row in journal.select(" AND ".join(conditions), values)]


def _range(
    start: datetime | None, end: datetime | None, statuses: tuple[RuntimeStatus, ...]
) -> tuple[list[str], list[str | int]]:
    conditions, values = ["TRUE"], list[str | int]()
    if start is not None:
        conditions.append("created >= ?")
        values.append(stored(start))
    if end is not None:
        conditions.append("created <= ?")
        values.append(stored(end))
    if statuses:
        conditions.append(f"status IN ({','.join('?' * len(statuses))})")
        values += [status.value for status in statuses]
    return conditions, values


def _matches(status: InstanceStatus, query: Query) -> bool:
    within = (query.created_from is None or status.created >= query.created_from) and (
        query.created_to is None or status.created <= query.created_to
    )
    named = status.instance_id.startswith(query.prefix) and status.instance_id >= query.start_id
    return within and named and (not query.statuses or status.runtime_status in query.statuses)
