"""What an item may hold: any JSON value, checked before it is stored, so that it is read back as it was put."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from durablegraph.errors import InvalidRequest

DEEPEST: Final = 200
"""Nesting that every reader of JSON takes."""


def to_json_value(value: Any) -> Any:
    """A copy made of dicts, lists, strings, numbers, booleans and None; tuples become lists.

    Raises InvalidRequest (422) that names the place of what is not JSON.
    """
    return _copied(value, "$", 0)


def dumps(value: Any) -> bytes:
    """UTF-8 that also carries lone surrogates."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def loads(data: bytes) -> Any:
    """The inverse of `dumps`; raises ValueError."""
    return json.loads(data.decode("utf-8", "surrogatepass"))


def _copied(value: Any, place: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise _refused(
            place[:60] + "…", f"more than {DEEPEST} levels of nesting", "put it in several items, or flatten it"
        )
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            if not math.isfinite(value):
                raise _refused(place, repr(value), "JSON has no such number: put None or a string")
            return value
        case Mapping():
            return {_name(name, place): _copied(part, f"{place}.{name}", depth + 1) for name, part in value.items()}
        case list() | tuple():
            return [_copied(part, f"{place}[{index}]", depth + 1) for index, part in enumerate(value)]
        case _:
            raise _refused(
                place, f"a {type(value).__name__}", "convert it first, for example a datetime by isoformat()"
            )


def _name(name: Any, place: str) -> str:
    if not isinstance(name, str):
        raise _refused(place, f"the field name {name!r}", "field names are strings: convert it first")
    return name


def _refused(place: str, found: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(
        f"the item's value cannot be stored: found {found} at {place}; expected JSON; {remedy}",
        code="invalid_item",
        status=422,
    )
