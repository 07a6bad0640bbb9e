"""Runs of five steps a second: python -m benchmarks.throughput [rounds].

1, 10 and 50 callers at once, each of which starts a run, waits for its end and starts the next. Peers take turns
with us in each round; all of them are up all the time, and idle while it is not their turn.
"""

import contextlib
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.peers import PEERS, Run, durablegraph
from benchmarks.report import Report, spread

CALLERS = (1, 10, 50)
RUNS = {1: 30, 10: 100, 50: 200}
OURS = next(iter(PEERS))
BESIDE = {
    f"{OURS}, 5 super-steps an activity": partial(durablegraph, DURABLEGRAPH_STEPS_PER_ACTIVITY="5"),
    f"{OURS}, two workers": partial(durablegraph, FUNCTIONS_WORKER_PROCESS_COUNT="2"),
}
"""What an owner may ask for; goals are judged without it."""


def rate(run: Run, callers: int) -> float:
    """Runs a second."""
    with ThreadPoolExecutor(callers) as threads:
        list(threads.map(lambda _: run(), range(callers)))  # every thread has its connection
        began = time.perf_counter()
        list(threads.map(lambda _: run(), range(RUNS[callers])))
        return RUNS[callers] / (time.perf_counter() - began)


def main(rounds: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    report = Report(
        "throughput",
        "Runs of five steps a second",
        tuple(f"{callers} caller{'s' * (callers > 1)}" for callers in CALLERS),
        bars=f"{CALLERS[-1]} callers",
    )
    with contextlib.ExitStack() as stack:
        runs = {name: stack.enter_context(peer()) for name, peer in (PEERS | BESIDE).items()}
        found: dict[tuple[str, int], list[float]] = {(name, callers): [] for name in runs for callers in CALLERS}
        for _ in range(rounds):
            for (name, callers), rates in found.items():
                rates.append(rate(runs[name], callers))
    for name in runs:
        report.row(name, *(spread(found[name, callers], 0) for callers in CALLERS))
    for callers in CALLERS:
        ours = statistics.median(found[OURS, callers])
        best = max((statistics.median(found[name, callers]), name) for name in PEERS if name != OURS)
        report.goal(
            f"ahead of the best peer ({best[1]}) at {callers} callers", ours / best[0], 1, unit=" x", below=False
        )
    report.notes.append(
        f"medians and ranges of {rounds} interleaved rounds; ours and Restate over HTTP, DBOS in process"
    )
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
