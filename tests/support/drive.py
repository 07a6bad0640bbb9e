"""The product under test: an app in a real host process, and a client that drives runs over HTTP.

`make_app` lays out an app as a user has it, with the graphs of the tests; `Host` runs ``durablegraph dev`` on it and
can be killed; `Client.drive` takes a case from its POST to its end and tells the same facts as the oracle.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import httpx

from durablegraph.graphs.jsonable import jsonable
from tests.support.catalogue_graphs.case import Case
from tests.support.plain import CheckpointFacts, PlainRun, without_chance
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
CRASH_HOOK = ROOT / "tests" / "support" / "crash_hook"
IMPORT_PATH = os.pathsep.join((str(CRASH_HOOK), str(ROOT), str(ROOT / "lib")))
"""The PYTHONPATH of a host under test: it has the hook and the tests' graphs."""
START_SECONDS = 60
STOP_SECONDS = 30
RUN_SECONDS = 90
PROBE = httpx.Client(timeout=5, limits=httpx.Limits(max_keepalive_connections=0))
"""Made once: each client reads all certificates, 30 ms. It keeps no connections, for hosts die."""
MOST_TRIES = 50
JSON = {"Content-Type": "application/json"}
ENDED = frozenset({"completed", "failed", "cancelled", "timed_out", "terminated"})


def make_app(folder: Path, graphs: Iterable[str], *, served: str) -> Path:
    """An app with these graphs of a module `served_*`: the project's own triggers, untouched, and a langgraph.json."""
    folder.mkdir(parents=True)
    for name in ("activities", "orchestrators", "http_starters", "lib"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("function_app.py", "host.json"):
        shutil.copy(ROOT / name, folder / name)
    named = {name: f"tests.support.catalogue_graphs.{served}:{name}" for name in graphs}
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": named}))
    return folder


def until(look: Callable[[], Any], seconds: float = 30) -> Any:
    """What `look` tells as soon as that is true of something; AssertionError when it is not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("did not come about")


class Life(Protocol):
    """A process that was started: as much of `subprocess.Popen` as a host needs."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int: ...


Spawn = Callable[[Sequence[str], Mapping[str, str], Path, Path], Life]
"""Starts ``durablegraph ARGUMENTS`` with an environment, in a folder, its output appended to a file."""


def cold(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Life:
    """The command as a user gives it: a new interpreter."""
    command = [sys.executable, "-m", "durablegraph.cli", *arguments]
    with log.open("ab") as output:
        return subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True, cwd=folder
        )


@dataclass(slots=True)
class Host:
    """``durablegraph dev`` on an app, in a process group of its own. A context manager; `start` may follow `kill`.

    `workers=0` runs the app in the host's process, so that one SIGKILL ends all of it.
    """

    app: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    starter: Spawn = cold
    process: Life | None = None

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> Path:
        """The folder of the host's state."""
        return self.app / ".durablegraph"

    @property
    def executions(self) -> Path:
        """The folder in which nodes note that they ran."""
        return self.app / "executions"

    @property
    def log(self) -> str:
        """What the host has said."""
        return (self.app / "host.log").read_text(errors="replace")

    def spawn(self, **more: str) -> None:
        """Start the process; `more` are further environment variables. It is not ready when this returns."""
        self.executions.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "PYTHONPATH": IMPORT_PATH,
            "EXECUTIONS": str(self.executions),
            "EXPENSE_LEDGER": str(self.app / "ledger.db"),
            "TOOL_AGENT_MODEL": "local",
            **self.environment,
            **more,
        }
        arguments = ["dev", "--app", str(self.app), "--port", str(self.port)]
        arguments += ["--no-reload", "--workers", str(self.workers), *self.arguments]
        self.process = self.starter(arguments, environment, self.app, self.app / "host.log")

    def start(self, **more: str) -> None:
        """Start the process and return when it is ready."""
        self.spawn(**more)
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if not self.alive or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the host did not start:\n{self.log[-4000:]}")
            time.sleep(0.05)

    def ready(self) -> bool:
        """Whether the host says that it runs."""
        try:
            return PROBE.get(f"{self.url}/admin/host/status").json().get("state") == "Running"
        except (httpx.HTTPError, ValueError):
            return False

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End every process of the host at once, as the power does."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Ask the host to end, and end it when it does not."""
        self._signal(signal.SIGTERM)
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            if number == signal.SIGKILL:
                raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(slots=True)
class DrivenRun:
    """What a case did on the product, in the oracle's terms; `output`, `state` and `history` are JSON."""

    thread: str
    status: str = ""
    output: Any = None
    asked: list[list[Any]] = field(default_factory=list)
    stops: list[tuple[str, ...]] = field(default_factory=list)
    error: tuple[str, str] | None = None
    state: CheckpointFacts | None = None
    history: list[CheckpointFacts] = field(default_factory=list)


Revive = Callable[[], Awaitable[None]]


async def cannot_revive() -> None:
    """For runs whose host is not supposed to die."""
    raise AssertionError("the host does not answer")


@dataclass(slots=True)
class Client:
    """Drives runs over HTTP. When the host does not answer, `revive` is awaited and the request is sent again."""

    url: str
    revive: Revive = cannot_revive
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=60))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def send(self, method: str, path: str, **facts: Any) -> httpx.Response:
        """A request, sent again after a crash: every route is safe to call twice.

        Our own errors always have a body. One without is the host's word for a worker that died with the request.
        """
        for _ in range(MOST_TRIES):
            try:
                response = await self.http.request(method, f"{self.url}/api/{path}", **facts)
            except httpx.TransportError:
                await self.revive()
                continue
            if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR or response.content:
                return response
            await asyncio.sleep(0.1)
        raise AssertionError(f"{method} {path} was not answered in {MOST_TRIES} tries")

    async def read(self, path: str, **facts: Any) -> Any:
        """The JSON of a GET that has to succeed."""
        response = await self.send("GET", path, **facts)
        assert response.status_code == httpx.codes.OK, f"GET {path}: {response.status_code} {response.text[:2000]}"
        return response.json()

    async def begin(self, case: Case, thread: str, given: Any, key: str) -> str:
        """Start a run; `key` makes a second start of the same run no second run. The run's id."""
        body = {"input": given, "thread_id": thread, "config": dict(case.config), "context": case.context}
        sent = await self.send("POST", f"graphs/{case.name}/runs", json=body, headers={"Idempotency-Key": key})
        assert sent.status_code == httpx.codes.ACCEPTED, f"{case.name}: {sent.status_code} {sent.text[:2000]}"
        return str(sent.json()["id"])

    async def settled(self, run: str) -> dict[str, Any]:
        """The run when it has ended or waits."""
        deadline = time.monotonic() + RUN_SECONDS
        while True:
            found = await self.read(f"runs/{run}", params={"wait": 5})
            if found["status"] in ENDED or found["status"] == "interrupted":
                return dict(found)
            assert time.monotonic() < deadline, f"run {run} is still {found['status']} after {RUN_SECONDS} s"

    async def answer(self, run: str, body: Any) -> None:
        """Answer what the run waits for; an answer that was taken before the connection broke is taken once."""
        sent = await self.send("POST", f"runs/{run}/events/resume", content=json.dumps(body), headers=JSON)
        taken = (httpx.codes.ACCEPTED, httpx.codes.CONFLICT, httpx.codes.GONE)
        assert sent.status_code in taken, f"answer to {run}: {sent.status_code} {sent.text[:2000]}"

    async def drive(self, case: Case, thread: str) -> DrivenRun:
        """All runs of a case, one after the other, each to its end."""
        driven = DrivenRun(thread)
        for number, given in enumerate((case.input, *case.later)):
            await self.to_the_end(case, await self.begin(case, thread, given, f"{thread}-{number}"), driven)
        return driven

    async def to_the_end(self, case: Case, run: str, driven: DrivenRun) -> None:
        """Answer a run until it has ended, and keep what it said."""
        before: list[str] | None = None
        deadline = time.monotonic() + RUN_SECONDS
        while True:
            assert time.monotonic() < deadline, f"run {run} did not take its answer in {RUN_SECONDS} s"
            shown = await self.settled(run)
            if shown["status"] in ENDED:
                break
            questions = [item["id"] for item in shown["interrupts"]]
            waits = [shown["step"], *(questions or [shown["updated_at"]])]  # one step of ours may stop more than once
            if waits == before:
                await asyncio.sleep(0.02)
                continue
            before = waits
            await self.answer(run, reply(case, shown, driven))
        driven.status, driven.output = shown["status"], shown["output"]
        driven.error = (shown["error"]["type"], shown["error"]["message"]) if shown["error"] else None

    async def look_back(self, driven: DrivenRun, plain: PlainRun) -> None:
        """Read the thread's state and history into the run, as far as LangGraph itself can show them."""
        if plain.unreadable is None:
            found = await self.read(f"threads/{driven.thread}/history", params={"limit": 1000})
            driven.history = [facts_of(item) for item in reversed(found)]
        if plain.state is not None:
            driven.state = facts_of(await self.read(f"threads/{driven.thread}/state"))


def reply(case: Case, shown: Mapping[str, Any], driven: DrivenRun) -> Any:
    """The body that answers a waiting run; questions and stops are noted."""
    waiting = shown["interrupts"]
    if not waiting:
        driven.stops.append(tuple(sorted(shown["next"])))
        return None
    driven.asked.append(sorted((item["value"] for item in waiting), key=repr))
    if case.answer is None:
        raise AssertionError(f"found the questions {waiting}, expected none")
    answers = {item["id"]: case.answer(item["value"]) for item in waiting}
    return answers if len(answers) > 1 else next(iter(answers.values()))


def facts_of(state: Mapping[str, Any]) -> CheckpointFacts:
    """A thread state of the API in the oracle's terms."""
    metadata = state["metadata"]
    return CheckpointFacts(metadata["source"], metadata["step"], state["values"], tuple(sorted(state["next"])))


def as_json(value: Any) -> Any:
    """A value as the API shows it, with chance taken out."""
    return without_chance(jsonable(value))


def history_as_json(history: Iterable[CheckpointFacts]) -> list[CheckpointFacts]:
    """Checkpoints with their values as the API shows them, with chance taken out."""
    return [CheckpointFacts(each.source, each.step, as_json(each.values), each.next) for each in history]


def assert_same(driven: DrivenRun, plain: PlainRun) -> None:
    """The run over HTTP said and stored what the plain one did."""
    assert driven.status == ("failed" if plain.error else "completed"), driven.error
    assert (driven.error and driven.error[0]) == (plain.error and plain.error[0])
    assert driven.asked == [as_json(asked) for asked in plain.asked]
    assert driven.stops == plain.stops, (driven.stops, plain.stops)
    if plain.error is None:
        assert without_chance(driven.output) == as_json(plain.output)
    assert history_as_json(driven.history) == history_as_json(plain.history)
    assert (driven.state is None) == (plain.state is None)
    if plain.state is not None and driven.state is not None:
        assert history_as_json([driven.state]) == history_as_json([plain.state])
