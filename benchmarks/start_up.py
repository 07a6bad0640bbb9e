"""What a start costs: python -m benchmarks.start_up [rounds].

The import of the app in a fresh process, which is what a cold start waits for; then, on the embedded host, from the
command to `Running`, to the first answers, and to the end of the first run. A caller either comes at once, while the
worker may still be importing LangGraph, or some seconds later.
"""

import json
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
_PROFILE = """
import importlib, importlib._bootstrap as bootstrap, json, sys, time
from collections import Counter
load, parts, inner = bootstrap._load_unlocked, Counter(), []

def timed(spec):
    began = time.thread_time()
    inner.append(0.0)
    try:
        return load(spec)
    finally:
        took = time.thread_time() - began
        first, _, rest = spec.name.partition(".")
        name = "Python's own" if first in sys.stdlib_module_names else first
        parts[f"azure.{rest.partition('.')[0]}" if name == "azure" and rest else name] += took - inner.pop()
        if inner:
            inner[-1] += took

bootstrap._load_unlocked = timed
from durablegraph import warming
warming.warm = lambda *names: None
import function_app
told = [dict(parts)]
parts.clear()
from durablegraph.opening import NEEDING_LANGGRAPH
for name in NEEDING_LANGGRAPH:
    importlib.import_module(name)
print(json.dumps([*told, parts]))
"""
SHOWN = 8
"""Packages of each profile that are shown by name."""


def importing() -> float:
    """Seconds of processor time of the importing thread of a fresh process, the interpreter's start included."""
    return float(_fresh(_IMPORT))


def profiles() -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of processor time by package: of the import of the app, and of what it leaves to the thread.

    Each module's own, what it imports counted where it belongs.
    """
    app, left_out = json.loads(_fresh(_PROFILE))
    return app, left_out


def _fresh(code: str) -> str:
    """What a fresh process prints."""
    paths = os.pathsep.join((str(ROOT / "lib"), str(ROOT)))
    command, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment).stdout


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
    profiled = [profiles() for _ in range(rounds)]
    for part in PARTS:
        found = [part() for _ in range(rounds)]
        for name, (_, used) in found[0].items():
            walls = spread([times[name][0] for times in found])
            report.row(name, walls, "" if used is None else spread([times[name][1] or 0 for times in found]))
    for title, found in zip(("of the import", "of what the thread imports"), zip(*profiled, strict=True), strict=True):
        medians = {name: statistics.median([each.get(name, 0) for each in found]) for name in found[0]}
        shown = sorted(medians, key=lambda name: -medians[name])[:SHOWN]
        report.row(f"{title}, all", "", f"{sum(medians.values()):.3f}")
        for name in shown:
            report.row(f"{title}, {name}", "", f"{medians[name]:.3f}")
    report.goal("processor time of the import", statistics.median(imports), GOAL, unit=" s")
    report.notes.append(f"medians and ranges of {rounds} rounds; embedded host and one worker process, SQLite")
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
