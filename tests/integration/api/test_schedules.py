"""Schedules in a real host process: the timer that starts their runs."""

import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest


def until(reached, seconds, log):
    begun = time.monotonic()
    while not (found := reached()):
        assert time.monotonic() - begun < seconds, log()[-3000:]
        time.sleep(0.2)
    return found


def schedule(api, **members):
    body = {"graph": "echo", "run": {"input": {"out": []}}, **members}
    made = api.post("/schedules", json=body)
    assert made.status_code == 201, made.text
    return made.json()["id"]


def completed(api, of):
    found = api.get("/runs", params={"metadata.schedule_id": of, "status": "completed"}).json()["runs"]
    return [run["id"] for run in found]


def test_the_timer_starts_the_run_that_is_due_once(host, api):
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    once = schedule(api, at=soon)
    time.sleep(3)
    for _ in range(2):
        url = f"{host.url}/admin/functions/fire_schedules"
        assert httpx.post(url, json={"input": ""}).status_code == 202
    (run,) = until(lambda: completed(api, once), 30, lambda: host.log)
    assert api.get(f"/runs/{run}").json()["output"] == {"out": ["a", "b"]}
    shown = api.get(f"/schedules/{once}").json()
    assert (shown["status"], shown["last_run"]["id"]) == ("ended", run)


def test_a_schedule_is_changed_and_deleted_over_http_by_the_version_that_was_read(api):
    name = schedule(api, cron="0 9 * * *", timezone="Europe/Berlin")
    read = api.get(f"/schedules/{name}")
    changed = api.patch(f"/schedules/{name}", json={"enabled": False}, headers={"If-Match": read.headers["ETag"]})
    assert (changed.status_code, changed.json()["status"]) == (200, "paused")
    assert api.delete(f"/schedules/{name}", headers={"If-Match": read.headers["ETag"]}).status_code == 412
    assert api.delete(f"/schedules/{name}", headers={"If-Match": changed.headers["ETag"]}).status_code == 204
    assert api.get(f"/schedules/{name}").status_code == 404


@pytest.mark.slow
def test_the_timer_fires_by_itself_within_a_minute(host, api):
    minutely = schedule(api, cron="* * * * *")
    until(lambda: len(completed(api, minutely)) == 2, 150, lambda: host.log)
    api.delete(f"/schedules/{minutely}")
