"""Values on their way from one saver to another, with no class of theirs ever built.

LangGraph's serializer writes msgpack, and an object as an extension of it: class and arguments. Who only copies leaves
extensions as they are. So nothing is lost because a class cannot be imported here, and nothing is run because a
database says so.
"""

from dataclasses import dataclass
from typing import Any, Final

import ormsgpack
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from typing_extensions import override

_OPTIONS: Final = (
    ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
    | ormsgpack.OPT_REPLACE_SURROGATES
)
"""As LangGraph's serializer has them, so that the bytes are the same."""


@dataclass(frozen=True, slots=True)
class Extension:
    """An object as it is stored: the code of its kind, and the bytes that tell the rest."""

    code: int
    raw: bytes


class UntouchedSerializer(JsonPlusSerializer):
    """LangGraph's serializer, which leaves objects as they are stored: `Extension`s go out as they came in."""

    def __init__(self) -> None:
        super().__init__(__unpack_ext_hook__=Extension)

    @override
    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        if obj is None or isinstance(obj, bytes | bytearray):
            return super().dumps_typed(obj)
        return "msgpack", ormsgpack.packb(obj, default=_packed, option=_OPTIONS)


def _packed(value: Any) -> Any:
    """An extension as msgpack has it; an object (of a saver that builds its own) as LangGraph writes it."""
    if not isinstance(value, Extension):
        value = ormsgpack.unpackb(
            JsonPlusSerializer().dumps_typed(value)[1], ext_hook=Extension, option=ormsgpack.OPT_NON_STR_KEYS
        )
    return ormsgpack.Ext(value.code, value.raw) if isinstance(value, Extension) else value


def leave_untouched(saver: BaseCheckpointSaver[Any]) -> None:
    """Make a saver leave values as they are, below its encryption; another serializer than LangGraph's builds them."""
    serde = saver.serde
    if isinstance(serde, EncryptedSerializer) and isinstance(serde.serde, JsonPlusSerializer):
        saver.serde = EncryptedSerializer(serde.cipher, UntouchedSerializer())
    elif isinstance(serde, JsonPlusSerializer):
        saver.serde = UntouchedSerializer()
