"""Retention over HTTP, in the embedded host: a thread erased, and the timer that goes on with the sweep."""

import os
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support.drive import ROOT, Host
from tests.support.small import small_app

SQL = "SELECT key FROM durablegraph_objects"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    settings = {"DURABLEGRAPH_KEEP_RUNS_DAYS": "30", "DURABLEGRAPH_RETAIN_SCHEDULE": "0 0 5 31 12 *"}
    with Host(small_app(tmp_path_factory.mktemp("retention") / "app"), environment=settings) as running:
        yield running


@pytest.fixture
def api(host):
    with httpx.Client(base_url=f"{host.url}/api", timeout=60) as client:
        yield client


def keys(host, words):
    with sqlite3.connect(host.state / "objects.db") as database:
        return [key for (key,) in database.execute(SQL) if any(word in key for word in words)]


def command(host, *arguments):
    environment = {**os.environ, **host.environment, "PYTHONPATH": f"{ROOT / 'lib'}{os.pathsep}{ROOT}"}
    given = [sys.executable, "-m", "durablegraph.cli", *arguments, "--app", str(host.app)]
    done = subprocess.run(given, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start(api, graph, thread, **headers):
    started = api.post(
        f"/graphs/{graph}/runs", json={"input": {"out": []}, "thread_id": thread}, headers=headers
    ).json()
    api.get(f"/runs/{started['id']}", params={"wait": 30})
    return started["id"]


def test_an_erased_thread_leaves_no_key_and_no_instance_and_its_id_can_be_used_again(host, api):
    runs = [start(api, "echo", "case-7", **{"Idempotency-Key": f"key {n}"}) for n in range(2)]
    other = start(api, "echo", "case-8")
    told = api.get("/threads/case-7")
    assert told.status_code == 200
    answer = api.delete("/threads/case-7")
    assert answer.status_code == 200, answer.text
    assert answer.json()["erased"]["runs"] == 2
    assert answer.json()["erased"]["objects"] >= 8
    assert keys(host, ["case-7", *runs]) == []
    assert keys(host, [other])
    assert api.get("/threads/case-7").status_code == 404
    assert api.delete("/threads/case-7").json()["code"] == "thread_not_found"
    for run in runs:
        assert api.get(f"/runs/{run}").status_code == 404
        assert httpx.get(f"{host.url}/runtime/webhooks/durabletask/instances/{run}").status_code == 404
    again = start(api, "echo", "case-7", **{"Idempotency-Key": "key 0"})
    assert again not in runs
    assert api.get(f"/runs/{again}").json()["output"] == {"out": ["a", "b"]}


def test_a_thread_with_a_run_that_waits_is_erased_only_by_force(host, api):
    run = start(api, "ask", "case-9")
    refused = api.delete("/threads/case-9")
    assert refused.status_code == 409
    assert (refused.json()["code"], refused.json()["active_run"]) == ("thread_busy", run)
    assert api.get(f"/runs/{run}").json()["status"] == "interrupted"
    assert api.delete("/threads/case-9", params={"force": "perhaps"}).status_code == 400
    assert api.delete("/threads/case-9", params={"force": "true"}).status_code == 200
    assert keys(host, ["case-9", run]) == []
    assert httpx.get(f"{host.url}/runtime/webhooks/durabletask/instances/{run}").status_code == 404


def test_the_timer_deletes_runs_that_are_due(host, api):
    old, fresh = start(api, "echo", "old"), start(api, "echo", "fresh")
    host.stop()
    long_ago = datetime.now(UTC) - timedelta(days=31)
    microseconds = int(long_ago.timestamp() * 1_000_000)
    with sqlite3.connect(host.state / "objects.db") as database:
        key, record = database.execute(
            f"{SQL.replace('key', 'key, data')} WHERE key LIKE 'runs/%/record' AND key LIKE ?", (f"%{old}%",)
        ).fetchone()
        at = record.index(b'"updated_at":"') + len(b'"updated_at":"')
        record = record[:at] + long_ago.strftime("%Y-%m-%dT%H:%M:%SZ").encode() + record[record.index(b'"', at) :]
        database.execute(
            "UPDATE durablegraph_objects SET data = ?, modified = ? WHERE key = ?", (record, microseconds, key)
        )
    host.start()
    dry = command(host, "retain", "--dry-run")
    assert "1 runs (" in dry
    assert api.get(f"/runs/{old}").status_code == 200
    assert "goes on" in command(host, "retain", "--url", host.url)
    begun = time.monotonic()
    while api.get(f"/runs/{old}").status_code != 404:
        assert time.monotonic() - begun < 20, host.log[-3000:]
        time.sleep(0.1)
    assert api.get(f"/runs/{fresh}").status_code == 200
    assert httpx.get(f"{host.url}/runtime/webhooks/durabletask/instances/{old}").status_code == 404
    assert api.get("/threads/old/state").status_code == 200  # the thread is not the run


def test_the_timer_fires_on_its_schedule(host):
    host.stop()
    with sqlite3.connect(host.state / "objects.db") as database:
        database.execute("DELETE FROM durablegraph_objects WHERE key = 'retention/state'")
    host.start(DURABLEGRAPH_RETAIN_SCHEDULE="*/2 * * * * *")
    begun = time.monotonic()
    while not keys(host, ["retention/state"]):
        assert time.monotonic() - begun < 20, host.log[-3000:]
        time.sleep(0.1)
