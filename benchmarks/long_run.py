"""Cost does not grow with a run's length: python -m benchmarks.long_run [super-steps].

A run of 10,000 super-steps: the last thousand against the first, and the largest request that the orchestrator gets.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.report import Report
from benchmarks.serving import host

LARGEST_REQUEST = 64 * 1024
GOAL = 1.1


def thousands(url: str, steps: int) -> list[tuple[int, float]]:
    """(super-step, seconds since the start) about every 250 super-steps."""
    seen: list[tuple[int, float]] = []
    with httpx.Client(base_url=url + "/api", timeout=60) as api:
        began = time.perf_counter()
        run = api.post("/graphs/loop/runs", json={"input": {"n": 0, "until": steps}}).json()["id"]
        while True:
            shown = api.get(f"/runs/{run}").json()
            at = shown["step"] or 0
            if not seen or at - seen[-1][0] >= 250 or shown["status"] == "completed":
                seen.append((at, time.perf_counter() - began))
            if shown["status"] not in {"pending", "running"}:
                assert shown["status"] == "completed", shown
                return seen
            time.sleep(0.1)


def pace(seen: list[tuple[int, float]], first: int, last: int) -> float:
    """Milliseconds a super-step between two super-steps."""
    a = min(seen, key=lambda item: abs(item[0] - first))
    b = min(seen, key=lambda item: abs(item[0] - last))
    return (b[1] - a[1]) / (b[0] - a[0]) * 1000


def largest_request(steps: int) -> int:
    """Bytes of the largest request to the orchestrator in a run of this length."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.ndjson"
        with host("loop", "--trace", str(trace), ours=True) as url:
            thousands(url, steps)
        rows = (json.loads(line) for line in trace.read_text().splitlines())
        return max(len(json.dumps(row["input"])) for row in rows if row.get("kind") == "orchestrator")


def main(steps: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    report = Report("long_run", f"A run of {steps} super-steps", ("found",))
    with host("loop", ours=True) as url:
        seen = thousands(url, steps)
    first, last = pace(seen, 0, 1000), pace(seen, steps - 1000, steps)
    report.row("the whole run", f"{seen[-1][1]:.1f} s")
    report.row("first thousand super-steps", f"{first:.2f} ms each")
    report.row("last thousand super-steps", f"{last:.2f} ms each")
    report.row("largest request to the orchestrator", f"{(request := largest_request(200))} bytes")
    report.goal("last thousand against the first", last / first, GOAL, unit=" x")
    report.goal("largest request to the orchestrator", request, LARGEST_REQUEST, unit=" bytes")
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
