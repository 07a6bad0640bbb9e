"""From bytes to trusted values: size, syntax, depth and number of JSON values are checked before anything is stored."""

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from durablegraph.api.http import ApiRequest
from durablegraph.errors import InvalidRequest, TooLarge
from durablegraph.settings import Settings

Model = TypeVar("Model", bound=BaseModel)

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[][{}]")


def read_json(request: ApiRequest, settings: Settings, *, default: Any = ...) -> Any:
    """The body as JSON; without a body, `default` if given. Raises 400, 413 or 422 with what was found."""
    body = request.body
    if len(body) > settings.max_body_bytes:
        raise TooLarge(
            f"the body has {len(body)} bytes, at most {settings.max_body_bytes} are accepted: "
            "send large material by reference, or raise DURABLEGRAPH_MAX_BODY_BYTES"
        )
    if not body.strip():
        if default is not ...:
            return default
        raise InvalidRequest("the request has no body: send a JSON value, null included")
    if (depth := _depth(body, settings.max_json_depth)) > settings.max_json_depth:
        raise InvalidRequest(
            f"the body nests {depth} levels or more, at most {settings.max_json_depth} are accepted", status=422
        )
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not JSON: {error}; send application/json") from error
    nodes = _nodes(value)
    if nodes > settings.max_json_nodes:
        raise InvalidRequest(f"the body has {nodes} values, at most {settings.max_json_nodes} are accepted", status=422)
    return value


def parse(model: type[Model], value: Any) -> Model:
    """`value` as a request model; raises 422 that names each field."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"the body is a {type(value).__name__}: send a JSON object", status=422)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [
            {"field": ".".join(str(part) for part in item["loc"]), "problem": item["msg"]} for item in error.errors()
        ]
        told = "; ".join(f"{item['field'] or 'body'}: {item['problem']}" for item in problems)
        raise InvalidRequest(f"the body does not fit: {told}", status=422, errors=problems) from error


def _depth(body: bytes, limit: int) -> int:
    """How deep the JSON text nests, counted without recursion and only as far as just over the limit."""
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
        if depth > limit:
            break
    return deepest


def _nodes(value: Any) -> int:
    count, todo = 0, [value]
    while todo:
        item = todo.pop()
        count += 1
        if isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
    return count


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
