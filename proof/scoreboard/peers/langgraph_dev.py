"""`langgraph dev`, LangGraph's own server as people run it on a laptop, through its own client."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import BadRequestError

from proof.scoreboard.judging import Seen
from proof.scoreboard.peers import Peer
from tests.support.catalogue import Case
from tests.support.drive import ROOT, make_app
from tests.support.plain import executions
from tests.support.ports import free_port

START_SECONDS = 180
QUIET = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LOG_LEVEL": "WARNING"}


@dataclass(slots=True)
class Server:
    """The server, up."""

    url: str
    executions: Path

    async def run(self, case: Case) -> Seen:
        """Every input of the case, each with the answers that it asks for."""
        seen = Seen()
        client = get_client(url=self.url, timeout=120)
        thread = (await client.threads.create())["thread_id"]
        for given in (case.input, *case.later):
            more: dict[str, Any] | None = {"input": given}
            while more is not None:
                facts: dict[str, Any] = {"config": dict(case.config), "context": case.context, **more}
                result = await client.runs.wait(thread, case.name, raise_error=False, **facts)
                failed = result.get("__error__") if isinstance(result, dict) else None
                seen.error = failed["error"] if failed else None
                state = await state_of(client, thread)
                seen.values = state and state["values"]
                more = None if failed or state is None else going_on(case, state, seen)
        seen.ran = executions(self.executions / case.name)
        return seen


async def state_of(client: LangGraphClient, thread: str) -> Any:
    """The thread's state; None where LangGraph itself cannot show it, for it is no state of the graph's schema."""
    try:
        return await client.threads.get_state(thread)
    except BadRequestError:
        return None


def going_on(case: Case, state: Any, seen: Seen) -> dict[str, Any] | None:
    """What to send next; questions and stops are noted."""
    waiting = [item for task in state["tasks"] for item in task["interrupts"]]
    if waiting and case.answer is not None:
        seen.asked.append(sorted((item["value"] for item in waiting), key=repr))
        return {"command": {"resume": {item["id"]: case.answer(item["value"]) for item in waiting}}}
    if state["next"]:
        seen.stops.append(tuple(sorted(state["next"])))
        return {"input": None}
    return None


@contextmanager
def start(folder: Path, cases: Iterable[str]) -> Iterator[Server]:
    """The server on a folder of its own, as ``langgraph dev`` starts it."""
    app = make_app(folder / "app", cases, served="served_scoreboard")
    noted = folder / "executions"
    noted.mkdir()
    port = free_port()
    paths = os.pathsep.join((str(ROOT), str(ROOT / "lib")))
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload", "--allow-blocking"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 -- the peer's own command
            [*command, "--port", str(port), "--n-jobs-per-worker", "10"],
            cwd=app,
            env={**os.environ, **QUIET, "PYTHONPATH": paths, "EXECUTIONS": str(noted)},
            stdout=log,
            stderr=log,
        )
    try:
        until_up(f"http://127.0.0.1:{port}", process, folder / "server.log")
        yield Server(f"http://127.0.0.1:{port}", noted)
    finally:
        process.terminate()
        process.wait(30)


def until_up(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/ok").is_success:
                return
        time.sleep(0.2)
    raise RuntimeError(f"langgraph dev did not start:\n{log.read_text(errors='replace')[-4000:]}")


PEER = Peer(
    "langgraph dev",
    ("langgraph-api", "langgraph-cli", "langgraph-runtime-inmem"),
    "its in-memory server, through langgraph-sdk",
    start,
    at_once=10,
)
