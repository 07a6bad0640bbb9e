"""The recorded scenarios against the embedded host: start it on a copy of the recorded app, drive it, compare.

As a command it starts and stops that host for scenarios which do so themselves:
``python recorded.py start FOLDER PORT`` and ``python recorded.py stop FOLDER``, the latter with ``$SIGNAL``.
"""

import contextlib
import gzip
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
FIXTURES = _ROOT / "tests" / "fixtures"
_APP, _DRIVER, _EXPECTED = (
    FIXTURES / "recorded_app" / "app",
    FIXTURES / "recorded_app" / "driver",
    FIXTURES / "recordings",
)
_START_SECONDS, _STOP_SECONDS = 60.0, 30.0


class RecordedRun:
    """One host on a copy of the recorded app in `folder`, and what the driver recorded of it."""

    def __init__(self, folder: Path, *, options: bool = False) -> None:
        self.folder = folder
        self.app = folder / "app"
        shutil.copytree(_APP, self.app)
        if options:
            shutil.copy(self.app / "host.options.json", self.app / "host.json")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.command = f"{sys.executable} {__file__}"

    def start(self) -> None:
        start(self.folder, self.port)

    def stop(self) -> None:
        stop(self.folder, "TERM")

    def drive(self, which: str, *prefixes: str, seconds: float) -> None:
        """Runs scenarios of a set (main, options, crash, versions); the driver's output is shown when it fails."""
        environment = {
            **os.environ,
            "REC_BASE": f"http://127.0.0.1:{self.port}",
            "REC_RUN": str(self.folder),
            "REC_TRACE": str(self.folder / "trace.ndjson"),
            "REC_OUT": str(self.folder / "recorded"),
            "REC_APP": str(self.app),
            "REC_START": f"{self.command} start {self.folder} {self.port}",
            "REC_STOP": f"{self.command} stop {self.folder}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "run.py", "--set", which, *prefixes]
        done = subprocess.run(
            command, cwd=_DRIVER, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def names(self) -> list[str]:
        """The scenarios that were recorded."""
        return sorted(path.stem for path in (self.folder / "recorded").glob("*.json"))

    def differences(self, name: str) -> list[str]:
        """The first differences of a scenario from the real engine's recording; empty when it is equal."""
        normaliser = _module("normalise")
        text = (self.folder / "recorded" / f"{name}.json").read_text(encoding="utf-8")
        got = json.loads(text.replace(sys.executable, "/usr/local/bin/python"))
        expected = expectation(name)
        ((form, wanted),) = expected.items()
        found = normaliser.differences(wanted, normaliser.normalise(got, form == "loose"))
        return [f"{path}\n  expected {_short(wanted)}\n  got      {_short(was)}" for path, wanted, was in found[:8]]

    def claims(self) -> set[str]:
        """The statements about the protocol that hold on what was recorded."""
        command = [sys.executable, "claims.py", str(self.folder / "recorded")]
        done = subprocess.run(command, cwd=_DRIVER, capture_output=True, text=True, timeout=60, check=True)
        return {line[4:].strip() for line in done.stdout.splitlines() if line.startswith("yes")}


def expectation(name: str) -> dict[str, Any]:
    """What the real engine did: under `strict`, or under `loose` where batching does not repeat even there."""
    document: dict[str, Any] = json.loads(gzip.decompress((_EXPECTED / f"{name}.json.gz").read_bytes()))
    return document


def recorded_names() -> set[str]:
    """The scenarios that there are recordings of."""
    return {path.name.removesuffix(".json.gz") for path in _EXPECTED.glob("*.json.gz")}


def start(folder: Path, port: int) -> None:
    """Starts the host and waits until it says that it runs. SystemExit when it does not."""
    command = [
        sys.executable,
        "-m",
        "durablegraph.cli",
        "dev",
        "--no-reload",
        "--app",
        str(folder / "app"),
        "--port",
        str(port),
    ]
    command += ["--state", str(folder / "state"), "--trace", str(folder / "trace.ndjson")]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT / "lib"), "REC_RUN": str(folder)}
    with (folder / "host.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    (folder / "host.pid").write_text(str(process.pid))
    begun = time.monotonic()
    while time.monotonic() - begun < _START_SECONDS:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/host/status", timeout=2) as answer,
        ):
            if json.load(answer)["state"] == "Running":
                sys.stdout.write("Running\n")
                return
        if process.poll() is not None:
            sys.stdout.write("host exited\n")
            sys.exit(1)
        time.sleep(0.05)
    sys.exit("the host did not come up")


def stop(folder: Path, how: str) -> None:
    """Stops the host and its workers: KILL at once, TERM in good order."""
    pid = int((folder / "host.pid").read_text())
    with contextlib.suppress(ProcessLookupError):
        if how == "KILL":
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)
    begun = time.monotonic()
    while _lives(pid) and time.monotonic() - begun < _STOP_SECONDS:
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    """A zombie of this process's own counts as gone."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recorded_{name}", _DRIVER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _short(value: Any) -> str:
    return json.dumps(value)[:400]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["start", folder, port]:
            start(Path(folder), int(port))
        case ["stop", folder]:
            stop(Path(folder), os.environ.get("SIGNAL", "TERM"))
