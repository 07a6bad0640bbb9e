"""The members ``checkpointer`` and ``store`` of ``langgraph.json``: which saver, and how long-term memory is kept.

Their shapes are LangGraph's: https://docs.langchain.com/langsmith/custom-checkpointer,
https://docs.langchain.com/langsmith/semantic-search, https://docs.langchain.com/langsmith/configure-ttl.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durablegraph.errors import ConfigurationError
from durablegraph.graphs.sources import Source, shown, source

_INDEX = ("embed", "dims", "fields")
_TTL = ("default_ttl", "refresh_on_read", "sweep_interval_minutes")


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The vector index of long-term memory.

    `embed` is a function of the app, or a model as ``init_embeddings`` names it (``openai:text-embedding-3-small``).
    `dims` is the length of its vectors; `fields` are the paths of a value that are embedded, None for all of it.
    """

    embed: Source | str
    dims: int
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TtlSettings:
    """How long items live: all times are minutes, None for ever (or, of the sweep, for no interval of its own)."""

    default_ttl: float | None = None
    refresh_on_read: bool = True
    sweep_interval_minutes: float | None = None


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What ``store`` says."""

    index: IndexSettings | None = None
    ttl: TtlSettings | None = None


def checkpointer_of(path: Path, found: object) -> tuple[Source | None, list[str]]:
    """The saver that is to take the place of ours, and a notice for each part that is not used."""
    members = _members(path, "checkpointer", found)
    unused = [
        f'"checkpointer.{name}" is not used: {_INSTEAD.get(name, "it is not a member that we know")}'
        for name in sorted(members.keys() - {"path"})
    ]
    if members.get("path") is None:
        return None, unused
    return source(path, '"checkpointer.path"', members["path"]), unused


_INSTEAD = {
    "ttl": "see DURABLEGRAPH_* for how long threads are kept",
    "serde": "types are allowed by DURABLEGRAPH_ALLOWED_TYPES; a saver of your own has a serializer of its own",
}


def store_of(path: Path, found: object) -> StoreSettings:
    """What ``store`` says; raises ConfigurationError that names the member which is wrong."""
    members = _members(path, "store", found, ("index", "ttl"))
    index, ttl = members.get("index"), members.get("ttl")
    return StoreSettings(
        index=None if index is None else _index(path, _members(path, "store.index", index, _INDEX)),
        ttl=None if ttl is None else _ttl(path, _members(path, "store.ttl", ttl, _TTL)),
    )


def _index(path: Path, members: Mapping[str, Any]) -> IndexSettings:
    dims, fields = members.get("dims"), members.get("fields")
    if not isinstance(dims, int) or isinstance(dims, bool) or dims < 1:
        raise _wrong(path, "store.index.dims", dims, "the number of dimensions of the embeddings, such as 1536")
    if fields is not None and (
        not isinstance(fields, list) or not fields or not all(isinstance(each, str) and each for each in fields)
    ):
        raise _wrong(path, "store.index.fields", fields, 'a list of paths such as ["text", "metadata.title"]')
    return IndexSettings(_embed(path, members.get("embed")), dims, tuple(fields) if fields else None)


def _embed(path: Path, found: object) -> Source | str:
    """A function of the app where the name has a path or a dotted module, else a model of a provider."""
    if not isinstance(found, str) or not found.partition(":")[2]:
        raise _wrong(
            path,
            "store.index.embed",
            found,
            '"provider:model" ("openai:text-embedding-3-small") or "./file.py:function"',
        )
    place = found.rpartition(":")[0]
    is_ours = "/" in place or "\\" in place or "." in place.partition(":")[0]
    return source(path, '"store.index.embed"', found) if is_ours else found


def _ttl(path: Path, members: Mapping[str, Any]) -> TtlSettings:
    refresh = members.get("refresh_on_read", True)
    if not isinstance(refresh, bool):
        raise _wrong(path, "store.ttl.refresh_on_read", refresh, "true or false")
    return TtlSettings(
        default_ttl=_minutes(path, "default_ttl", members.get("default_ttl")),
        refresh_on_read=refresh,
        sweep_interval_minutes=_minutes(path, "sweep_interval_minutes", members.get("sweep_interval_minutes")),
    )


def _minutes(path: Path, name: str, found: object) -> float | None:
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found) or found <= 0:
        raise _wrong(path, f"store.ttl.{name}", found, "a number of minutes above 0")
    return float(found)


def _members(path: Path, name: str, found: object, known: tuple[str, ...] | None = None) -> Mapping[str, Any]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _wrong(path, name, found, "an object")
    if known is not None and (others := sorted(found.keys() - set(known))):
        raise ConfigurationError(
            f'{path}: "{name}" has the members {", ".join(others)}; expected only {", ".join(known)}. Remove them.'
        )
    return found


def _wrong(path: Path, name: str, found: object, expected: str) -> ConfigurationError:
    return ConfigurationError(f'{path}: "{name}" is {shown(found)}; expected {expected}.')
