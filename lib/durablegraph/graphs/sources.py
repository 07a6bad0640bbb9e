"""How ``langgraph.json`` names a thing of the app: ``./path.py:attribute`` or ``package.module:attribute``."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from durablegraph.errors import ConfigurationError
from durablegraph.model.fan_out import FanOutPolicy

_SHOWN = 80
_JAVASCRIPT = re.compile(r"\.[cm]?[jt]sx?$")


@dataclass(frozen=True, slots=True)
class Source:
    """A file or module, and the name of a variable or function in it."""

    place: str
    attribute: str
    description: str = ""
    fan_out: FanOutPolicy | None = None


def graph_source(path: Path, name: str, value: object) -> Source:
    """Where a graph comes from: a string, or an object whose ``path`` is that string, with its ``fan_out`` policy."""
    wanted = value.get("path") if isinstance(value, dict) else value
    found = source(path, f"graph {name!r}", wanted, value)
    if _JAVASCRIPT.search(found.place):
        raise ConfigurationError(
            f"{path}: graph {name!r} is a JavaScript graph ({found.place}); only Python graphs are run. Remove it."
        )
    more = value if isinstance(value, dict) else {}
    return Source(
        place=found.place,
        attribute=found.attribute,
        description=str(more.get("description", "")),
        fan_out=fan_out_policy(f"{path}: graph {name!r}", more.get("fan_out")),
    )


def fan_out_policy(what: str, value: object) -> FanOutPolicy | None:
    """The policy for super-steps with several tasks, None where nothing is given."""
    if value is None or isinstance(value, FanOutPolicy):
        return value
    try:
        return FanOutPolicy.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'fan_out'} is {shown(item['input'])}: {item['msg']}"
            for item in error.errors()
        )
        raise ConfigurationError(
            f'{what}: "fan_out" is wrong: {problems}. Expected an object with some of "when" (auto, never, always), '
            '"width" (1 to 1000) and "failures" (all, at_least:3, at_least:80%, best_effort).'
        ) from error


def source(path: Path, what: str, wanted: object, value: object = None) -> Source:
    """What `wanted` names; raises ConfigurationError that shows `value`, the member it is part of."""
    if not isinstance(wanted, str) or ":" not in wanted:
        raise ConfigurationError(
            f'{path}: {what} is {shown(wanted if value is None else value)}; expected "./path/to/file.py:attribute" '
            'or "package.module:attribute".'
        )
    place, _, attribute = wanted.rpartition(":")
    if not place or not all(part.isidentifier() for part in attribute.split(".")):
        raise ConfigurationError(
            f"{path}: {what} is {wanted!r}; what stands after the last ':' must be the name of a variable or "
            "function in the module."
        )
    return Source(place=place, attribute=attribute)


def shown(value: object) -> str:
    """A value of the file as one line of a terminal."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[:77]}..."
