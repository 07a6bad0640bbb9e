"""The tasks of a super-step are activities of their own, spread over the workers."""

import json
import os
import signal
import time
from collections import Counter

import httpx
import pytest

from tests.support.drive import Host
from tests.support.small import small_app

TASKS = 20
LONG = f"""
import asyncio, os
from pathlib import Path

from langgraph.graph import START, StateGraph
from langgraph.types import Send

from small import State


def _note(what, n):
    with Path(os.environ["EXECUTIONS"], "long").open("a") as notes:
        notes.write(f"{{what}} {{os.getpid()}} {{n}}\\n")


async def work(n):
    _note("begin", n)
    await asyncio.sleep(3 if n % 2 else 0.2)
    if n == 7:
        raise ValueError("seven")
    _note("end", n)
    return {{"out": [n]}}


builder = StateGraph(State).add_node("work", work)
builder.add_conditional_edges(START, lambda _: [Send("work", n) for n in range({TASKS})], ["work"])
graph = builder.compile()
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    app = small_app(tmp_path_factory.mktemp("fan") / "app")
    (app / "long.py").write_text(LONG)
    named = json.loads((app / "langgraph.json").read_text())
    named["graphs"]["long"] = {"path": "./long.py:graph", "fan_out": {"failures": "at_least:90%"}}
    (app / "langgraph.json").write_text(json.dumps(named))
    running = Host(app, {"FUNCTIONS_WORKER_PROCESS_COUNT": "2", "DURABLEGRAPH_STEPS_PER_EXECUTION": "20"}, workers=2)
    running.start()
    yield running
    running.stop()


def test_eight_tasks_run_once_each_on_both_workers_and_are_joined_in_order(host):
    with httpx.Client(base_url=f"{host.url}/api", timeout=60) as api:
        run = api.post("/graphs/spread/runs", json={"input": {"out": []}}).json()["id"]
        shown = api.get(f"/runs/{run}", params={"wait": 40}).json()
        assert shown["output"] == {"out": ["begin", *range(8), 9]}
    notes = [line.split() for line in (host.executions / "work").read_text().splitlines()]
    assert sorted(int(n) for _, n in notes) == list(range(8))
    assert len({pid for pid, _ in notes}) == 2
    hook = f"{host.url}/runtime/webhooks/durabletask/instances/{run}?showHistory=true"
    events = httpx.get(hook).json()["historyEvents"]
    assert sum(event.get("FunctionName") == "run_tasks" for event in events) == 8


def noted(host):
    """What the tasks of `long` noted: begun and ended, with the process and the number."""
    file = host.executions / "long"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(what, int(pid), int(n)) for what, pid, n in lines]


def test_a_killed_worker_costs_only_the_tasks_in_its_hands_and_a_task_may_fail(host):
    with httpx.Client(base_url=f"{host.url}/api", timeout=90) as api:
        run = api.post("/graphs/long/runs", json={"input": {"out": []}}).json()["id"]
        deadline = time.monotonic() + 60
        while sum(what == "end" for what, _, _ in noted(host)) < TASKS // 4:
            assert time.monotonic() < deadline, noted(host)
            time.sleep(0.02)
        victim = next(pid for what, pid, n in noted(host) if what == "begin" and n % 2)
        os.kill(victim, signal.SIGKILL)
        killed = noted(host)
        shown = api.get(f"/runs/{run}", params={"wait": 80}).json()
    assert shown["status"] == "completed", shown
    assert shown["output"] == {"out": [n for n in range(TASKS) if n != 7]}
    failed = {"count": 1, "first": [{"type": "ValueError", "message": "seven", "node": "work"}]}
    assert shown["failed_tasks"] == failed
    times = Counter(n for what, _, n in noted(host) if what == "begin")
    ended = {n for what, _, n in killed if what == "end"}
    in_its_hands = {n for what, pid, n in killed if what == "begin" and pid == victim} - ended
    assert in_its_hands
    again = {n for n, count in times.items() if count > 1}
    # what had just ended may have died before its write was stored; nothing else ran twice, and all ran
    just_ended = {n for what, pid, n in killed if what == "end" and pid == victim}
    assert again <= in_its_hands | just_ended
    assert in_its_hands <= again
    assert set(times) == set(range(TASKS))
    assert max(times.values()) == 2
