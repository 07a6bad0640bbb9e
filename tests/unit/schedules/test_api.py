"""Schedules over HTTP, as requests and answers: what is accepted, shown, changed, refused and erased."""

import json
from datetime import timedelta

import pytest

from durablegraph.api.http import ApiRequest
from durablegraph.api.routes import by_name
from durablegraph.api.serving import serve
from durablegraph.storage.memory import MemoryObjectStore

from .schedules import NOW, Hub, assert_stored_is_what_records_ask_for, keys, runs, services, tick

NINE = "2026-01-05T09:00:00+00:00"
HOURLY = {"graph": "g", "cron": "0 * * * *", "run": {"input": {"out": [0]}}, "metadata": {"team": "blue"}}


class Api:
    """The routes, without a host."""

    def __init__(self):
        self.objects, self.hub, self.now = MemoryObjectStore(), Hub(), NOW

    async def __call__(self, route, body=None, *, query=None, headers=None, **path):
        chosen = by_name()[route]
        url = f"http://app/api/{chosen.template.format(**path)}"
        content = b"" if body is None else json.dumps(body).encode()
        request = ApiRequest(chosen.method, url, path, query or {}, headers or {}, content)
        answer = await serve(chosen, services(self.objects), self.hub, request, lambda: self.now)
        self.headers, self.status = answer.headers, answer.status
        return answer.body

    async def make(self, **members):
        made = await self("create_schedule", {**HOURLY, **members})
        assert self.status == 201, made
        return made

    async def refused(self, status, route, body=None, **given):
        problem = await self(route, body, **given)
        assert self.status == status, problem
        return problem


@pytest.fixture
def api():
    return Api()


async def test_a_schedule_is_shown_as_it_was_made(api):
    made = await api.make(timezone="Europe/Berlin", end_time="2026-02-01T00:00:00+01:00")
    assert api.headers["Location"] == f"http://app/api/schedules/{made['id']}"
    assert made == {
        "id": made["id"],
        "graph": "g",
        "thread_id": None,
        "status": "enabled",
        "cron": "0 * * * *",
        "timezone": "Europe/Berlin",
        "at": None,
        "end_time": "2026-01-31T23:00:00Z",
        "catch_up": "latest",
        "next_run_at": "2026-01-05T09:00:00Z",
        "last_run": None,
        "failures": 0,
        "skipped": 0,
        "reason": None,
        "run": {"input": {"out": [0]}, "config": {"configurable": {}}},
        "metadata": {"team": "blue"},
        "created_at": "2026-01-05T08:30:00Z",
        "updated_at": "2026-01-05T08:30:00Z",
    }
    assert await api("get_schedule", schedule=made["id"]) == made
    await assert_stored_is_what_records_ask_for(api.objects)


async def test_the_last_run_is_shown_with_the_time_it_was_due(api):
    made = await api.make()
    await tick(api.objects, "2026-01-05T09:00:07Z", api.hub)
    shown = await api("get_schedule", schedule=made["id"])
    assert shown["last_run"] == {"id": api.hub.started[0], "at": "2026-01-05T09:00:00Z"}
    found = await api("list_runs", query={"metadata.schedule_id": made["id"]})
    assert [run["id"] for run in found["runs"]] == api.hub.started


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"cron": "0 25 * * *"}, "'0 25 * * *' is not understood (Bad hour)"),
        ({"cron": None}, "give one of them"),
        ({"at": "2026-02-01T00:00:00Z"}, "give one of them"),
        ({"cron": None, "at": "2026-01-01T00:00:00Z"}, "at 2026-01-01T00:00:00+00:00 gives no time after now"),
        ({"cron": None, "at": "2026-02-01T00:00:00"}, "at: Input should have timezone info"),
        ({"end_time": "2026-01-05T08:45:00Z"}, "gives no time after now"),
        ({"timezone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"run": {"input": [1]}}, "is an object, not a list: give the members ['out']"),
        ({"run": {"input": {}, "thread_id": "no spaces"}}, "thread_id 'no spaces' cannot be used"),
        ({"run": {"config": {"configurable": {"__pregel_x": 1}}}}, "reserved keys"),
        ({"catch_up": "all"}, "catch_up"),
        ({"every": "day"}, "every"),
    ],
)
async def test_what_cannot_be_a_schedule_is_refused_and_nothing_is_stored(api, members, words):
    problem = await api("create_schedule", {**HOURLY, **members})
    assert api.status in ({400} if "thread_id" in words else {422})
    assert words in problem["detail"]
    assert await keys(api.objects, "") == set()


async def test_an_unknown_graph_and_an_unknown_schedule_are_not_found(api):
    assert (await api.refused(404, "create_schedule", {**HOURLY, "graph": "h"}))["available"] == ["g"]
    for route in ("get_schedule", "delete_schedule", "trigger_schedule"):
        assert (await api.refused(404, route, schedule="nope"))["code"] == "schedule_not_found"
    assert (await api.refused(404, "change_schedule", {}, schedule="nope"))["code"] == "schedule_not_found"


async def test_the_same_idempotency_key_makes_one_schedule(api):
    first = await api("create_schedule", HOURLY, headers={"idempotency-key": "k"})
    again = await api("create_schedule", HOURLY, headers={"idempotency-key": "k"})
    assert again == first
    other = {**HOURLY, "cron": "5 * * * *"}
    problem = await api.refused(422, "create_schedule", other, headers={"idempotency-key": "k"})
    assert problem["code"] == "idempotency_key_reused"
    assert len((await api("list_schedules"))["schedules"]) == 1
    await api("start_run", {"input": {}}, graph="g", headers={"idempotency-key": "k"})
    assert api.status == 202  # keys of runs are others
    await assert_stored_is_what_records_ask_for(api.objects)


async def test_schedules_are_listed_newest_first_by_status_graph_thread_and_metadata(api):
    ids = []
    for team in ("blue", "red", "red"):
        ids.insert(0, (await api.make(metadata={"team": team}, run={"thread_id": f"of-{team}"}))["id"])
        api.now += timedelta(seconds=1)
    await api("change_schedule", {"enabled": False}, schedule=ids[0])

    async def found(**query):
        return [one["id"] for one in (await api("list_schedules", query=query))["schedules"]]

    assert await found() == ids
    assert await found(status="paused") == ids[:1]
    assert await found(status="enabled", **{"metadata.team": "red"}) == ids[1:2]
    assert await found(thread_id="of-red") == ids[:2]
    assert await found(graph="other") == []
    page = await api("list_schedules", query={"limit": "2"})
    assert await found(limit="2", cursor=page["next"]) == ids[2:]
    await api.refused(400, "list_schedules", query={"status": "running"})
    await api.refused(400, "list_schedules", query={"cursor": "x"})


async def test_a_change_of_the_times_gives_a_new_next_time_and_other_changes_keep_it(api):
    made = (await api.make())["id"]
    changed = await api("change_schedule", {"cron": "15 12 * * *", "timezone": "Asia/Tokyo"}, schedule=made)
    assert changed["next_run_at"] == "2026-01-06T03:15:00Z"
    api.now += timedelta(hours=30)  # the tick is late
    changed = await api("change_schedule", {"metadata": {"a": 1}, "run": {"thread_id": "t"}}, schedule=made)
    assert (changed["next_run_at"], changed["thread_id"]) == ("2026-01-06T03:15:00Z", "t")
    changed = await api("change_schedule", {"at": "2026-03-01T00:00:00.5Z"}, schedule=made)
    assert (changed["cron"], changed["at"], changed["next_run_at"]) == (
        None, "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z",
    )  # fmt: skip
    await assert_stored_is_what_records_ask_for(api.objects)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"cron": "x"}, "has 1 fields"),
        ({"cron": None}, "['cron'] are null"),
        ({"at": "2025-01-01T00:00:00Z"}, "gives no time after now"),
        ({"end_time": "2025-01-01T00:00:00Z"}, "gives no time after now"),
        ({"run": {"input": 7}}, "is an object, not a int"),
        ({"graph": "h"}, "graph"),
    ],
)
async def test_a_change_that_cannot_be_is_refused_and_changes_nothing(api, body, words):
    made = await api.make()
    before = await keys(api.objects, "")
    problem = await api.refused(422, "change_schedule", body, schedule=made["id"])
    assert words in problem["detail"]
    assert await api("get_schedule", schedule=made["id"]) == made
    assert await keys(api.objects, "") == before


async def test_a_paused_schedule_starts_nothing_and_goes_on_with_the_next_time(api):
    made = (await api.make())["id"]
    paused = await api("change_schedule", {"enabled": False}, schedule=made)
    assert (paused["status"], paused["next_run_at"]) == ("paused", None)
    assert await tick(api.objects, "2026-01-05T12:00:00Z") == {}
    assert (await api("change_schedule", {"cron": "30 * * * *"}, schedule=made))["status"] == "paused"
    api.now += timedelta(days=1)
    enabled = await api("change_schedule", {"enabled": True}, schedule=made)
    assert (enabled["status"], enabled["next_run_at"]) == ("enabled", "2026-01-06T09:30:00Z")
    assert await runs(api.objects) == []


async def test_a_schedule_that_is_made_paused_waits_until_it_is_enabled(api):
    made = await api.make(enabled=False)
    assert (made["status"], made["next_run_at"]) == ("paused", None)
    await assert_stored_is_what_records_ask_for(api.objects)


async def test_if_match_lets_only_the_version_that_was_read_be_changed_or_deleted(api):
    made = (await api.make())["id"]
    tag = api.headers["ETag"]
    await api("change_schedule", {"metadata": {}}, schedule=made, headers={"if-match": tag})
    assert api.status == 200
    assert api.headers["ETag"] != tag
    for route, body in (("change_schedule", {"metadata": {}}), ("delete_schedule", None)):
        problem = await api.refused(412, route, body, schedule=made, headers={"if-match": tag})
        assert problem["code"] == "schedule_changed"
    await api("get_schedule", schedule=made)
    await api("delete_schedule", schedule=made, headers={"if-match": f'"other", {api.headers["ETag"]}'})
    assert api.status == 204


async def test_a_deleted_schedule_leaves_nothing_and_its_runs_stay(api):
    made = (await api.make())["id"]
    await tick(api.objects, NINE)
    await api("delete_schedule", schedule=made)
    assert (api.status, await keys(api.objects, "schedules/")) == (204, set())
    assert await keys(api.objects, "index/schedules/") == set()
    assert await runs(api.objects, made) == [NINE]
    await api.refused(404, "get_schedule", schedule=made)


async def test_a_run_now_leaves_the_times_as_they_are_and_is_one_for_each_key(api):
    made = (await api.make(enabled=False))["id"]
    first = await api("trigger_schedule", schedule=made, headers={"idempotency-key": "k"})
    assert api.status == 202
    again = await api("trigger_schedule", schedule=made, headers={"idempotency-key": "k"})
    assert again["id"] == first["id"]
    other = await api("trigger_schedule", schedule=made)
    assert other["id"] != first["id"]
    shown = await api("get_schedule", schedule=made)
    assert (shown["status"], shown["last_run"], shown["next_run_at"]) == ("paused", None, None)
    assert len(await runs(api.objects, made)) == 2


async def test_a_run_now_on_a_busy_thread_is_a_conflict(api):
    made = (await api.make(run={"thread_id": "case-7"}))["id"]
    await api("trigger_schedule", schedule=made)
    assert (await api.refused(409, "trigger_schedule", schedule=made))["code"] == "thread_busy"


async def test_an_erased_thread_takes_the_schedules_with_it_that_name_it(api):
    made = (await api.make(run={"thread_id": "case-7"}))["id"]
    kept = (await api.make())["id"]
    await tick(api.objects, NINE, api.hub)
    assert (await api.refused(409, "erase_thread", thread="case-7"))["code"] == "thread_busy"
    assert (await api("get_schedule", schedule=made))["status"] == "enabled"
    erased = (await api("erase_thread", thread="case-7", query={"force": "true"}))["erased"]
    assert (erased["runs"], erased["schedules"]) == (1, 1)
    assert [one["id"] for one in (await api("list_schedules"))["schedules"]] == [kept]
    everything = [await api.objects.get(key) for key in await keys(api.objects, "")]
    assert not [stored.key for stored in everything if b"case-7" in stored.data or "case-7" in stored.key]
    await api.refused(404, "erase_thread", thread="case-7")


async def test_a_thread_that_only_a_schedule_names_is_erased_too(api):
    await api.make(run={"thread_id": "case-8"})
    assert (await api("erase_thread", thread="case-8"))["erased"] == {"runs": 0, "objects": 0, "schedules": 1}
    assert (await api("list_schedules"))["schedules"] == []
