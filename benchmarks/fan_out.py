"""Fan-out: python -m benchmarks.fan_out [rounds].

Tasks that sleep against the ideal, tasks that burn a core over one, two and four worker processes, and what a
super-step of 1,000 tasks leaves in history. The peer is the same graph with fan-out off: one activity for all tasks.
"""

import contextlib
import json
import math
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx

from benchmarks.report import Report, spread
from benchmarks.serving import host

TASKS, SECONDS, WIDTH = 200, 0.1, 50
BURNING, MEGABYTES = 16, 96
MANY = 1000
SHORT = 4
"""Rounds of runs of half a second for one of the others: their times scatter more."""
WORKERS = (1, 2, 4)


def run(url: str, graph: str, tasks: int, amount: float) -> tuple[float, dict[str, Any]]:
    """Seconds from the POST until the instance has ended, and the run."""
    with httpx.Client(base_url=url, timeout=300) as api:
        began = time.perf_counter()
        asked = {"input": {"tasks": tasks, "amount": amount}}
        started = api.post(f"/api/graphs/{graph}/runs", json=asked).raise_for_status().json()
        instance = f"/runtime/webhooks/durabletask/instances/{started['id']}?showInput=false"
        while api.get(instance).status_code == httpx.codes.ACCEPTED:
            time.sleep(0.002)  # asked of the host, not of the worker that is measured
        lasted = time.perf_counter() - began
        shown = api.get(f"/api/runs/{started['id']}").json()
        assert shown["status"] == "completed", shown
        done = [number for number, _ in shown["output"]["done"]]
        assert done == list(range(tasks)), "a task is missing, doubled or out of order"
        return lasted, shown


@contextlib.contextmanager
def fan_host(workers: int = 1, policy: str = "always", **more: str) -> Iterator[str]:
    """A host with the fan app. The first run of a worker loads the graph: one is made before anything is measured."""
    settings = {
        "FUNCTIONS_WORKER_PROCESS_COUNT": str(workers),
        "DURABLEGRAPH_FAN_OUT": policy,
        "DURABLEGRAPH_FAN_OUT_WIDTH": str(WIDTH),
        "AzureFunctionsJobHost__extensions__durableTask__maxConcurrentActivityFunctions": str(WIDTH),
        "PYTHON_THREADPOOL_THREAD_COUNT": str(WIDTH),
        **more,
    }
    with host("fan", ours=True, **settings) as url:
        run(url, "idle", 4 * workers, 0)
        yield url


def history_bytes(url: str, run_id: str) -> int:
    """Bytes of the history of a run's instance as the management API tells it."""
    query = {"showHistory": "true", "showHistoryOutput": "true", "showInput": "true"}
    shown = httpx.get(f"{url}/runtime/webhooks/durabletask/instances/{run_id}", params=query, timeout=60).json()
    return len(json.dumps(shown["historyEvents"]))


def sleeping(report: Report, rounds: int) -> None:
    """Tasks that sleep, so many at a time."""
    ideal = math.ceil(TASKS / WIDTH) * SECONDS
    policies = {
        "fan_out=auto, from the second run on": "auto",
        "fan_out=always": "always",
        "fan_out=never": "never",
    }
    with contextlib.ExitStack() as stack:
        hosts = {name: stack.enter_context(fan_host(policy=policy)) for name, policy in policies.items()}
        for url in hosts.values():
            run(url, "sleep", TASKS, SECONDS)
        found: dict[str, list[float]] = {name: [] for name in hosts}
        for _ in range(SHORT * rounds):
            for name, url in hosts.items():
                found[name].append(run(url, "sleep", TASKS, SECONDS)[0])
    tasks = f"{TASKS} tasks that sleep {SECONDS * 1000:.0f} ms"
    for name, times in found.items():
        report.row(f"{tasks}, {name}", spread(times), f"{statistics.median(times) / ideal:.2f}", "")
    for name in list(hosts)[:2]:
        best = statistics.median(found[name]) / ideal
        report.goal(f"{tasks}, {WIDTH} in flight, {name}, against the ideal", best, 1.3, unit=" x")


def burning(report: Report, rounds: int) -> None:
    """Tasks that burn a core, over worker processes."""
    medians: dict[int, float] = {}
    with contextlib.ExitStack() as stack:
        urls = {count: stack.enter_context(fan_host(count)) for count in WORKERS}
        times: dict[int, list[float]] = {count: [] for count in WORKERS}
        shares: dict[int, Counter[int]] = {count: Counter() for count in WORKERS}
        for _ in range(rounds):
            for count, url in urls.items():
                lasted, shown = run(url, "burn", BURNING, MEGABYTES)
                times[count].append(lasted)
                shares[count].update(pid for _, pid in shown["output"]["done"])
    for count, lasted in times.items():
        medians[count] = statistics.median(lasted)
        share = max(shares[count].values()) / sum(shares[count].values())
        report.row(
            f"{BURNING} tasks that burn a core, {count} worker process{'es' * (count > 1)}",
            spread(lasted),
            f"{medians[1] / medians[count]:.2f} x as fast as one",
            f"busiest of {len(shares[count])} did {share:.0%}",
        )
    cores = os.cpu_count() or 1
    report.goal(
        f"two worker processes against one, {cores} cores", medians[1] / medians[2], 1.5, unit=" x", below=False
    )


def thousand(report: Report, rounds: int) -> None:
    """A super-step of many tasks, and what it leaves in history."""
    with fan_host() as url:
        runs = [run(url, "idle", MANY, 0) for _ in range(rounds)]
        size = history_bytes(url, runs[-1][1]["id"])
    times = [lasted for lasted, _ in runs]
    report.row(f"{MANY} tasks that do nothing", spread(times), "", f"{size / 1024:.1f} kB of history")
    report.goal(f"history of {MANY} tasks", size / 1024, 64, unit=" kB")


def main(rounds: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    report = Report("fan_out", "A super-step with many tasks", ("seconds", "of the ideal", "seen"), bars="seconds")
    sleeping(report, rounds)
    burning(report, rounds)
    thousand(report, rounds)
    report.notes.append(
        f"medians of {rounds} interleaved rounds, of {SHORT * rounds} where tasks sleep; from the POST to the "
        "instance's end"
    )
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
