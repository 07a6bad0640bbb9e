"""How long callers wait: python -m benchmarks.latency [answers] [starts].

From an answer's POST to the start of the next node; from a run's POST to its 202, with 1, 10 and 50 callers at once.
"""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.peers import client
from benchmarks.report import Report, percentile
from benchmarks.serving import host

CALLERS = (1, 10, 50)


def waiting_run(api: httpx.Client) -> str:
    """The id of a run that waits for an answer."""
    run = str(api.post("/api/graphs/asks/runs", json={"input": {}}).raise_for_status().json()["id"])
    while api.get(f"/api/runs/{run}", params={"wait": 30}).json()["status"] != "interrupted":
        pass
    return run


def resumed_after(api: httpx.Client) -> float:
    """Milliseconds from an answer's POST to the start of the node after the one that asked."""
    run = waiting_run(api)
    began = time.time()
    api.post(f"/api/runs/{run}/events/resume", json="yes").raise_for_status()
    while (shown := api.get(f"/api/runs/{run}", params={"wait": 30}).json())["status"] != "completed":
        pass
    return float(shown["output"]["resumed_at"] - began) * 1000


def accepted_after(url: str) -> float:
    """Milliseconds from a POST to its 202."""
    api = client(url)
    began = time.perf_counter()
    answer = api.post("/api/graphs/asks/runs", json={"input": {}})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return (time.perf_counter() - began) * 1000


def main(answers: int, starts: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    report = Report("latency", "How long callers wait", ("p50, ms", "p95, ms", "p99, ms", "of"), bars="p50, ms")
    with host("five", ours=True) as url, httpx.Client(base_url=url, timeout=60) as api:
        resumed_after(api)
        resumed = [resumed_after(api) for _ in range(answers)]
        accepted = {}
        for callers in CALLERS:
            with ThreadPoolExecutor(callers) as threads:
                list(threads.map(lambda _: accepted_after(url), range(callers)))
                accepted[callers] = list(threads.map(lambda _: accepted_after(url), range(starts)))
    for name, times in [
        ("answer posted to next node started", resumed),
        *((f"POST to 202, {callers} caller{'s' * (callers > 1)}", times) for callers, times in accepted.items()),
    ]:
        shares = [f"{percentile(times, share):.1f}" for share in (0.5, 0.95, 0.99)]
        report.row(name, *shares, str(len(times)))
    report.goal("an answer's median way to the next node", statistics.median(resumed), 25, unit=" ms")
    report.goal("p99 of POST to 202 at 50 callers", percentile(accepted[50], 0.99), 1000, unit=" ms")
    report.notes.append("embedded host, SQLite, one worker process; the callers share the machine with it")
    report.notes.append("a started run executes its first super-step at once, so starts compete with super-steps")
    return report.keep()


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    sys.exit(main(*(given + [50, 300][len(given) :])))
