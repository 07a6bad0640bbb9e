"""What a start costs: python -m benchmarks.start_up [rounds].

The import of the app in a fresh process, which is what a cold start waits for; then, on the embedded host, from the
command to `Running`, to the first answers, and to the end of the first run. A caller either comes at once, while the
worker may still be importing LangGraph, or some seconds later.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import httpx

from benchmarks.processes import processes, usage
from benchmarks.report import Report, spread
from benchmarks.serving import ROOT, host

GOAL = 1.2
LATER = 4.0
"""Seconds after `Running` at which the caller comes who is not in a hurry."""

Times = dict[str, tuple[float, float | None]]
"""Seconds by a clock on the wall, and seconds of processor time of host and worker together, where that was read."""

_IMPORT = "import time; import function_app; print(time.thread_time())"


def importing() -> float:
    """Seconds of processor time of the importing thread of a fresh process, the interpreter's start included."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "lib"), str(ROOT)))},
    )
    return float(done.stdout.split()[0])


def at_once() -> Times:
    """A caller who does not wait: the first POST, and the first run to its end."""
    began = time.perf_counter()
    with host("five", ours=True) as url, httpx.Client(base_url=url, timeout=60) as api:
        running, used = time.perf_counter(), _used(url)
        accepted, completed = _run(api)
        return {
            "command to Running": (running - began, used),
            "a caller at once: POST to 202": (accepted - running, None),
            "command to the end of the first run, of five steps": (completed - began, _used(url)),
        }


def reading() -> Times:
    """A caller who lists runs at once."""
    with host("five", ours=True) as url, httpx.Client(base_url=url, timeout=60) as api:
        began = time.perf_counter()
        api.get("/api/runs").raise_for_status()
        return {"a caller at once: GET of a list": (time.perf_counter() - began, None)}


def later() -> Times:
    """A caller who is not in a hurry: the first POST, and the first run to its end."""
    with host("five", ours=True) as url, httpx.Client(base_url=url, timeout=60) as api:
        time.sleep(LATER)
        began = time.perf_counter()
        accepted, completed = _run(api)
        return {
            f"a caller {LATER:g} s later: POST to 202": (accepted - began, None),
            f"a caller {LATER:g} s later: 202 to the end of the run": (completed - accepted, None),
        }


def _used(url: str) -> float:
    return sum(usage(pid).seconds for pid in processes(url))


def _run(api: httpx.Client) -> tuple[float, float]:
    """When a run was accepted, and when it had ended."""
    shown = api.post("/api/graphs/five/runs", json={"input": {}}).raise_for_status().json()
    accepted = time.perf_counter()
    while shown.get("status") != "completed":
        shown = api.get(f"/api/runs/{shown['id']}", params={"wait": 100}).raise_for_status().json()
    return accepted, time.perf_counter()


PARTS: tuple[Callable[[], Times], ...] = (at_once, reading, later)


def main(rounds: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    report = Report("start_up", "What a start costs", ("seconds", "processor time, seconds"))
    imports = [importing() for _ in range(rounds + 1)][1:]  # the first one may have to compile
    report.row("import of the app in a fresh process", "", spread(imports))
    for part in PARTS:
        found = [part() for _ in range(rounds)]
        for name, (_, used) in found[0].items():
            walls = spread([times[name][0] for times in found])
            report.row(name, walls, "" if used is None else spread([times[name][1] or 0 for times in found]))
    report.goal("processor time of the import", statistics.median(imports), GOAL, unit=" s")
    report.notes.append(f"medians and ranges of {rounds} rounds; embedded host and one worker process, SQLite")
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
