"""An instance dies though its run is fine: the run gets another instance and loses nothing."""

import os
import signal
import subprocess
import time

import httpx
import pytest

from tests.support.drive import Host, until
from tests.support.small import small_app


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    running = Host(small_app(tmp_path_factory.mktemp("supervision") / "app"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def api(host):
    with httpx.Client(base_url=f"{host.url}/api", timeout=60) as client:
        yield client


def interrupted(api, graph="ask"):
    run = api.post(f"/graphs/{graph}/runs", json={"input": {"out": []}}).json()["id"]
    assert api.get(f"/runs/{run}", params={"wait": 30}).json()["status"] == "interrupted"
    return run


def worker_of(host):
    found = subprocess.run(["pgrep", "-P", str(host.process.pid)], capture_output=True, text=True, check=True)
    (pid,) = found.stdout.split()
    return int(pid)


def hook(host, run):
    return f"{host.url}/runtime/webhooks/durabletask/instances/{run}"


def kill_worker_in_a_turn(host, run):
    """Stop the worker, ring the run's bell so that a turn is handed to it, kill it with the turn in its hands."""
    pid = worker_of(host)
    os.kill(pid, signal.SIGSTOP)
    httpx.post(f"{hook(host, run)}/raiseEvent/resume", json="durablegraph:doorbell").raise_for_status()
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    until(lambda: httpx.get(hook(host, run)).json()["runtimeStatus"] == "Failed")


def test_a_run_whose_instance_died_in_a_turn_goes_on_and_asks_the_same_question(host, api):
    run = interrupted(api)
    kill_worker_in_a_turn(host, run)
    shown = api.get(f"/runs/{run}").json()
    assert (shown["status"], shown["interrupts"][0]["value"]) == ("interrupted", {"question": "ok?"})
    until(lambda: httpx.get(hook(host, run)).json()["runtimeStatus"] == "Running")
    assert api.post(f"/runs/{run}/events/resume", json="still here").status_code == 202
    shown = api.get(f"/runs/{run}", params={"wait": 30}).json()
    assert shown["output"] == {"out": ["before", "still here"]}


def test_a_run_that_is_waited_for_is_given_an_instance_too(host, api):
    run = interrupted(api)
    kill_worker_in_a_turn(host, run)
    assert api.get(f"/runs/{run}", params={"wait": 1}).json()["status"] == "interrupted"
    until(lambda: httpx.get(hook(host, run)).json()["runtimeStatus"] == "Running")


def test_a_run_whose_instance_dies_again_and_again_fails_in_the_end_with_a_reason(host, api):
    run = interrupted(api)
    for _ in range(6):
        kill_worker_in_a_turn(host, run)
        shown = api.get(f"/runs/{run}").json()
        if shown["status"] == "failed":
            break
        until(lambda: httpx.get(hook(host, run)).json()["runtimeStatus"] == "Running")
    assert (shown["status"], shown["error"]["type"]) == ("failed", "InstanceFailed")


def test_a_stored_answer_survives_the_death_of_the_instance(host, api):
    run = interrupted(api, "ask_two")
    left, right = api.get(f"/runs/{run}").json()["interrupts"]
    assert api.post(f"/runs/{run}/events/resume", json={left["id"]: 1}).json()["waiting_for"] == [right["id"]]
    kill_worker_in_a_turn(host, run)
    assert [item["answered"] for item in api.get(f"/runs/{run}").json()["interrupts"]] == [True, False]
    assert api.post(f"/runs/{run}/events/resume", json={right["id"]: 2}).status_code == 202
    shown = api.get(f"/runs/{run}", params={"wait": 30}).json()
    assert sorted(item[1] for item in shown["output"]["out"]) == [1, 2]


def test_a_purged_instance_ends_its_run_and_frees_the_thread(host, api):
    run = interrupted(api)
    assert httpx.post(f"{hook(host, run)}/terminate?reason=x").status_code == 202
    until(lambda: httpx.get(hook(host, run)).json()["runtimeStatus"] == "Terminated")
    assert httpx.delete(hook(host, run)).json() == {"instancesDeleted": 1}
    assert api.get(f"/runs/{run}").json()["status"] == "terminated"
