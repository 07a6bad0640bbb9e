"""What the embedded host costs a step: python -m benchmarks.host_throughput [rounds].

The activities do nothing, so the time of a step is the host's own. Rounds are interleaved, medians are kept. Peers
in the same run: durabletask's in-memory backend with its own worker, and LangGraph's plain invoke on SqliteSaver.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx
from durabletask.client import TaskHubGrpcClient
from langgraph.checkpoint.sqlite import SqliteSaver

from benchmarks.in_memory import completed, durabletask_in_memory
from benchmarks.report import Report, spread
from benchmarks.serving import host

CHAIN, CUT, RUNS, STEPS = 1_000, 20, 50, 20
JSON = {"content-type": "application/json"}
HOOK = "/runtime/webhooks/durabletask"


def of_host(url: str, runs: int, steps: int) -> float:
    """Steps a second of `runs` chains at once."""
    with httpx.Client(base_url=url + HOOK, timeout=120) as hub:
        began = time.perf_counter()
        asked = {"content": json.dumps(json.dumps({"steps": steps, "cut": CUT})), "headers": JSON}
        ids = [hub.post("/orchestrators/chain", **asked).json()["id"] for _ in range(runs)]
        for one in ids:
            while hub.get(f"/instances/{one}?showInput=false").status_code != 200:
                time.sleep(0.02)
        return runs * steps / (time.perf_counter() - began)


def of_graph(url: str, steps: int) -> float:
    """Super-steps a second of one durable run of the counting graph."""
    with httpx.Client(base_url=url + "/api", timeout=300) as api:
        run = api.post("/graphs/loop/runs", json={"input": {"n": 0, "until": steps}}).json()["id"]
        while (shown := api.get(f"/runs/{run}", params={"wait": 100}).json())["status"] in {"pending", "running"}:
            pass
        assert shown["status"] == "completed", shown["error"]
        lasted = datetime.fromisoformat(shown["updated_at"]) - datetime.fromisoformat(shown["created_at"])
        return steps / lasted.total_seconds()  # by the run's own record: the answer comes later


def of_plain(steps: int) -> float:
    """Super-steps a second of plain invoke on SqliteSaver."""
    from benchmarks.apps.loop.loop import builder

    with tempfile.TemporaryDirectory() as folder, SqliteSaver.from_conn_string(str(Path(folder) / "plain.db")) as saver:
        graph = builder.compile(checkpointer=saver)
        began = time.perf_counter()
        graph.invoke({"n": 0, "until": steps}, {"configurable": {"thread_id": "t"}, "recursion_limit": steps + 10})
        return steps / (time.perf_counter() - began)


def nothing(_: object, n: int) -> int:
    """Do nothing."""
    return n


def chain(context, asked):  # noqa: ANN001, ANN201 -- durabletask's own untyped protocol
    """The same chain for durabletask."""
    for _ in range(min(asked["cut"], asked["steps"])):
        yield context.call_activity(nothing, input=1)
    if asked["steps"] > asked["cut"]:
        context.continue_as_new({**asked, "steps": asked["steps"] - asked["cut"]})
        return None
    return "done"


def of_durabletask(hub: TaskHubGrpcClient, runs: int, steps: int) -> float:
    """Steps a second of durabletask's own worker on its in-memory backend."""
    began = time.perf_counter()
    ids = [hub.schedule_new_orchestration(chain, input={"steps": steps, "cut": CUT}) for _ in range(runs)]
    for one in ids:
        completed(hub, one)
    return runs * steps / (time.perf_counter() - began)


def main(rounds: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    report = Report("host_throughput", "What the embedded host costs a step", ("steps a second", "ms a step"))
    peer = durabletask_in_memory(chain, nothing)
    with peer as hub, host("chain") as plain_host, host("loop", ours=True) as ours:
        cases: dict[str, Callable[[], float]] = {
            f"embedded host, 1 chain of {CHAIN}": lambda: of_host(plain_host, 1, CHAIN),
            f"durabletask in memory, 1 chain of {CHAIN}": lambda: of_durabletask(hub, 1, CHAIN),
            f"embedded host, {RUNS} chains of {STEPS}": lambda: of_host(plain_host, RUNS, STEPS),
            f"durabletask in memory, {RUNS} chains of {STEPS}": lambda: of_durabletask(hub, RUNS, STEPS),
            f"durable run of a graph, {CHAIN} super-steps": lambda: of_graph(ours, CHAIN),
            f"plain invoke on SqliteSaver, {CHAIN} super-steps": lambda: of_plain(CHAIN),
        }
        found: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(rounds):
            for name, run in cases.items():
                found[name].append(run())
    for name, rates in found.items():
        report.row(name, spread(rates, 0), f"{1000 / statistics.median(rates):.2f}")
    report.notes.append(f"medians and ranges of {rounds} interleaved rounds; activities that do nothing")
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
