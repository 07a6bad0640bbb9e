"""Any value of a graph as plain JSON, for people and programs that read over HTTP."""

from typing import Any

from pydantic_core import to_jsonable_python


def jsonable(value: Any) -> Any:
    """`value` as JSON: models and messages as objects, sets as lists, bytes as base64, the unknown as its repr.

    The state itself is stored by LangGraph's serializer and loses nothing by this.
    """
    return to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="strings", fallback=_shown)


def _shown(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    slots = getattr(value, "__slots__", None)
    if slots and not callable(value):
        return {name: getattr(value, name, None) for name in slots if not name.startswith("_")}
    return repr(value)
