"""GET /runs and GET /threads over HTTP."""

import time

import pytest

from tests.integration.api.test_runs import ended, run_of, start


def ids(api, kind, **query):
    found = api.get(f"/{kind}", params=query)
    assert found.status_code == 200, found.text
    return [one["id" if kind == "runs" else "thread_id"] for one in found.json()[kind]]


def told(api, kind, wanted, **query):
    """The list once it tells what is wanted; the end of a run is told a moment after its record says so."""
    for _ in range(200):
        if (found := ids(api, kind, **query)) == wanted:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{kind} {query}: {found}, expected {wanted}")


def begin(api, graph, thread, **metadata):
    body = {"input": {"out": []}, "thread_id": thread, "metadata": metadata}
    return run_of(api, graph, body, until="interrupted" if graph == "ask" else "completed")[1]


def test_runs_are_found_by_status_graph_thread_metadata_and_time(api):
    first = begin(api, "echo", "lists-1", team="blue", size=3)
    second = begin(api, "echo", "lists-1", team="red", size=3)
    waiting = begin(api, "ask", "lists-2", team="blue")
    assert told(api, "runs", [second["id"], first["id"]], thread_id="lists-1", status="completed")
    assert told(api, "runs", [waiting["id"]], **{"metadata.team": "blue", "status": "interrupted"})
    assert ids(api, "runs", **{"metadata.team": "blue", "graph": "echo"}) == [first["id"]]
    assert ids(api, "runs", **{"metadata.size": "3", "metadata.team": "red"}) == [second["id"]]
    assert ids(api, "runs", thread_id="lists-1", created_before=second["created_at"]) == [first["id"]]
    assert ids(api, "runs", thread_id="lists-1", created_after=second["created_at"]) == [second["id"]]
    assert ids(api, "runs", graph="nope") == []
    listed = api.get("/runs", params={"thread_id": "lists-1"}).json()["runs"]
    for shown, read in zip(listed, (second, first), strict=True):
        assert shown == {**read, "output": None, "interrupts": []}


def test_a_list_is_leafed_through_by_its_cursor_while_runs_arrive(api):
    old = [begin(api, "echo", "lists-pages")["id"] for _ in range(5)][::-1]
    told(api, "runs", old, thread_id="lists-pages", status="completed")
    seen, cursor = [], {}
    while cursor is not None:
        page = api.get("/runs", params={"thread_id": "lists-pages", "limit": 2, **cursor}).json()
        seen += [run["id"] for run in page["runs"]]
        cursor = {"cursor": page["next"]} if page["next"] else None
        begin(api, "echo", "lists-pages")
    assert seen == old


def test_a_threads_status_follows_its_runs(api):
    def status(thread):
        read, listed = (
            api.get(f"/threads/{thread}").json(),
            api.get("/threads", params={"limit": 100}).json()["threads"],
        )
        assert read in listed
        return read["status"]

    started = start(api, "ask", {"input": {"out": []}, "thread_id": "lists-3"}).json()
    api.get(f"/runs/{started['id']}", params={"wait": 30})
    told(api, "threads", ["lists-3"], status="interrupted", graph="ask", limit=1)
    assert status("lists-3") == "interrupted"
    assert api.get("/threads/lists-3").json()["active_run"] == started["id"]
    api.post(f"/runs/{started['id']}/events/resume", json="yes")
    assert ended(api, started["id"])["status"] == "completed"
    told(api, "threads", ["lists-3"], status="idle", limit=1)
    assert status("lists-3") == "idle"
    run_of(api, "boom", {"input": {"out": []}, "thread_id": "lists-3"}, until="failed")
    told(api, "threads", ["lists-3"], status="error", graph="boom")
    assert status("lists-3") == "error"
    assert ids(api, "threads", graph="ask", status="error") == []


def test_a_purged_run_is_in_no_list(api):
    run = begin(api, "echo", "lists-4", unique="yes")
    told(api, "runs", [run["id"]], status="completed", **{"metadata.unique": "yes"})
    assert api.delete(f"/runs/{run['id']}").status_code == 200
    assert ids(api, "runs", thread_id="lists-4") == ids(api, "runs", **{"metadata.unique": "yes"}) == []


@pytest.mark.parametrize("kind", ["runs", "threads"])
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "status=done", "cursor=nonsense", "created_after=monday", "created_before=2026"]
)
def test_wrong_questions_are_told_what_is_right(api, kind, query):
    answer = api.get(f"/{kind}?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "invalid_request"
    assert query.partition("=")[0] in answer.json()["detail"]


def test_more_metadata_than_lists_can_hold_is_refused(api):
    body = {"input": {"out": []}, "metadata": {f"m{number}": number for number in range(65)}}
    answer = api.post("/graphs/echo/runs", json=body)
    assert answer.status_code == 422
    assert "metadata" in answer.json()["detail"]
