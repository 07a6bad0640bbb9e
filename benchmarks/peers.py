"""Peers that run on one machine without an account: each gives a function that makes one run of five steps.

Each is driven as its own documentation says, with its state on the local disk, on its defaults otherwise.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from benchmarks.apps.five.five import STEPS
from benchmarks.serving import APPS, ROOT, free_port, host

Run = Callable[[], None]
RESTATE = "@restatedev/restate-server@1.7.12"
_CLIENTS = threading.local()


def client(url: str, **more: object) -> httpx.Client:
    """This thread's client of a server."""
    known: dict[str, httpx.Client] = _CLIENTS.__dict__.setdefault("by_url", {})
    if url not in known:
        known[url] = httpx.Client(base_url=url, timeout=120, **more)  # type: ignore[arg-type]  # passed through
    return known[url]


@contextlib.contextmanager
def durablegraph(**settings: str) -> Iterator[Run]:
    """Ours: the embedded host, a POST and a GET that waits."""
    with host("five", ours=True, **settings) as url:

        def run() -> None:
            api = client(url)
            shown = api.post("/api/graphs/five/runs", json={"input": {}}).raise_for_status().json()
            while shown.get("status") != "completed":
                shown = api.get(f"/api/runs/{shown['id']}", params={"wait": 100}).raise_for_status().json()
            assert shown["output"]["n"] == STEPS, shown

        yield run


@contextlib.contextmanager
def dbos_on_sqlite(name: str) -> Iterator[None]:
    """DBOS set up on a SQLite file of its own; functions may be decorated, then `DBOS.launch()` is the caller's."""
    from dbos import DBOS

    with tempfile.TemporaryDirectory() as folder:
        DBOS(
            config={
                "name": name,
                "system_database_url": f"sqlite:///{Path(folder) / 'dbos.db'}",
                "run_admin_server": False,
                "log_level": "ERROR",
            }
        )
        try:
            yield
        finally:
            DBOS.destroy(destroy_registry=True)


@contextlib.contextmanager
def dbos() -> Iterator[Run]:
    """DBOS, a library: a workflow of five steps on SQLite, called in this process."""
    from dbos import DBOS

    with dbos_on_sqlite("five-steps"):

        @DBOS.step()
        def one(n: int) -> int:
            return n + 1

        @DBOS.workflow()
        def five() -> int:
            n = 0
            for _ in range(STEPS):
                n = one(n)
            return n

        def run() -> None:
            assert five() == STEPS

        DBOS.launch()
        yield run


@contextlib.contextmanager
def restate() -> Iterator[Run]:
    """Restate's server from npm, and a Python service of five durable steps behind hypercorn."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is not installed: install Node.js to measure Restate")
    ingress, admin, node, service = (free_port() for _ in range(4))
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        subprocess.run([npm, "install", "--silent", RESTATE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        settings = {
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
            "RESTATE_DISABLE_TELEMETRY": "true",
        }
        server = str(Path(folder) / "node_modules/.bin/restate-server")
        data = str(Path(folder) / "data")
        stack.enter_context(_process([server, "--node-name", "n1", "--base-dir", data], folder, settings))
        serve = [
            sys.executable,
            "-m",
            "hypercorn",
            "benchmarks.apps.restate_five:app",
            "--bind",
            f"127.0.0.1:{service}",
        ]
        stack.enter_context(_process(serve, str(ROOT), {}))
        _until(f"http://127.0.0.1:{admin}/health")
        _register(f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{service}")

        def run() -> None:
            answer = client(f"http://127.0.0.1:{ingress}").post("/Five/run", json=0).raise_for_status()
            assert answer.json() == STEPS, answer.text

        yield run


@contextlib.contextmanager
def langgraph_dev() -> Iterator[Run]:
    """`langgraph dev`, LangGraph's own local server, in memory; a stateless run that is waited for."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "app"
        shutil.copytree(APPS / "five", app)
        (app / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": {"five": "./five.py:graph"}}))
        command = [
            str(Path(sys.executable).parent / "langgraph"),
            "dev",
            "--no-browser",
            "--no-reload",
            "--port",
            str(port),
        ]
        with _process(command, str(app), {"LANGSMITH_TRACING": "false"}):
            _until(f"http://127.0.0.1:{port}/ok")

            def run() -> None:
                asked = {"assistant_id": "five", "input": {}}
                answer = client(f"http://127.0.0.1:{port}").post("/runs/wait", json=asked).raise_for_status()
                assert answer.json()["n"] == STEPS, answer.text

            yield run


PEERS: dict[str, Callable[[], contextlib.AbstractContextManager[Run]]] = {
    "durablegraph, embedded host": durablegraph,
    "DBOS on SQLite": dbos,
    "Restate": restate,
    "langgraph dev (nothing durable)": langgraph_dev,
}


@contextlib.contextmanager
def _process(command: list[str], folder: str, settings: dict[str, str]) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **settings}, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2).is_success:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing answered at {url} within 60 s")


def _register(admin: str, service: str) -> None:
    for _ in range(100):
        answer = httpx.post(f"{admin}/deployments", json={"uri": service}, timeout=10)
        if answer.is_success:
            return
        time.sleep(0.2)
    raise RuntimeError(f"Restate did not take the service: {answer.text}")
