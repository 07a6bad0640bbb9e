"""What waiting runs cost the host's memory: python -m benchmarks.memory [runs].

10,000 runs that wait for an answer: the resident memory of the host and its worker before them and after each quarter.
"""

import contextlib
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.peers import client
from benchmarks.processes import processes, usage
from benchmarks.report import Lines, Report
from benchmarks.serving import host

RUN_GOAL_KB = 20
CALLERS = 20
WARM = 50
"""Runs before the first look, so that what is loaded once is not counted."""
IDLE = 0.05
"""Seconds of processor time in a second below which host and worker have nothing to do."""
_WAITING = (
    "SELECT COUNT(*) FROM durablegraph_objects WHERE key >= 'live/runs/interrupted/' AND key < 'live/runs/interrupted0'"
)


def resident(url: str) -> tuple[float, ...]:
    """Resident memory in MB of the host that listens at `url`, and of its worker."""
    return tuple(usage(pid).megabytes for pid in processes(url))


def start(url: str, runs: int) -> None:
    """Start so many runs."""

    def one(_: int) -> None:
        client(url).post("/api/graphs/asks/runs", json={"input": {}}).raise_for_status()

    with ThreadPoolExecutor(CALLERS) as threads:
        list(threads.map(one, range(runs)))


def until_waiting(url: str, state: Path, runs: int) -> None:
    """Return when so many runs wait for an answer, and the host and its worker have nothing left to do.

    Looks into the files of the store and at the processes, for ten thousand requests would cost memory of their own.
    """
    before = -1.0
    with contextlib.closing(sqlite3.connect(f"file:{state / 'objects.db'}?mode=ro", uri=True)) as store:
        while True:
            (waiting,) = store.execute(_WAITING).fetchone()
            used = sum(usage(pid).seconds for pid in processes(url))
            if waiting >= runs and used - before < IDLE:
                return
            before = used
            time.sleep(1)


def waiting(report: Report, runs: int) -> None:
    """Start the runs in four parts, and tell what memory each part cost."""
    with tempfile.TemporaryDirectory() as folder, host("five", "--state", folder, ours=True) as url:
        state, seen = Path(folder), [(0, 0.0, 0.0)]
        for count in (WARM, *(WARM + runs * part // 4 for part in range(1, 5))):
            began = time.perf_counter()
            start(url, count - seen[-1][0])
            until_waiting(url, state, count)
            host_memory, worker_memory = resident(url)
            print(f"{count} waiting: {host_memory:.1f} MB, {worker_memory:.1f} MB", flush=True)
            seen.append((count, host_memory, worker_memory))
            rate = (count - seen[-2][0]) / (time.perf_counter() - began)
    _tell(report, seen[1:], runs)
    report.row(
        "runs started, up to their wait", f"{rate:.0f} a second", f"the last quarter of {runs}, {CALLERS} callers"
    )


def _tell(report: Report, seen: list[tuple[int, float, float]], runs: int) -> None:
    """Rows of memory before and after; what a run more costs is told by the last half, when all caches are full."""
    (_, *before), (middle, *half), (last, *after) = seen[0], seen[2], seen[-1]
    more = []
    for name, first, between, end in zip(("host", "worker"), before, half, after, strict=True):
        more.append((end - between) * 1000 / (last - middle))
        average = (end - first) * 1000 / runs
        remark = f"{first:.0f} MB before; {average:.1f} kB a run, {more[-1]:.1f} kB in the last half"
        report.row(f"{name}, {runs} waiting runs", f"{end:.0f} MB", remark)
    report.goal("host and worker, a waiting run more", sum(more), RUN_GOAL_KB, unit=" kB")
    report.notes.append(
        "one worker, SQLite; a run waits at its first node; looked at when host and worker have nothing to do"
    )
    points = {name: [(float(row[0]), row[at]) for row in seen] for at, name in ((1, "host"), (2, "worker"))}
    report.lines.append(Lines("waiting runs", "resident, MB", points))


def main(runs: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    report = Report("memory", "Memory of waiting runs", ("found", "remark"))
    waiting(report, runs)
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
