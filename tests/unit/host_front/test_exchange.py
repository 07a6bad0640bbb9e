import json

import pytest
from starlette.requests import Request

from durablegraph.host.front.exchange import read_request, response_of
from durablegraph.host.invocation import Datum, HttpResponseData, InvocationError, InvocationResult


def request(query=b"", headers=(), body=b"", path=b"/api/x%20y"):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": path.decode(),
        "raw_path": path,
        "query_string": query,
        "headers": [(b"host", b"example.org:81"), *headers],
    }
    return Request(scope, receive)


def returned(value):
    return response_of(InvocationResult(output=value))


async def test_the_url_is_the_one_that_the_caller_wrote():
    got = await read_request(request(query=b"a=%201"), {})
    assert got.url == "http://example.org:81/api/x%20y?a=%201"


async def test_repeated_query_values_are_joined_and_empty_ones_dropped():
    got = await read_request(request(query=b"a=1&a=2&b=&c=%C3%A9"), {"id": "7"})
    assert got.params == {"a": "1,2", "c": "é"}
    assert got.route_params == {"id": "7"}


async def test_header_names_are_lower_case_and_repeated_ones_joined():
    got = await read_request(request(headers=[(b"x-a", b"1"), (b"X-A", b"2")]), {})
    assert got.headers["x-a"] == "1,2"


async def test_a_body_of_known_length_is_read():
    got = await read_request(request(headers=[(b"content-length", b"3")], body=b"abc"), {})
    assert got.body == b"abc"


async def test_a_chunked_body_is_not_read_as_the_real_host_does_not():
    got = await read_request(request(headers=[(b"transfer-encoding", b"chunked")], body=b"abc"), {})
    assert got.body == b""


def test_a_response_keeps_its_headers_but_no_duplicates_except_cookies():
    answer = HttpResponseData(
        201,
        [("X-A", "1"), ("x-a", "2"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("Content-Length", "99")],
        b"abc",
    )
    got = returned(Datum("http", answer))
    assert (got.status_code, got.body) == (201, b"abc")
    assert got.headers.getlist("x-a") == ["1"]
    assert got.headers.getlist("set-cookie") == ["a=1", "b=2"]
    assert "content-length" not in got.headers, "the body is sent in chunks"


def test_a_failed_call_is_500_without_a_body():
    got = response_of(InvocationResult(error=InvocationError("ValueError: secret", "stack")))
    assert (got.status_code, got.body) == (500, b"")


@pytest.mark.parametrize(
    ("text", "body"),
    [("plain", b"plain"), ("5", b"5"), ('{"a":1}', b'{\n  "a": 1\n}'), ("[1]", b"[\n  1\n]"), ("", b"")],
)
def test_a_returned_text_is_plain_and_json_in_it_is_indented(text, body):
    got = returned(Datum("string", text))
    assert (got.status_code, got.body) == (200, body)
    assert got.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_returned_json_object_with_a_body_describes_the_response():
    text = json.dumps({"status": 418, "headers": {"X-A": "1", "content-type": "text/html"}, "body": "<p>"})
    got = returned(Datum("string", text))
    assert (got.status_code, got.body, got.headers["x-a"]) == (418, b"<p>", "1")
    assert got.headers["content-type"] == "text/html"
