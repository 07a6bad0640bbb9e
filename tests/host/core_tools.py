"""The real Functions host, started from the PATH with Azurite beside it: ``func start`` on a folder.

Not verified: no machine that this was written on has the Core Tools. What it relies on is documented by Microsoft:
``func start --port``, ``local.settings.json``, and ``/admin/host/status`` without a key on localhost.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support import azurite

START_SECONDS = 180
STOP_SECONDS = 40
AZURITE_PORT = 10000


class CoreTools:
    """``func start`` on an app in a process group of its own; `start` may follow `stop`."""

    def __init__(self, command: str, app: Path, port: int) -> None:
        self.command, self.app, self.port = command, app, port
        self.url = f"http://127.0.0.1:{port}"
        self._pid_file = app.parent / f"{app.name}.pid"

    def start(self) -> None:
        """Start it and return when it says that it runs. RuntimeError when it does not."""
        with (self.app.parent / f"{self.app.name}.log").open("ab") as log:
            process = subprocess.Popen(
                [self.command, "start", "--port", str(self.port)],
                cwd=self.app,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            )
        self._pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                raise RuntimeError(f"`func start` did not come up in {self.app}: read {log.name}")
            time.sleep(0.2)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/admin/host/status", timeout=5).json().get("state") == "Running"
        except (httpx.HTTPError, ValueError):
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and its worker: in good order, or at once with SIGKILL."""
        if not self._pid_file.exists():
            return
        pid = int(self._pid_file.read_text())
        for number in (how, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
            if number == signal.SIGKILL or _gone(pid, STOP_SECONDS):
                break
        _gone(pid, STOP_SECONDS)
        self._pid_file.unlink()


@contextmanager
def storage() -> Iterator[None]:
    """Azurite at its usual ports: the one that is there, or one of our own (blobs, queues and tables, in memory)."""
    if _answers(AZURITE_PORT):
        yield
        return
    azurite.install()
    command = [str(azurite._HOME / "node_modules" / ".bin" / "azurite")]
    command += ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as emulator:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(AZURITE_PORT):
                if emulator.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Azurite did not come up at port {AZURITE_PORT}: {' '.join(command)}")
                time.sleep(0.2)
            yield
        finally:
            emulator.kill()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


if __name__ == "__main__":  # for scenarios that start and stop the host: ... start|stop COMMAND APP PORT
    what, command, app, port = sys.argv[1:]
    host = CoreTools(command, Path(app), int(port))
    if what == "start":
        host.start()
        sys.stdout.write("Running\n")
    else:
        host.stop(signal.Signals[f"SIG{os.environ.get('SIGNAL', 'TERM')}"])
