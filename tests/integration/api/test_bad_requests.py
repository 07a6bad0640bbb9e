import json

import pytest


def problem(response, status, code=None):
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    body = response.json()
    assert {"type", "title", "status", "detail", "code", "retryable"} <= set(body)
    assert body["status"] == status
    if code:
        assert body["code"] == code
    return body


def test_an_unknown_graph_names_those_that_are_there(api):
    body = problem(api.post("/graphs/nope/runs", json={}), 404, "graph_not_found")
    assert "echo" in body["available"]


@pytest.mark.parametrize("content", [b"{", b"{'a': 1}", b'{"input": NaN}', b"\xff\xfe", b'{"a": 1} trailing'])
def test_what_is_not_json_is_refused_with_the_place(api, content):
    problem(api.post("/graphs/echo/runs", content=content), 400)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"inputs": {}}, "inputs"),
        ({"input": {}, "thread_id": 5}, "thread_id"),
        ({"input": {}, "thread_id": ""}, "thread_id"),
        ({"input": {}, "thread_id": "a/b"}, "a/b"),
        ({"input": {}, "thread_id": "x" * 257}, "1-256"),
        ({"input": {}, "metadata": []}, "metadata"),
        ({"input": {}, "config": {"recursion_limit": 0}}, "recursion_limit"),
        ({"input": {}, "config": {"configurable": []}}, "configurable"),
        ({"input": {}, "config": {"configurable": {"__pregel_resuming": True}}}, "reserved"),
        ({"input": {}, "command": {"update": {}}}, "either input or command"),
        ({"input": [1]}, "object"),
        ({"input": {}, "interrupt_before": "b"}, "interrupt_before"),
    ],
)
def test_wrong_members_are_refused_with_what_is_wrong(api, body, told):
    response = api.post("/graphs/echo/runs", json=body)
    assert response.status_code in {400, 422}
    assert told in problem(response, response.status_code)["detail"]


@pytest.mark.parametrize("body", [[], "x", 5, None])
def test_a_body_that_is_no_object_is_refused(api, body):
    problem(api.post("/graphs/echo/runs", content=json.dumps(body)), 422)


def test_too_large_too_deep_and_too_many_are_refused_before_anything_is_stored(api):
    before = api.get("/runs", params={"limit": 1}).json()
    problem(api.post("/graphs/echo/runs", json={"input": {"out": ["x" * 1_100_000]}}), 413, "too_large")
    deep = '{"input": {"out": ' + "[" * 40 + "]" * 40 + "}}"
    assert "nests" in problem(api.post("/graphs/echo/runs", content=deep), 422)["detail"]
    hostile = '{"input": ' + "[" * 500_000 + "]" * 400_000 + "}"
    problem(api.post("/graphs/echo/runs", content=hostile), 422)
    problem(api.post("/graphs/echo/runs", json={"input": {"out": list(range(10_001))}}), 422)
    assert api.get("/runs", params={"limit": 1}).json() == before


def test_brackets_inside_strings_are_not_depth(api):
    response = api.post("/graphs/echo/runs", json={"input": {"out": ["[" * 500 + '\\"' + "{" * 500]}})
    assert response.status_code == 202


@pytest.mark.parametrize("path", ["/runs/nope", "/runs/nope/status", "/threads/nope", "/threads/nope/state"])
def test_what_does_not_exist_is_404(api, path):
    problem(api.get(path), 404)


@pytest.mark.parametrize("action", ["cancel", "terminate", "suspend", "resume", "restart", "events/resume"])
def test_nothing_is_done_to_a_run_that_does_not_exist(api, action):
    problem(api.post(f"/runs/nope/{action}", content="null"), 404, "run_not_found")


def test_an_unknown_event_lists_both_that_are_known(api):
    body = problem(api.post("/runs/nope/events/approve", json=1), 400, "unknown_event")
    assert "resume" in body["detail"]
    assert "approval" in body["detail"]


def test_an_event_without_a_body_is_told_to_send_json(api):
    problem(api.post("/runs/nope/events/resume"), 400)


def test_a_run_that_waits_for_nothing_takes_no_answer(api):
    started = api.post("/graphs/slow/runs", json={"input": {"out": []}}).json()
    problem(api.post(f"/runs/{started['id']}/events/resume", json=1), 409, "nothing_pending")
    api.post(f"/runs/{started['id']}/terminate")


@pytest.mark.parametrize("query", ["limit=x", "limit=101", "limit=-1", "status=done"])
def test_wrong_list_parameters_are_refused(api, query):
    problem(api.get(f"/runs?{query}"), 400)


def test_wrong_wait_is_refused(api):
    started = api.post("/graphs/echo/runs", json={"input": {"out": []}}).json()
    problem(api.get(f"/runs/{started['id']}?wait=500"), 400)


def test_the_openapi_document_describes_every_route(api):
    document = api.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/graphs/{graph}/runs" in document["paths"]
    assert {"RunStart", "ShownRun", "Problem"} <= set(document["components"]["schemas"])


def test_live_and_ready_answer(api):
    assert api.get("/health/live").json() == {"status": "ok"}
    assert api.get("/health/ready").status_code == 200
