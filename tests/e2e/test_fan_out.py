"""The tasks of a super-step are activities of their own, spread over the workers."""

import httpx
import pytest

from tests.support.drive import Host
from tests.support.small import small_app


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    app = small_app(tmp_path_factory.mktemp("fan") / "app")
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
