"""Start and stop the embedded host for a benchmark. Run as a benchmark it prints how long the host takes to start."""

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
APPS = Path(__file__).parent / "apps"


@contextlib.contextmanager
def host(app: str, *arguments: str, ours: bool = False, **environment: str) -> Iterator[str]:
    """The base URL of a host that runs a copy of ``apps/{app}``; `ours` adds the project's own triggers."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "app"
        shutil.copytree(APPS / app, copy)
        if ours:
            for name in ("activities", "orchestrators", "http_starters", "lib", "function_app.py", "host.json"):
                (copy / name).symlink_to(ROOT / name)
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "durablegraph.cli",
            "dev",
            "--app",
            str(copy),
            "--port",
            str(port),
            "--no-reload",
        ]
        paths = os.pathsep.join((str(ROOT / "lib"), str(ROOT)))
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *arguments], env={**os.environ, "PYTHONPATH": paths, **environment}, stdout=log, stderr=log
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _until_ready(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError("the host ended before it was ready")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/admin/host/status", timeout=2).json().get("state") == "Running":
                return
        time.sleep(0.05)
    raise RuntimeError("the host was not ready within 30 s")


def main() -> None:
    """Print the time from the command to `Running`."""
    for name, ours in (("chain", False), ("loop", True)):
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            with host(name, ours=ours):
                seconds.append(time.perf_counter() - began)
        print(f"start to Running, app {name:6s} median {statistics.median(seconds):.2f} s of 3")


if __name__ == "__main__":
    main()
