"""A run's events over HTTP, as an EventSource and as a program read them."""

import httpx
import pytest

from tests.support.server_sent import Follower, sent

ALL = {"input": {"out": []}, "stream_mode": ["updates", "values"]}


def begin(api, graph, **body):
    started = api.post(f"/graphs/{graph}/runs", json={**ALL, **body})
    assert started.status_code == 202, started.text
    return started.json()["id"]


def names(events):
    return [event.name for event in events]


def test_a_run_is_followed_from_its_first_event_to_its_end(api):
    run = begin(api, "echo")
    seen = Follower(api, f"/runs/{run}/stream").follow()
    assert names(seen)[0] == "metadata"
    assert seen[0].data | {"thread_id": "", "graph": ""} == {"run_id": run, "attempt": 1, "thread_id": "", "graph": ""}
    assert [event.data for event in seen if event.name == "updates"] == [{"a": {"out": ["a"]}}, {"b": {"out": ["b"]}}]
    assert [event.data["out"] for event in seen if event.name == "values"] == [[], ["a"], ["a", "b"]]
    assert (seen[-1].name, seen[-1].data["status"]) == ("end", "completed")
    assert [int(event.id) for event in seen] == list(range(1, len(seen) + 1))


def test_a_run_that_waits_is_followed_across_its_answer(api):
    run = begin(api, "ask")
    follower = Follower(api, f"/runs/{run}/stream")
    waiting = follower.follow(until="interrupted")[-1]
    (asked,) = waiting.data["interrupts"]
    assert asked["value"] == {"question": "ok?"}
    answered = api.post(f"/runs/{run}/events/resume", json={asked["id"]: "yes"})
    assert answered.status_code == 202, answered.text
    seen = follower.follow()
    assert [event.data["status"] for event in seen if event.name in {"status", "end"}] == [
        "running",
        "interrupted",
        "running",
        "completed",
    ]
    assert [int(event.id) for event in seen] == list(range(1, len(seen) + 1))


def test_what_follows_an_offset_is_all_that_is_told_and_the_header_is_newer_than_the_address(api):
    run = begin(api, "echo")
    seen = Follower(api, f"/runs/{run}/stream").follow()
    rest = api.get(f"/runs/{run}/stream", params={"after": 3})
    assert list(sent(rest.text)) == seen[3:]
    rest = api.get(f"/runs/{run}/stream", params={"after": 1}, headers={"Last-Event-ID": "4"})
    assert list(sent(rest.text)) == seen[4:]
    everything = api.get(f"/runs/{run}/stream", params={"after": 3}, headers={"Last-Event-ID": "-1"})
    assert list(sent(everything.text)) == seen
    assert rest.text.startswith("retry: ")


def test_a_program_reads_pages_of_json(api):
    run = begin(api, "echo", stream_mode="custom")
    page = {"next": 0, "closed": False}
    events = []
    while not page["closed"]:
        answer = api.get(
            f"/runs/{run}/stream", params={"after": page["next"], "wait": 20}, headers={"Accept": "application/json"}
        )
        page = answer.json()
        events += page["events"]
    assert [event["event"] for event in events] == ["metadata", "status", "end"]
    assert page["next"] == events[-1]["offset"]


def test_a_failure_is_told_before_the_end(api):
    run = begin(api, "boom")
    *_, failure, end = Follower(api, f"/runs/{run}/stream").follow()
    assert (failure.name, failure.data["error"], failure.data["message"]) == (
        "error",
        "ValueError",
        "the ledger is closed",
    )
    assert (end.name, end.data["status"]) == ("end", "failed")


def test_the_end_of_a_run_that_was_terminated_is_told_though_no_activity_told_it(api):
    run = begin(api, "ask")
    follower = Follower(api, f"/runs/{run}/stream")
    follower.follow(until="interrupted")
    assert api.post(f"/runs/{run}/terminate").status_code == 202
    assert (follower.follow()[-1].name, follower.seen[-1].data["status"]) == ("end", "terminated")


def test_the_tasks_of_a_fan_out_are_told_once_each(api):
    run = begin(api, "spread", stream_mode=["updates"])
    seen = Follower(api, f"/runs/{run}/stream").follow()
    told = [next(iter(event.data)) for event in seen if event.name == "updates"]
    assert (told[0], told[-1], set(told[1:-1])) == ("begin", "join", {"work"})
    (join,) = (event.data["join"]["out"] for event in seen if event.name == "updates" and "join" in event.data)
    assert join == [len(told) - 1]


def test_a_run_without_events_says_what_to_do(api):
    run = api.post("/graphs/echo/runs", json={"input": {"out": []}}).json()["id"]
    refused = api.get(f"/runs/{run}/stream")
    assert (refused.status_code, refused.json()["code"]) == (409, "no_event_log")
    assert "stream_mode" in refused.json()["detail"]


@pytest.mark.parametrize("given", [{"after": "x"}, {"after": "-3"}, {"wait": "1000"}])
def test_a_wrong_parameter_is_refused(api, given):
    run = begin(api, "echo")
    assert api.get(f"/runs/{run}/stream", params=given).status_code == 400


def test_a_wrong_header_and_a_wrong_mode_are_refused(api):
    run = begin(api, "echo")
    assert api.get(f"/runs/{run}/stream", headers={"Last-Event-ID": "latest"}).status_code == 400
    wrong = api.post("/graphs/echo/runs", json={**ALL, "stream_mode": ["events"]})
    assert (wrong.status_code, "stream_mode" in wrong.json()["detail"]) == (422, True)


def test_an_unknown_run_is_404(api):
    assert api.get("/runs/nobody/stream").status_code == 404


def test_a_purged_run_has_no_events(api):
    run = begin(api, "echo")
    Follower(api, f"/runs/{run}/stream").follow()
    assert api.delete(f"/runs/{run}").status_code == 200
    assert api.get(f"/runs/{run}/stream").status_code == httpx.codes.NOT_FOUND
