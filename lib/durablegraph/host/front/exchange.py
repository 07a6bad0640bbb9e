"""Between HTTP and the values that pass between host and worker.

Source: the host's own conversion (host 4.1037): header names lower-case, empty query values dropped, bodies without a
length not read, duplicate response headers dropped, returned texts taken for JSON where they are.
"""

import json
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from durablegraph.host.invocation import HttpRequestData, HttpResponseData, InvocationResult

_LARGEST_BODY = 100 * 1024 * 1024
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "trailer"}
_NO_BODY = {204, 304}


class BodyTooLarge(Exception):  # noqa: N818 -- a fact about the request
    """The request's body is longer than the host takes (100 MB)."""


async def read_request(request: Request, route_params: dict[str, str]) -> HttpRequestData:
    """What the worker receives. Raises BodyTooLarge."""
    return HttpRequestData(
        method=request.method,
        url=public_url(request),
        headers=_joined((name.lower(), value) for name, value in request.headers.items()),
        params=_joined((name, value) for name, value in _query(request) if value),
        route_params=route_params,
        body=await _body(request),
    )


def public_url(request: Request) -> str:
    """The URL as the caller wrote it: scheme, Host header, raw path and raw query."""
    query = request.scope["query_string"].decode("latin-1")
    return f"{origin(request)}{raw_path(request)}{'?' + query if query else ''}"


def origin(request: Request) -> str:
    """Scheme and authority by which the caller reached the host."""
    host = request.headers.get("host") or "localhost"
    return f"{request.scope['scheme']}://{host}"


def raw_path(request: Request) -> str:
    """The path as it came over the wire, still percent-encoded."""
    raw: bytes | None = request.scope.get("raw_path")
    return raw.decode("latin-1").split("?", 1)[0] if raw else request.url.path


def response_of(result: InvocationResult) -> Response:
    """The HTTP response for the result of an HTTP function; a failed one is 500 without a body."""
    if result.error is not None or result.output is None:
        return Response(status_code=500)
    value = result.output.value
    if isinstance(value, HttpResponseData):
        return _response(value)
    if isinstance(value, str):
        return _text_response(value)
    return Response(status_code=200 if value is None else 500)


def _response(answer: HttpResponseData) -> Response:
    response = _chunked(Response(answer.body if answer.status not in _NO_BODY else None, status_code=answer.status))
    seen: set[str] = set()
    for name, value in answer.headers:
        lower = name.lower()
        if lower in _HOP_BY_HOP or (lower in seen and lower != "set-cookie"):
            continue
        seen.add(lower)
        if lower == "set-cookie":
            response.headers.append(lower, value)
        else:
            response.headers[name] = value
    return response


def _chunked(response: Response) -> Response:
    """Leave out the length of a body, so that it is sent in chunks: functions' responses come so from the real host."""
    if response.body:
        del response.headers["content-length"]
    return response


def _text_response(text: str) -> Response:
    """A returned text: a JSON object with `body` describes the response, other JSON is shown indented."""
    try:
        value = json.loads(text)
    except ValueError:
        return _chunked(Response(text, media_type="text/plain"))
    if isinstance(value, dict) and "body" in value:
        return _described(value)
    if isinstance(value, dict | list):
        text = json.dumps(value, indent=2, ensure_ascii=False)
    return _chunked(Response(text, media_type="text/plain"))


def _described(value: dict[str, Any]) -> Response:
    body, headers = value["body"], value.get("headers")
    given = {str(name): str(each) for name, each in headers.items()} if isinstance(headers, dict) else {}
    status = value.get("status") or value.get("statusCode") or 200
    text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
    kind = next((each for name, each in given.items() if name.lower() == "content-type"), "text/plain; charset=utf-8")
    response = _chunked(Response(text, status_code=int(status)))
    for name, each in given.items():
        response.headers[name] = each
    response.headers["content-type"] = kind
    return response


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One value a name, several joined by commas."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _query(request: Request) -> list[tuple[str, str]]:
    return QueryParams(request.scope["query_string"]).multi_items()


async def _body(request: Request) -> bytes:
    """The body, when the request says how long it is; a chunked one is taken for empty, as on the real host."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) == 0:
        return b""
    if int(length) > _LARGEST_BODY:
        raise BodyTooLarge
    return await request.body()
