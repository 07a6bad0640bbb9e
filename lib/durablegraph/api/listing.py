"""What a list is asked for in a query, and the cursors that lead from page to page."""

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from durablegraph.errors import InvalidRequest
from durablegraph.storage.indexes import Filter
from durablegraph.storage.indexes.positions import is_position

PAGE, LARGEST_PAGE = 20, 100
_METADATA = "metadata."


def filter_of(query: Mapping[str, str], statuses: Iterable[str]) -> Filter:
    """What `query` asks for; raises 400 for a value that nothing can have."""
    status = query.get("status")
    known = [str(item) for item in statuses]
    if status is not None and status not in known:
        raise InvalidRequest(f"status {status!r} is none of {known}")
    return Filter(
        status=status,
        graph=query.get("graph"),
        thread_id=query.get("thread_id"),
        metadata=tuple((name[len(_METADATA) :], text) for name, text in query.items() if name.startswith(_METADATA)),
        created_after=_moment(query, "created_after"),
        created_before=_moment(query, "created_before"),
    )


def limit_of(query: Mapping[str, str]) -> int:
    """How many a page holds; raises 400."""
    text = query.get("limit") or str(PAGE)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LARGEST_PAGE:
        raise InvalidRequest(f"limit={text!r}: give a whole number from 1 to {LARGEST_PAGE}")
    return int(text)


def position_of(query: Mapping[str, str], kind: str) -> str | None:
    """The position that a cursor of this kind of list stands for; raises 400 for any other text."""
    cursor = query.get("cursor")
    if not cursor:
        return None
    try:
        plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        plain = ""
    found, _, rest = plain.partition(":")
    position, _, check = rest.rpartition(":")
    if found != kind or check != _check(position) or not is_position(position):
        raise InvalidRequest(
            f"cursor={cursor[:80]!r} is none of a list of {kind}: give the `next` of the page before as it is, "
            "or leave it out for the first page"
        )
    return position


def cursor_of(kind: str, position: str | None) -> str | None:
    """The cursor that leads behind a position; None stays None."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(f"{kind}:{position}:{_check(position)}".encode()).decode().rstrip("=")


def _check(position: str) -> str:
    """Tells a cursor that was cut off or mistyped from a whole one."""
    return f"{zlib.crc32(position.encode()):08x}"


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign in a query means a space
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidRequest(f"{name}={text[:80]!r}: give a time with its offset, such as 2026-01-31T12:00:00Z")
    return moment
