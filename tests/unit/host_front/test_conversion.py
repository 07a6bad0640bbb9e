import azure.functions as func
import pytest

from durablegraph.host.app.conversion import decode, encode
from durablegraph.host.invocation import Datum, HttpRequestData


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"Tokyo"', "Tokyo"),
        ("null", None),
        ('{"a": 1}', {"a": 1}),
        ("not json", "not json"),
        ("", ""),
        ("NaN", None),
    ],
)
def test_an_activity_receives_the_json_value_of_its_text_else_the_text(text, value):
    got = decode("activityTrigger", Datum("string", text))
    assert got == value or got != got  # noqa: PLR0124 -- NaN is what differs from itself


def test_bytes_for_an_activity_are_refused():
    with pytest.raises(TypeError, match="unable to decode incoming TypedData"):
        decode("activityTrigger", Datum("bytes", b"x"))


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", '"a"'), (None, "null"), ({"k": [1, None]}, '{"k": [1, null]}'), (0.1, "0.1"), (2**70, str(2**70))],
)
def test_an_activitys_result_is_json_text(value, text):
    assert encode("activityTrigger", value) == Datum("json", text)


def test_a_result_that_is_no_json_fails_as_on_the_real_worker():
    with pytest.raises(ValueError, match="activity trigger output must be json serializable"):
        encode("activityTrigger", object())


def test_an_http_request_arrives_whole():
    request = HttpRequestData(
        method="post",
        url="http://localhost:7071/api/x?a=1",
        headers={"content-type": "application/json"},
        params={"a": "1"},
        route_params={"id": "7"},
        body=b'{"k": 1}',
    )
    got = decode("httpTrigger", Datum("http", request))
    assert isinstance(got, func.HttpRequest)
    assert (got.method, got.url, got.params["a"], got.route_params["id"]) == ("POST", request.url, "1", "7")
    assert got.headers["Content-Type"] == "application/json"
    assert got.get_body() == b'{"k": 1}'
    assert got.get_json() == {"k": 1}


def test_an_http_response_keeps_status_headers_and_bytes_and_gets_a_content_type():
    answer = encode("http", func.HttpResponse("é", status_code=201, headers={"X-A": "1"})).value
    assert (answer.status, answer.body) == (201, "é".encode())
    assert dict(answer.headers) == {"X-A": "1", "content-type": "text/plain; charset=utf-8"}


def test_cookies_are_sent_apart_from_other_headers():
    answer = encode("http", func.HttpResponse("", headers={"Set-Cookie": "a=1; Path=/", "X": "y"})).value
    assert ("set-cookie", "a=1; Path=/") in answer.headers


@pytest.mark.parametrize("value", [None, {"a": 1}, b"bytes", 5])
def test_what_is_no_response_cannot_be_returned_from_an_http_function(value):
    with pytest.raises(TypeError, match="unable to encode outgoing TypedData"):
        encode("http", value)


def test_a_timer_learns_whether_it_is_late():
    text = '{"IsPastDue": true, "ScheduleStatus": {"Last": "a"}, "Schedule": {"AdjustForDST": true}}'
    got = decode("timerTrigger", Datum("json", text))
    assert got.past_due is True
    assert got.schedule_status == {"Last": "a"}


def test_an_orchestrators_text_stays_text():
    assert encode("orchestrationTrigger", '{"isDone": true}') == Datum("json", '{"isDone": true}')
