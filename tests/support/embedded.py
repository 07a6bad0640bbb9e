"""The real command as a real process: an app written to a folder, served on a free port, asked over HTTP."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

_PACKAGE_ROOT = Path(__file__).resolve().parents[2] / "lib"
_START_SECONDS = 60.0


@dataclass
class RunningHost:
    """One `durablegraph dev` process on `app`; `log` is what it has written to its terminal."""

    app: Path
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    base: str = ""

    @property
    def log(self) -> str:
        """Everything written so far."""
        return self._log_path.read_text(encoding="utf-8", errors="replace") if self._log_path.exists() else ""

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.app / ".durablegraph"

    @property
    def _log_path(self) -> Path:
        return self.app.parent / f"{self.app.name}.log"

    def start(self) -> "RunningHost":
        """Start and wait until it answers. Fails with the log when it ends or does not come up."""
        self.launch()
        begun = time.monotonic()
        while time.monotonic() - begun < _START_SECONDS:
            if self._find_base():
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"{self.base}/admin/host/ping", timeout=5).status_code == httpx.codes.OK:
                        return self
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the host ended with code {self.process.returncode}:\n{self.log}")
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the host did not come up:\n{self.log}")

    def launch(self) -> None:
        """Start without waiting."""
        command = [sys.executable, "-m", "durablegraph.cli", "dev", "--app", str(self.app), "--port", "0"]
        environment = {**os.environ, "PYTHONPATH": str(_PACKAGE_ROOT), **self.environment}
        self.base = ""
        self._log_path.unlink(missing_ok=True)
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def _find_base(self) -> bool:
        for line in self.log.splitlines():
            if line.strip().startswith("listening on "):
                self.base = line.split()[-1].replace("localhost", "127.0.0.1")
        return bool(self.base)

    def wait(self, seconds: float = 30.0) -> int:
        """Wait for its end; the exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def signal(self, number: int) -> None:
        """Send a signal to the host process alone."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, seconds: float = 30.0) -> int:
        """End gracefully; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """SIGKILL; its workers must notice by themselves."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def get(self, path: str, **given: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        """POST."""
        return self.request("POST", path, **given)

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Any request."""
        return httpx.request(method, f"{self.base}{path}", timeout=60, **given)

    def until(self, instance: str, *wanted: str, seconds: float = 30.0) -> dict[str, Any]:
        """Poll an instance's status until it is one of `wanted` (or over, when none is named)."""
        over = wanted or ("Completed", "Failed", "Terminated")
        begun, status = time.monotonic(), {}
        while time.monotonic() - begun < seconds:
            answer = self.get(f"/runtime/webhooks/durabletask/instances/{instance}")
            status = answer.json() if answer.content else {}
            if status.get("runtimeStatus") in over:
                return status
            time.sleep(0.05)
        raise AssertionError(f"{instance} is {status} after {seconds} s, not {over}:\n{self.log[-3000:]}")

    def log_until(self, words: str, seconds: float = 15.0) -> None:
        """Wait until the terminal shows these words."""
        begun = time.monotonic()
        while words not in self.log:
            assert time.monotonic() - begun < seconds, f"never saw {words!r}:\n{self.log}"
            time.sleep(0.05)


def write_app(folder: Path, code: str, **files: str) -> Path:
    """A folder with this function_app.py, a host.json, and other files by name (underscores for dots)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "function_app.py").write_text(textwrap.dedent(code), encoding="utf-8")
    (folder / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    for name, text in files.items():
        (folder / name.replace("__", "/").replace("_json", ".json").replace("_py", ".py")).write_text(
            textwrap.dedent(text),
            encoding="utf-8",
        )
    return folder


@contextlib.contextmanager
def hosting(app: Path, *arguments: str, **environment: str) -> Iterator[RunningHost]:
    """A host that is up, and gone afterwards."""
    host = RunningHost(app, arguments, environment)
    try:
        yield host.start()
    finally:
        host.kill()
