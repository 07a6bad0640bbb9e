"""Strict serialisation: what a checkpoint holds is rebuilt only as types that were allowed.

LangGraph's strict mode replaces a type that is not allowed by its bare content and goes on. A state that silently
changes its type is worse than an error, so this serialiser raises.
"""

import sys
import threading
from collections.abc import Collection
from dataclasses import is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import ormsgpack
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import EXT_CONSTRUCTOR_POS_ARGS, JsonPlusSerializer
from pydantic import BaseModel
from typing_extensions import override

from durablegraph.errors import ConfigurationError

TypeName: TypeAlias = tuple[str, str]
"""Module and name."""

AllowedTypes: TypeAlias = Collection[type | tuple[str, ...]] | Literal[True]


_SEND = ("langgraph.types", "Send")


def _is_send(value: object) -> bool:
    kind = type(value)
    return kind.__name__ == _SEND[1] and kind.__module__ == _SEND[0]


class TypeNotAllowedError(ConfigurationError):
    """A checkpoint holds a value of a type that may not be rebuilt."""

    code = "type_not_allowed"


class StrictSerializer(JsonPlusSerializer):
    """LangGraph's serialiser with an allowlist; reading a value of any other type raises TypeNotAllowedError."""

    def __init__(self, allowed_types: AllowedTypes = ()) -> None:
        """`allowed_types` are classes or (module, name), beside LangGraph's safe ones; True allows all."""
        if allowed_types is True:
            super().__init__(allowed_msgpack_modules=True)
        else:
            super().__init__(allowed_msgpack_modules=tuple(allowed_types) or None)

    @override
    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """As LangGraph does, sends quicker: it finds out by a protocol's members, one after the other, what each is."""
        if type(obj) is list and obj and all(map(_is_send, obj)):
            return super().dumps_typed([self._packed(send) for send in obj])
        return super().dumps_typed(self._packed(obj) if _is_send(obj) else obj)

    def _packed(self, send: Any) -> Any:
        timed = () if send.timeout is None else (send.timeout,)
        _, content = super().dumps_typed((_SEND[0], _SEND[1], (send.node, send.arg, *timed)))
        return ormsgpack.Ext(EXT_CONSTRUCTOR_POS_ARGS, content)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value; raises TypeNotAllowedError."""
        blocked = _blocked()
        outer, blocked.types = getattr(blocked, "types", None), set()
        try:
            value = super().loads_typed(data)
            refused: set[TypeName] = blocked.types
        finally:
            blocked.types = outer
        return self._judge(data, refused) if refused else value

    def _judge(self, data: tuple[str, bytes], refused: set[TypeName]) -> Any:
        del data
        named = ", ".join(sorted(".".join(item) for item in refused))
        raise TypeNotAllowedError(
            f"a checkpoint holds a value of type {named}, which is not allowed: pass allowed_types=[…] to the saver "
            "(DURABLEGRAPH_ALLOWED_TYPES in an app), or set LANGGRAPH_STRICT_MSGPACK=true before langgraph is "
            "imported, so that each graph brings the types of its own state"
        )


class AppSerializer(StrictSerializer):
    """The serialiser of an app's runs: also rebuilds data classes of modules that this process has imported itself.

    A graph may keep a value whose type its schema does not name (``Any``, a structured answer), and has to find it
    again as it was. Models, dataclasses, enums and named tuples only hold values; all else is refused as ever.
    """

    def _judge(self, data: tuple[str, bytes], refused: set[TypeName]) -> Any:
        if not all(_is_data(*item) for item in refused):
            return super()._judge(data, refused)
        widened = self.with_msgpack_allowlist(refused)
        if widened is self:
            return super()._judge(data, refused)
        self._allowed_msgpack_modules = widened._allowed_msgpack_modules  # noqa: SLF001 -- of our own class: remembered
        self._unpack_ext_hook = widened._unpack_ext_hook  # noqa: SLF001 -- goes by the list that it was made with
        return widened.loads_typed(data)


def _is_data(module: str, name: str) -> bool:
    """Whether this is a class of an imported module that only holds values."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        return False
    return issubclass(found, BaseModel | Enum) or is_dataclass(found) or hasattr(found, "_fields")


@lru_cache(maxsize=1)
def _blocked() -> threading.local:
    """Where LangGraph's events of blocked types end up, by thread; listens from the first use on."""
    heard = threading.local()

    def hear(event: SerdeEvent) -> None:
        types = getattr(heard, "types", None)
        if types is not None and event["kind"] == "msgpack_blocked":
            types.add((event["module"], event["name"]))

    register_serde_event_listener(hear)
    return heard
