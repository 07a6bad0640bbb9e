"""Cost does not grow with a run's length: python -m benchmarks.long_run [super-steps].

One run of 10,000 super-steps (100,000 take about ten minutes a mode on a quiet machine), once with all its checkpoints
kept and once with `DURABLEGRAPH_KEEP_LAST=20`: the last thousand super-steps against the first. Twice a second the
benchmark reads the hub's file (where the run is, how long its history), the store's file (bytes of all keys and values)
and /proc (processor time and memory of host and worker); it sends no request meanwhile. A machine that others use too
changes its speed from minute to minute, processor time included, so the goal for time is judged otherwise: at its end
the run takes turns of some seconds with new runs in the same host, each suspended or ended while the other goes on.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import httpx

from benchmarks.report import Lines, Report
from benchmarks.serving import host
from benchmarks.watch import Look, Watch, at, greatest, per_step
from durablegraph.settings import Settings

GOAL = 1.1
LARGEST_KB = 64
PART = 1000
"""Super-steps whose cost is compared."""
WARM = 300
"""Super-steps of a run before, so that what is loaded once is not counted."""
ROUNDS, TURN, AFRESH = 11, 500, 50
"""Times that the long run and a new one take turns, for so many super-steps each, after some that are not counted."""
POINTS = 50
TRACED = 1000
KEPT = "all kept"
MODES: dict[str, dict[str, str]] = {KEPT: {}, "keep_last 20": {"DURABLEGRAPH_KEEP_LAST": "20"}}


def run_to_end(url: str, steps: int) -> str:
    """Start a run of so many super-steps; the result is its id. It is not waited for."""
    asked = {"input": {"n": 0, "until": steps}, "config": {"recursion_limit": steps + 10}}
    return str(httpx.post(f"{url}/api/graphs/loop/runs", json=asked, timeout=60).raise_for_status().json()["id"])


def ended(url: str, run: str) -> None:
    """Wait for the run's end."""
    shown = {"status": "pending"}
    while shown["status"] in {"pending", "running"}:
        shown = httpx.get(f"{url}/api/runs/{run}", params={"wait": 60}, timeout=90).raise_for_status().json()
    assert shown["status"] == "completed", shown


@dataclass(frozen=True, slots=True)
class Watched:
    """The looks at the long run, and how it and new runs took turns at its end: processor ms a super-step of each."""

    looks: list[Look]
    turns: list[tuple[float, float]]


def watched(steps: int, environment: dict[str, str]) -> Watched:
    """What was seen of a run of so many super-steps."""
    with tempfile.TemporaryDirectory() as folder, host("loop", "--state", folder, ours=True, **environment) as url:
        ended(url, run_to_end(url, WARM))
        watch = Watch(url, Path(folder))
        run = run_to_end(url, steps + ROUNDS * 3 * TURN)
        looks = list(watch.looks(run, steps))
        return Watched(looks, [by_turns(url, watch, run) for _ in range(ROUNDS)])


def by_turns(url: str, watch: Watch, run: str) -> tuple[float, float]:
    """Processor ms a super-step of a run, and then, while that is suspended, of a new one."""
    instance = f"{url}/runtime/webhooks/durabletask/instances/{run}"
    long = watch.processor_time(run, AFRESH, TURN)
    httpx.post(f"{instance}/suspend").raise_for_status()
    watch.await_status(run, "Suspended")
    other = run_to_end(url, AFRESH + 2 * TURN)
    new = watch.processor_time(other, AFRESH, TURN)
    ended(url, other)
    httpx.post(f"{instance}/resume").raise_for_status()
    watch.await_status(run, "Running")
    return long, new


def largest_request(steps: int) -> int:
    """Bytes of the largest request to the orchestrator in a run of this length."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.ndjson"
        with host("loop", "--trace", str(trace), ours=True) as url:
            ended(url, run_to_end(url, steps))
        rows = (json.loads(line) for line in trace.read_text().splitlines())
        return max(len(json.dumps(row["input"])) for row in rows if row.get("kind") == "orchestrator")


def processor(look: Look) -> float:
    """Milliseconds of host and worker."""
    return (look.host + look.worker) * 1000


def _kilobytes(look: Look) -> float:
    return look.stored / 1000


def tell_mode(report: Report, mode: str, found: Watched, steps: int) -> None:
    """The rows and goals of one mode: the first thousand super-steps, the last, and their ratio."""
    looks = found.looks
    ends, tenths = ((0, PART), (steps - PART, steps)), ((0, steps // 10), (steps - steps // 10, steps))

    def row(
        name: str, of: Callable[[int, int], float], digits: int, parts: tuple[tuple[int, int], ...] = ends
    ) -> float:
        first, last = (of(*part) for part in parts)
        report.row(f"{mode}: {name}", f"{first:.{digits}f}", f"{last:.{digits}f}", f"{last / first:.2f}")
        return last / first

    grew, top = partial(per_step, looks), partial(greatest, looks)
    row("ms a super-step", lambda a, b: grew(a, b, lambda look: look.wall * 1000), 2)
    row("processor ms a super-step", lambda a, b: grew(a, b, processor), 2)
    tell_turns(report, mode, found.turns)
    if mode == KEPT:
        each = row("stored bytes a super-step", lambda a, b: grew(a, b, lambda look: look.stored), 0)
        report.goal(f"{mode}: stored bytes a super-step, last thousand against the first", each, GOAL, unit=" x")
    else:  # it goes up and down between two times that it is thinned out: a thousand is too short to see the top
        level = row("stored at most, kB (tenths of the run)", lambda a, b: top(a, b, _kilobytes), 1, tenths)
        report.goal(f"{mode}: stored at most, last tenth of the run against the first", level, GOAL, unit=" x")
    row("history at most, kB", lambda a, b: top(a, b, lambda look: look.history / 1000), 1)
    row("resident memory of the host at most, MB", lambda a, b: top(a, b, lambda look: look.host_memory), 0)
    row("resident memory of the worker at most, MB", lambda a, b: top(a, b, lambda look: look.worker_memory), 0)
    report.row(f"{mode}: stored after the last super-step, kB", "", f"{_kilobytes(looks[-1]):,.0f}", "")
    history = greatest(looks, 0, steps, lambda look: look.history / 1000)
    report.goal(f"{mode}: history at most, anywhere in the run", history, LARGEST_KB, unit=" kB")
    load = statistics.mean(look.load for look in looks)
    report.notes.append(f"{mode}: {looks[-1].wall - looks[0].wall:.0f} s in all, load average {load:.1f} meanwhile")


def tell_turns(report: Report, mode: str, turns: list[tuple[float, float]]) -> None:
    """The end of the run against new runs, by turns."""
    name = f"{mode}: processor ms a super-step, new runs and the end of the long one by turns"
    last, new = (statistics.median(each) for each in zip(*turns, strict=True))
    ratio = statistics.median(long / other for long, other in turns)
    report.row(name, f"{new:.2f}", f"{last:.2f}", f"{ratio:.2f}")
    report.goal(f"{mode}: processor time a super-step, the end of the run against new runs", ratio, GOAL, unit=" x")


def plots(found: dict[str, list[Look]], steps: int) -> list[Lines]:
    """Processor time, room and memory along the runs."""
    marks = [steps * part // POINTS for part in range(POINTS + 1)]

    def along(of: Callable[[list[Look], int, int], float]) -> dict[str, list[tuple[float, float]]]:
        pairs = list(pairwise(marks))
        return {mode: [(b, round(of(looks, a, b), 3)) for a, b in pairs] for mode, looks in found.items()}

    return [
        Lines("super-step", "processor ms a super-step", along(lambda looks, a, b: per_step(looks, a, b, processor))),
        Lines("super-step", "stored, MB", along(lambda looks, _, b: at(looks, b, lambda look: look.stored) / 1e6)),
        Lines(
            "super-step",
            "worker, resident MB",
            along(lambda looks, _, b: at(looks, b, lambda look: look.worker_memory)),
        ),
    ]


def told(found: dict[str, Watched], request: int, steps: int) -> Report:
    """The report of the looks at each mode's run."""
    report = Report("long_run", f"A run of {steps:,} super-steps", ("first thousand", "last thousand", "ratio"))
    for mode, seen in found.items():
        tell_mode(report, mode, seen, steps)
    report.goal(
        f"largest request to the orchestrator in {TRACED:,} super-steps", request / 1000, LARGEST_KB, unit=" kB"
    )
    cut = Settings().steps_per_execution
    report.notes.append(f"an activity a super-step, continue-as-new after {cut}; embedded host, SQLite, one worker")
    report.lines = plots({mode: seen.looks for mode, seen in found.items()}, steps)
    return report


def main(steps: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    assert steps >= 2 * PART, f"{steps} super-steps: give {2 * PART} or more, for a first and a last thousand"
    found = {mode: watched(steps, environment) for mode, environment in MODES.items()}
    return told(found, largest_request(TRACED), steps).keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
