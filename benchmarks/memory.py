"""What waiting runs cost the host's memory, and what a start costs: python -m benchmarks.memory [runs].

Starts that many runs that wait for an answer, and reads the resident memory of the host and its worker before and
after. Then the time to import the app in a fresh process, and from the command to the state `Running`.
"""

import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from benchmarks.peers import client
from benchmarks.report import Report, spread
from benchmarks.serving import ROOT, host

IMPORT_GOAL = 1.2
CALLERS = 20


def processes(port: str) -> list[int]:
    """The host that listens on `port`, and its workers."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and f"\0--port\0{port}\0" in _read(entry / "cmdline"):
            return [int(entry.name), *(int(pid) for pid in _read(entry / "task" / entry.name / "children").split())]
    raise RuntimeError(f"no host with --port {port} is running")


def resident(pids: list[int]) -> list[float]:
    """Resident memory in MB, of each."""
    pages = (int(_read(Path(f"/proc/{pid}/statm")).split()[1]) for pid in pids)
    return [count * os.sysconf("SC_PAGE_SIZE") / 1e6 for count in pages]


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def wait_all(url: str, runs: int) -> float:
    """Start so many runs and wait until all of them wait; the result is the seconds that took."""
    began = time.perf_counter()

    def start(_: int) -> str:
        return str(client(url).post("/api/graphs/asks/runs", json={"input": {}}).raise_for_status().json()["id"])

    with ThreadPoolExecutor(CALLERS) as threads:
        ids = list(threads.map(start, range(runs)))
    for run in ids:
        while httpx.get(f"{url}/api/runs/{run}", params={"wait": 100}, timeout=120).json()["status"] != "interrupted":
            pass
    return time.perf_counter() - began


def importing() -> float:
    """Seconds of processor time that a fresh process needs to import the app."""
    code = "import function_app, resource; u = resource.getrusage(resource.RUSAGE_SELF); print(u.ru_utime + u.ru_stime)"
    paths = os.pathsep.join((str(ROOT / "lib"), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
    )
    return float(done.stdout.split()[-1])


def to_running() -> float:
    """Seconds from the command to `Running`."""
    began = time.perf_counter()
    with host("five", ours=True):
        return time.perf_counter() - began


def main(runs: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    report = Report("memory", "Memory and start", ("found", "remark"))
    imports, starts = [importing() for _ in range(5)], [to_running() for _ in range(5)]
    report.row("import of the app, seconds of processor time", spread(imports), "fresh process, bytecode cached")
    report.row("command to Running, seconds", spread(starts), "host and one worker process")
    report.goal("import of the app", statistics.median(imports), IMPORT_GOAL, unit=" s")
    with host("five", ours=True) as url:
        pids = processes(url.rpartition(":")[2])
        wait_all(url, 20)
        before = resident(pids)
        lasted = wait_all(url, runs)
        after = resident(pids)
    for name, first, last in zip(("host", "worker"), before, after, strict=False):
        each = (last - first) * 1000 / runs
        report.row(f"{name}, {runs} waiting runs", f"{last:.0f} MB", f"{first:.0f} MB before; {each:.1f} kB a run")
    report.row(f"{runs} runs started and waiting after", f"{lasted:.0f} s", f"{runs / lasted:.0f} a second")
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
