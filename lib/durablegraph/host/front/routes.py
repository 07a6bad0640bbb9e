"""ASP.NET route templates, as HTTP triggers write them: ``{x}``, ``{x:int}``, ``{x?}``, ``{x=5}``, ``{*rest}``.

Paths match without regard to case. A constraint that this module does not know is refused when the route is built.
"""

import math
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

_PARAMETER = re.compile(r"\{(?P<stars>\*{0,2})(?P<name>[A-Za-z0-9_]+)(?P<rest>(?:[^{}]|\{\{|\}\})*)\}")
_CONSTRAINT = re.compile(r":(?P<name>[a-z]+)(?:\((?P<argument>(?:[^()]|\([^()]*\))*)\))?", re.IGNORECASE)
_LITERAL, _CONSTRAINED, _FREE, _CATCH_ALL = range(1, 5)


class RouteTemplateError(ValueError):
    """A template that cannot be served."""


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    optional: bool
    catch_all: bool
    default: str | None
    checks: tuple[Callable[[str], bool], ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A compiled template; `precedence` sorts more specific templates first."""

    template: str
    precedence: tuple[int, ...]
    _pattern: re.Pattern[str]
    _parameters: tuple[_Parameter, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """The route's parameters that have values, or None when `path` (raw, percent-encoded) does not match."""
        found = self._pattern.fullmatch(path.strip("/"))
        if found is None:
            return None
        values: dict[str, str] = {}
        for parameter in self._parameters:
            raw = found[parameter.name]
            value = _decoded(raw) if raw else parameter.default
            if value is None:
                continue
            if not all(check(value) for check in parameter.checks):
                return None
            values[parameter.name] = value
        return values


def compile_route(template: str) -> Route:
    """Compile a template without leading slash. Raises RouteTemplateError for what ASP.NET would refuse too."""
    segments = [segment for segment in template.strip("/").split("/") if segment]
    parameters: list[_Parameter] = []
    pattern, precedence = "", []
    for number, segment in enumerate(segments):
        found = [_parameter(match, template) for match in _PARAMETER.finditer(segment)]
        if any(each.catch_all for each in found) and number != len(segments) - 1:
            raise RouteTemplateError(f"{template!r}: found a catch-all before the end, expected it as the last part.")
        names = {each.name.lower() for each in parameters}
        if any(each.name.lower() in names for each in found):
            raise RouteTemplateError(f"{template!r}: found the same parameter twice. Rename one.")
        parameters += found
        precedence.append(_rank(segment, found))
        pattern += _segment_pattern(segment, found, first=not pattern)
    return Route(template, tuple(precedence), re.compile(pattern, re.IGNORECASE), tuple(parameters))


def _decoded(raw: str) -> str:
    """Percent-decoding that leaves an encoded slash alone, as ASP.NET's does."""
    return unquote(re.sub("%2[fF]", "%252F", raw))


def _parameter(found: re.Match[str], template: str) -> _Parameter:
    rest = found["rest"]
    default = None
    if "=" in rest:
        rest, default = rest.split("=", 1)
    optional = rest.endswith("?")
    rest = rest.removesuffix("?")
    constraints = list(_CONSTRAINT.finditer(rest))
    if "".join(each[0] for each in constraints) != rest:
        raise RouteTemplateError(
            f"{template!r}: found {found[0]!r}, expected {{name}}, {{name:constraint}} or {{name?}}."
        )
    return _Parameter(
        name=found["name"],
        optional=optional or default is not None,
        catch_all=bool(found["stars"]),
        default=default,
        checks=tuple(_check(each["name"].lower(), each["argument"] or "", template) for each in constraints),
    )


def _rank(segment: str, found: list[_Parameter]) -> int:
    if not found:
        return _LITERAL
    if any(each.catch_all for each in found):
        return _CATCH_ALL
    whole = _PARAMETER.fullmatch(segment) is not None
    return _FREE if whole and not found[0].checks else _CONSTRAINED


def _segment_pattern(segment: str, found: list[_Parameter], *, first: bool) -> str:
    slash = "" if first else "/"
    parts, end = [], 0
    for match, parameter in zip(_PARAMETER.finditer(segment), found, strict=True):
        parts.append(re.escape(segment[end : match.start()]))
        inner = ".*" if parameter.catch_all else "[^/]*" if parameter.optional else "[^/]+"
        parts.append(f"(?P<{parameter.name}>{inner})")
        end = match.end()
    parts.append(re.escape(segment[end:]))
    whole = "".join(parts)
    if len(found) == 1 and (found[0].optional or found[0].catch_all) and _PARAMETER.fullmatch(segment):
        return f"(?:{slash}{whole})?"
    return slash + whole


def _numeric(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            parse(value)
        except ValueError:
            return False
        return True

    return check


def _within(bits: int) -> Callable[[str], bool]:
    bound = 1 << (bits - 1)
    return lambda value: re.fullmatch(r"[+-]?\d+", value) is not None and -bound <= int(value) < bound


_PLAIN: Mapping[str, Callable[[str], bool]] = {
    "int": _within(32),
    "long": _within(64),
    "bool": lambda value: value.lower() in {"true", "false"},
    "alpha": lambda value: re.fullmatch(r"[A-Za-z]*", value) is not None,
    "guid": _numeric(uuid.UUID),
    "double": _numeric(float),
    "float": _numeric(float),
    "decimal": _numeric(float),
    "datetime": _numeric(datetime.fromisoformat),
    "required": bool,
    "exists": lambda _: True,
    "file": lambda value: "." in value.rsplit("/", 1)[-1],
    "nonfile": lambda value: "." not in value.rsplit("/", 1)[-1],
}


def _number(value: str) -> int | None:
    return int(value) if _within(64)(value) else None


def _from(bounds: list[int]) -> tuple[float, float] | None:
    return (bounds[0], math.inf) if len(bounds) == 1 else None


def _up_to(bounds: list[int]) -> tuple[float, float] | None:
    return (-math.inf, bounds[0]) if len(bounds) == 1 else None


def _between(bounds: list[int]) -> tuple[float, float] | None:
    return (bounds[0], bounds[1]) if len(bounds) == 2 else None  # noqa: PLR2004 -- a range has two ends


def _exactly_or_between(bounds: list[int]) -> tuple[float, float] | None:
    return (bounds[0], bounds[0]) if len(bounds) == 1 else _between(bounds)


_Measure = Callable[[str], int | None]
_BOUNDED: Mapping[str, tuple[_Measure, Callable[[list[int]], tuple[float, float] | None]]] = {
    "min": (_number, _from),
    "max": (_number, _up_to),
    "range": (_number, _between),
    "length": (len, _exactly_or_between),
    "minlength": (len, _from),
    "maxlength": (len, _up_to),
}


def _check(name: str, argument: str, template: str) -> Callable[[str], bool]:
    if name in _PLAIN and not argument:
        return _PLAIN[name]
    if name == "regex":
        pattern = re.compile(argument.replace("{{", "{").replace("}}", "}"), re.IGNORECASE)
        return lambda value: pattern.search(value) is not None
    bounds = [int(part) for part in argument.split(",") if re.fullmatch(r"\s*-?\d+\s*", part)]
    measure, range_of = _BOUNDED.get(name, (None, None))
    if measure is None or range_of is None or (limits := range_of(bounds)) is None:
        raise RouteTemplateError(
            f"{template!r}: found the constraint {name}({argument}), expected one of {', '.join(sorted(_PLAIN))}, "
            "min(n), max(n), range(n,m), length(n), length(n,m), minlength(n), maxlength(n), regex(pattern).",
        )
    low, high = limits
    return lambda value: (size := measure(value)) is not None and low <= size <= high
