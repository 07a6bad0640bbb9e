"""A copy of this repository's app, and ``durablegraph dev`` on it as a process that can be killed."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 90


def copy_app(folder: Path) -> Path:
    """The app as it stands here, with the proof's graph instead of the shipped ones."""
    folder.mkdir(parents=True)
    for name in ("activities", "orchestrators", "http_starters", "lib"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("function_app.py", "host.json"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "graphs").mkdir()
    shutil.copy(ROOT / "proof" / "app" / "forty_steps.py", folder / "graphs")
    shutil.copy(ROOT / "proof" / "app" / "langgraph.json", folder)
    return folder


class AppHost:
    """``durablegraph dev`` in a process group of its own, on one port through all its lives."""

    def __init__(self, app: Path, pace: float) -> None:
        self.app = app
        self.notes = app.parent / "notes.ndjson"
        self.log = app.parent / "host.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(app / "lib"),
            "PROOF_NOTES": str(self.notes),
            "PROOF_PACE": str(pace),
            "DURABLEGRAPH_FAN_OUT": "always",
            "DURABLEGRAPH_STEPS_PER_EXECUTION": "7",
            "AzureWebJobsStorage": "local",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def objects(self) -> Path:
        """The file of the object store."""
        return self.app / ".durablegraph" / "objects.db"

    async def start(self) -> None:
        """Start the process and return when the host says that it runs. RuntimeError when it does not."""
        command = [sys.executable, "-m", "durablegraph.cli", "dev", "--app", str(self.app)]
        command += ["--port", str(self.port), "--no-reload"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 -- killed and waited for in sync code; our own command
                command, env=self._environment, cwd=self.app, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        async with httpx.AsyncClient(timeout=5) as client:
            while not await self._ready(client):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"the host did not start; its last words:\n{self.last_words}")
                await asyncio.sleep(0.03)

    async def _ready(self, client: httpx.AsyncClient) -> bool:
        try:
            status = (await client.get(f"{self.url}/admin/host/status")).json()
        except (httpx.HTTPError, ValueError):
            return False
        return bool(status.get("state") == "Running")

    def kill(self) -> None:
        """SIGKILL to every process of the host, worker processes included; returns when the host is gone."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self._process = None

    @property
    def last_words(self) -> str:
        """The end of what the host has written."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
