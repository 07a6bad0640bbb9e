"""Cost does not grow with a run's length: python -m benchmarks.long_run [super-steps].

One run of 10,000 super-steps (100,000 take about ten minutes a mode on a quiet machine), once with all its checkpoints
kept and once with `DURABLEGRAPH_KEEP_LAST=20`: the last thousand super-steps against the first. Twice a second the
benchmark reads the hub's file (where the run is, how long its history), the store's file (bytes of all keys and values)
and /proc (processor time and memory of host and worker); it sends no request meanwhile. Whatever else the machine does
is in the wall's figures, so the goal is judged by processor time. That depends on the other work, too, if less; so
a new run of a thousand super-steps follows at once, in the same host, and the last thousand is judged by it as well.
"""

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import httpx

from benchmarks.processes import processes, usage
from benchmarks.report import Lines, Report
from benchmarks.serving import host

GOAL = 1.1
LARGEST_KB = 64
PART = 1000
"""Super-steps whose cost is compared."""
WARM = 300
"""Super-steps of a run before, so that what is loaded once is not counted."""
LOOK_SECONDS = 0.5
POINTS = 50
TRACED = 1000
KEPT = "all kept"
MODES: dict[str, dict[str, str]] = {KEPT: {}, "keep_last 20": {"DURABLEGRAPH_KEEP_LAST": "20"}}
_STORED = "SELECT SUM(LENGTH(key) + LENGTH(data) + COALESCE(LENGTH(note), 0)) FROM durablegraph_objects"
_HISTORY = "SELECT COALESCE(SUM(LENGTH(CAST(text AS BLOB))), 0) FROM history WHERE instance = ?"
_INSTANCE = "SELECT status, custom_status FROM instances WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment of the run; times in seconds, memory in MB, the others in bytes."""

    step: int
    wall: float
    host: float
    worker: float
    host_memory: float
    worker_memory: float
    stored: int
    history: int
    load: float
    """The machine's, of the last minute."""


Figure = Callable[[Look], float]


class Watch:
    """Looks at one run from outside, by the files of its host and by /proc."""

    def __init__(self, url: str, state: Path, run: str) -> None:
        self._pids = processes(url)
        self._run = run
        (hub,) = state.glob("hub-*.db")
        self._hub = sqlite3.connect(f"file:{hub}?mode=ro", uri=True, isolation_level=None)
        self._objects = sqlite3.connect(f"file:{state / 'objects.db'}?mode=ro", uri=True, isolation_level=None)

    def looks(self) -> Iterator[Look]:
        """Look until the run has ended."""
        ended = False
        while not ended:
            found = self._hub.execute(_INSTANCE, (self._run,)).fetchone()
            ended = found is not None and found[0] not in {"Pending", "Running"}
            if found is not None and found[1]:
                yield self._look(json.loads(found[1])["step"] or 0)
            time.sleep(LOOK_SECONDS)

    def _look(self, step: int) -> Look:
        host_used, worker_used = (usage(pid) for pid in self._pids)
        return Look(
            step=step,
            wall=time.perf_counter(),
            host=host_used.seconds,
            worker=worker_used.seconds,
            host_memory=host_used.megabytes,
            worker_memory=worker_used.megabytes,
            stored=self._objects.execute(_STORED).fetchone()[0],
            history=self._hub.execute(_HISTORY, (self._run,)).fetchone()[0],
            load=os.getloadavg()[0],
        )


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
    """The looks at the long run, and at a run of a thousand super-steps right after it."""

    looks: list[Look]
    after: list[Look]


def watched(steps: int, environment: dict[str, str]) -> Watched:
    """What was seen of a run of so many super-steps."""
    with tempfile.TemporaryDirectory() as folder, host("loop", "--state", folder, ours=True, **environment) as url:

        def looks(count: int) -> list[Look]:
            run = run_to_end(url, count)
            seen = list(Watch(url, Path(folder), run).looks())
            ended(url, run)
            return seen

        ended(url, run_to_end(url, WARM))
        return Watched(looks(steps), looks(PART))


def at(looks: list[Look], step: int, of: Figure) -> float:
    """A figure when the run was at `step`, between the looks before and after by proportion."""
    after = next((i for i, look in enumerate(looks) if look.step >= step and i), len(looks) - 1)
    a, b = looks[after - 1], looks[after]
    share = (step - a.step) / (b.step - a.step) if b.step > a.step else 1
    return of(a) + (of(b) - of(a)) * share


def per_step(looks: list[Look], first: int, last: int, of: Figure) -> float:
    """How much a figure grew a super-step from one super-step to another."""
    return (at(looks, last, of) - at(looks, first, of)) / (last - first)


def greatest(looks: list[Look], first: int, last: int, of: Figure) -> float:
    """The greatest value of a figure between two super-steps."""
    return max(of(look) for look in looks if first <= look.step <= last)


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
    spent = row("processor ms a super-step", lambda a, b: grew(a, b, processor), 2)
    report.goal(f"{mode}: processor time a super-step, last thousand against the first", spent, GOAL, unit=" x")
    tell_after(report, mode, found, steps)
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


def tell_after(report: Report, mode: str, found: Watched, steps: int) -> None:
    """The last thousand super-steps against the first thousand of the run that followed."""
    for name, of in (("processor ms a super-step", processor), ("ms a super-step", lambda look: look.wall * 1000)):
        after, last = per_step(found.after, 0, PART, of), per_step(found.looks, steps - PART, steps, of)
        report.row(
            f"{mode}: {name}, against a new run right after", f"{after:.2f}", f"{last:.2f}", f"{last / after:.2f}"
        )
        if of is processor:
            text = f"{mode}: processor time a super-step, last thousand against the first of a new run right after"
            report.goal(text, last / after, GOAL, unit=" x")


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
    report.notes.append("an activity for each super-step, continue-as-new after ten; embedded host, SQLite, one worker")
    report.lines = plots({mode: seen.looks for mode, seen in found.items()}, steps)
    return report


def main(steps: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    assert steps >= 2 * PART, f"{steps} super-steps: give {2 * PART} or more, for a first and a last thousand"
    found = {mode: watched(steps, environment) for mode, environment in MODES.items()}
    return told(found, largest_request(TRACED), steps).keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
