"""JSON as the extension's .NET serializer reads and writes it.

Results of activities and outputs of orchestrators pass through it on the real host, with its metadata reading switched
on: a leading ``$ref``, ``$id``, ``$type`` or ``$values`` of the top-level object is taken as the serializer's own,
nesting beyond 64 is an error, NaN becomes a string, and the text is compacted. Apps meet all of it, so it is repeated
here.
"""

import json
import re
from typing import Any

MAX_DEPTH = 64
_TOKEN = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"|\s+|-?Infinity|NaN|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[\[\]{},:]|[a-z]+', re.DOTALL
)
_NEEDS_ESCAPE = re.compile('[\\x00-\\x1f"\\\\\x85\u2028\u2029]')
_UNCOMMON = re.compile(r"[\\\x00-\x1f]|[^\S ]|NaN|Infinity")
_FRACTION = re.compile(r"\d[.eE]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_METADATA = re.compile(r'\s*"(\$ref|\$id|\$type|\$values)"\s*:\s*')
_NAME = re.compile(r'\s*("[^"\\]*(?:\\.[^"\\]*)*")\s*:')
_LENIENT = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"|\'[^\'\\]*(?:\\.[^\'\\]*)*\'|(?<=[{,])\s*[A-Za-z_$][\w$]*(?=\s*:)', re.DOTALL
)
_DECODER = json.JSONDecoder()


class JsonError(ValueError):
    """What the .NET serializer raises; `kind` is ``JsonReaderException`` or ``JsonSerializationException``."""

    def __init__(self, message: str, kind: str = "JsonReaderException") -> None:
        super().__init__(message)
        self.kind = kind


def well_formed(text: str) -> str:
    """The text with every lone surrogate replaced by U+FFFD, as UTF-8 cannot carry it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def quote(text: str) -> str:
    """A JSON string literal with Newtonsoft's default escapes (non-ASCII stays as it is)."""
    escaped = _NEEDS_ESCAPE.sub(lambda m: _ESCAPES.get(m[0]) or f"\\u{ord(m[0]):04x}", text)
    return f'"{well_formed(escaped)}"'


def _rewrite(match: re.Match[str]) -> str:
    token = match[0]
    first = token[0]
    if first == '"':
        return (
            quote(json.loads(token, strict=False))
            if "\\" in token or _NEEDS_ESCAPE.search(token, 1, len(token) - 1)
            else token
        )
    if first.isspace():
        return ""
    if token in {"NaN", "Infinity", "-Infinity"}:
        return f'"{token}"'
    if (first.isdigit() or first == "-") and any(c in token for c in ".eE"):
        return repr(float(token)).replace("e", "E")
    return token


def compact(text: str) -> str:
    """The same JSON without white space, numbers and escapes written as .NET writes them."""
    parts = text.split('"')
    if len(parts) % 2 and not _UNCOMMON.search(text):
        # Without escapes every second part is a string, and outside of them only spaces and fractions are changed.
        outside = '"'.join(parts[::2]).replace(" ", "")
        if not _FRACTION.search(outside):
            parts[::2] = outside.split('"')
            return '"'.join(parts)
    return _TOKEN.sub(_rewrite, text)


def json_text(value: Any) -> str:
    """A Python value as JSON, not yet written as .NET does."""
    return json.dumps(value, ensure_ascii=False)


def dumps(value: Any) -> str:
    """A Python value as compact .NET JSON."""
    return compact(json_text(value))


def loads(text: str) -> Any:
    """Reads JSON as leniently as Newtonsoft, which takes single quotes and bare names. ValueError when it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return json.loads(_LENIENT.sub(_strict, text))


def read_body(text: str) -> str:
    """Checks a request body that must be one JSON value; returns what follows it. JsonError with the real text."""
    stripped = text.lstrip()
    if not stripped:
        raise JsonError("Unexpected end when reading JSON. Path '', line 0, position 0.", "JsonSerializationException")
    strict = _LENIENT.sub(_strict, text)
    start = len(strict) - len(strict.lstrip())
    try:
        _, end = _DECODER.raw_decode(strict, start)
    except json.JSONDecodeError as error:
        line, position = (0, 0) if error.pos <= start else place(strict, error.pos)
        if error.pos >= len(strict.rstrip()):
            line, position = place(strict, len(strict))
            raise JsonError(
                f"Unexpected end when reading JSON. Path '', line {line}, position {position}.",
                "JsonSerializationException",
            ) from error
        found = strict[error.pos]
        raise JsonError(
            f"Unexpected character encountered while parsing value: {found}. Path '', line {line}, position {position}."
        ) from error
    return strict[end:]


def one_value(text: str) -> str:
    """The first JSON value of a text, compact; what follows is ignored, as the events API does. JsonError otherwise."""
    strict = _LENIENT.sub(_strict, text)
    start = len(strict) - len(strict.lstrip())
    if start == len(strict):
        raise JsonError("Error reading JToken from JsonReader. Path '', line 0, position 0.")
    try:
        _, end = _DECODER.raw_decode(strict, start)
    except json.JSONDecodeError as error:
        if strict[start] in "{[" and error.pos > start:
            kind = "JObject" if strict[start] == "{" else "JArray"
            line, position = place(strict, min(error.pos, len(strict)))
            raise JsonError(
                f"Error reading {kind} from JsonReader. Path '', line {line}, position {position}."
            ) from error
        raise JsonError(
            f"Unexpected character encountered while parsing value: {strict[start]}. Path '', line 0, position 0."
        ) from error
    return compact(strict[start:end])


def _strict(match: re.Match[str]) -> str:
    token = match[0].strip()
    if token.startswith('"'):
        return token
    if token.startswith("'"):
        return json.dumps(token[1:-1].replace("\\'", "'"))
    return json.dumps(token)


def read_object(text: str) -> str | None:
    """What is left of a result after .NET has read it as an object: compact JSON, None for null. JsonError as there."""
    if text.count("[") + text.count("{") > MAX_DEPTH:
        check_depth(text)
    if '"$' in text and text.lstrip().startswith("{"):
        text = _without_metadata(text)
    result = compact(text)
    return None if result == "null" else result


def check_depth(text: str) -> None:
    """JsonError when arrays and objects are nested deeper than 64."""
    path: list[str] = []
    expects_name = [False]
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece in {"[", "{"}:
            if len(path) == MAX_DEPTH:
                shown = "".join(path).removeprefix(".")
                line, position = place(text, match.end())
                raise JsonError(
                    f"The reader's MaxDepth of {MAX_DEPTH} has been exceeded. Path '{shown}', line {line}, "
                    f"position {position}."
                )
            path.append("[0]" if piece == "[" else "")
            expects_name.append(piece == "{")
        elif piece in {"]", "}"} and path:
            path.pop()
            expects_name.pop()
        elif piece == "," and path:
            if path[-1].startswith("["):
                path[-1] = f"[{int(path[-1][1:-1]) + 1}]"
            else:
                expects_name[-1] = True
        elif piece.startswith('"') and expects_name[-1]:
            path[-1] = "." + json.loads(piece, strict=False)
            expects_name[-1] = False


def place(text: str, end: int) -> tuple[int, int]:
    """Line and position as the serializer counts them."""
    before = text[:end]
    return before.count("\n") + 1, end - (before.rfind("\n") + 1)


def _without_metadata(text: str) -> str:
    """Drops the leading metadata members of the top-level object, in the serializer's own order of reading."""
    at = text.index("{") + 1
    start = at
    while match := _METADATA.match(text, at):
        name = match[1]
        value, end = _DECODER.raw_decode(text, match.end())
        if name == "$ref":
            return _reference(text, value, end)
        if name == "$values":
            return text[match.end() : end]
        at = end
        comma = re.compile(r"\s*,").match(text, at)
        if comma is None:
            break
        at = comma.end()
    return "{" + text[at:].lstrip() if at != start else text


def _reference(text: str, value: Any, end: int) -> str:
    line, position = place(text, end)
    if value is not None and not isinstance(value, str):
        where = f"Path '$ref', line {line}, position {position}."
        message = f"JSON reference $ref property must have a string or null value. {where}"
        raise JsonError(message, "JsonSerializationException")
    if (comma := re.compile(r"\s*,").match(text, end)) and (name := _NAME.match(text, comma.end())):
        line, position = place(text, name.end())
        message = (
            "Additional content found in JSON reference object. A JSON reference object should only have a "
            "$ref property. "
            f"Path '{json.loads(name[1])}', line {line}, position {position}."
        )
        raise JsonError(message, "JsonSerializationException")
    return "null"
