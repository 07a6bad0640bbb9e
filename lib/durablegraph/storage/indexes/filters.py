"""What a list is asked for, and the facets under which the same things are found."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from durablegraph.model.ids import key_part
from durablegraph.model.records import Listed

ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is given must hold. `created_after` is inclusive, `created_before` exclusive; both are aware.

    A metadata value is compared as text: a string as it is, a number or a boolean as JSON writes it.
    """

    status: str | None = None
    graph: str | None = None
    thread_id: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None

    def holds(self, record: Listed) -> bool:
        """Whether a record is to be shown."""
        return self.holds_outside_metadata(record) and all(
            text_of(record.metadata.get(name)) == value for name, value in self.metadata
        )

    def holds_outside_metadata(self, record: Listed) -> bool:
        """As `holds`, for a record whose metadata is not at hand."""
        return (
            (self.status is None or record.status == self.status)
            and (self.graph is None or record.graph == self.graph)
            and (self.thread_id is None or getattr(record, "thread_id", None) == self.thread_id)
            and (self.created_after is None or record.created_at >= self.created_after)
            and (self.created_before is None or record.created_at < self.created_before)
        )

    def facets(self) -> list[str]:
        """The facets that each hold everything asked for, those first that usually hold least."""
        found = [] if self.thread_id is None else [thread_facet(self.thread_id)]
        found += [_pair_facet(name, value) for name, value in self.metadata]
        found += [] if self.status is None else [status_facet(self.status)]
        found += [] if self.graph is None else [graph_facet(self.graph)]
        return found or [ALL]


def status_facet(status: str) -> str:
    """The facet of a status."""
    return f"status/{status}"


def graph_facet(graph: str) -> str:
    """The facet of a graph."""
    return f"graph/{key_part(graph)}"


def thread_facet(thread_id: str) -> str:
    """The facet of a thread's runs."""
    return f"thread/{key_part(thread_id)}"


def metadata_facets(metadata: Mapping[str, Any]) -> Iterator[str]:
    """A facet for every member that is a string, a number or a boolean."""
    for name, value in metadata.items():
        if (text := text_of(value)) is not None:
            yield _pair_facet(name, text)


def text_of(value: Any) -> str | None:
    """A metadata value as filters compare it; None for null, lists and objects, which no filter finds."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else None


def _pair_facet(name: str, text: str) -> str:
    pair = json.dumps([name, text]).encode()  # escapes lone surrogates too
    return f"metadata/{hashlib.sha256(pair).hexdigest()[:32]}"
