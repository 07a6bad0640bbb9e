"""Strict serialisation: what a checkpoint holds is rebuilt only as types that were allowed.

LangGraph's strict mode replaces a type that is not allowed by its bare content and goes on. A state that silently
changes its type is worse than an error, so this serialiser raises.
"""

import threading
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from durablegraph.errors import ConfigurationError

AllowedTypes: TypeAlias = Collection[type | tuple[str, ...]] | Literal[True]


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

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value; raises TypeNotAllowedError."""
        blocked = _blocked()
        outer, blocked.names = getattr(blocked, "names", None), []
        try:
            value = super().loads_typed(data)
            names = blocked.names
        finally:
            blocked.names = outer
        if names:
            raise TypeNotAllowedError(
                f"a checkpoint holds a value of type {', '.join(sorted(set(names)))}, which is not allowed: pass "
                "allowed_types=[…] to the saver, or set LANGGRAPH_STRICT_MSGPACK=true before langgraph is imported, so "
                "that each graph brings the types of its own state"
            )
        return value


@lru_cache(maxsize=1)
def _blocked() -> threading.local:
    """Where LangGraph's events of blocked types end up, by thread; listens from the first use on."""
    heard = threading.local()

    def hear(event: SerdeEvent) -> None:
        names = getattr(heard, "names", None)
        if names is not None and event["kind"] == "msgpack_blocked":
            names.append(f"{event['module']}.{event['name']}")

    register_serde_event_listener(hear)
    return heard
