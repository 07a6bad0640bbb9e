"""A real browser follows a run through its own EventSource, over answers that end and connections that break."""

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.drive import Host, make_app

SECONDS = 120

GRAPH = """
import operator
from typing import Annotated, TypedDict
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

class State(TypedDict, total=False):
    out: Annotated[list, operator.add]

def say(word):
    def node(state):
        get_stream_writer()({"said": word})
        return {"out": [interrupt("go on?") if word == "ask" else word]}
    return node

builder = StateGraph(State)
for before, name in ((START, "first"), ("first", "ask"), ("ask", "last")):
    builder.add_node(name, say(name))
    builder.add_edge(before, name)
graph = builder.compile()
"""

PAGE = """<!doctype html><meta charset="utf-8"><title>follower</title><script>
const names = ["metadata", "status", "updates", "values", "custom", "error", "gone", "end"];
const post = (path, body) => fetch(path, {method: "POST", headers: {"Content-Type": "application/json"},
                                          body: JSON.stringify(body)});
(async () => {
  const asked = {input: {out: []}, stream_mode: ["updates", "values", "custom"]};
  const run = await (await post("/api/graphs/steps/runs", asked)).json();
  const seen = [];
  let opened = 0;
  const source = new EventSource(`/api/runs/${run.id}/stream?wait=20`);
  source.onopen = () => { opened += 1; };
  for (const name of names) source.addEventListener(name, (event) => {
    if (!(event instanceof MessageEvent)) return;  // the connection broke: EventSource calls that "error" too
    const data = event.data ? JSON.parse(event.data) : null;
    seen.push({id: event.lastEventId, name, data});
    if (name === "status" && data.status === "interrupted")
      setTimeout(() => post(`/api/runs/${run.id}/events/resume`, {[data.interrupts[0].id]: "yes"}), 300);
    if (name === "end") { source.close(); post("/seen", {seen, opened, run: run.id}); }
  });
})();
</script>"""


@dataclass
class Front:
    """The page's origin: serves it, hands everything else to the host, and breaks off every second stream."""

    host: str
    seen: "queue.Queue[Any]" = field(default_factory=queue.Queue)
    last_ids: list[str | None] = field(default_factory=list)
    broken: int = 0


class Frontdoor(ThreadingHTTPServer):
    """The server of a `Front`."""

    def __init__(self, front: Front) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.front = front


class Handler(BaseHTTPRequestHandler):
    """Of a `Frontdoor`."""

    protocol_version = "HTTP/1.1"
    server: "Frontdoor"

    def do_GET(self) -> None:
        if self.path == "/":
            self.answer(200, PAGE.encode(), "text/html")
        elif self.path.startswith("/api/"):
            self.forward()
        else:
            self.answer(404, b"", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/seen":
            self.server.front.seen.put(json.loads(body))
            self.answer(204, b"", "text/plain")
        else:
            told = httpx.post(self.server.front.host + self.path, content=body, timeout=60)
            self.answer(told.status_code, told.content, "application/json")

    def forward(self) -> None:
        last = self.headers.get("Last-Event-ID")
        given = {"Accept": self.headers["Accept"], **({"Last-Event-ID": last} if last else {})}
        told = httpx.get(self.server.front.host + self.path, headers=given, timeout=60)
        self.server.front.last_ids.append(last)
        if (
            len(self.server.front.last_ids) % 2
            and told.status_code == httpx.codes.OK
            and told.content.count(b"\n\n") > 1
        ):
            self.server.front.broken += 1
            self.break_off(told.content)
        else:
            self.answer(told.status_code, told.content, told.headers.get("content-type", "text/plain"))

    def break_off(self, content: bytes) -> None:
        """The line goes dead in the middle of the last event."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: content.rstrip().rfind(b"\n")])
        self.close_connection = True

    def answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status != httpx.codes.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def front(tmp_path: Path) -> Iterator[tuple[Front, str]]:
    app = make_app(tmp_path / "app", [], served="")
    (app / "steps.py").write_text(GRAPH)
    (app / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": {"steps": "./steps.py:graph"}}))
    with Host(app) as host:
        front = Front(host.url)
        server = Frontdoor(front)
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield front, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        server.server_close()


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Any]:
    """Opens a page in a headless Chromium of its own."""
    command = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if command is None:
        pytest.skip("needs Chromium or Chrome for a real EventSource, and there is none on the PATH")
    started: list[subprocess.Popen[bytes]] = []

    def open_page(address: str) -> None:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        with (tmp_path / "browser.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [command, *arguments, "--no-first-run", "--disable-dev-shm-usage", "--no-proxy-server", address],
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    yield open_page
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def test_a_browser_sees_each_event_of_a_run_once_across_broken_connections_and_an_interrupt(front, browse):
    served, address = front
    browse(address)
    told = served.seen.get(timeout=SECONDS)
    seen = told["seen"]
    assert [int(event["id"]) for event in seen] == list(range(1, len(seen) + 1))
    assert [(event["name"], event["data"]) for event in seen if event["name"] in {"updates", "custom"}] == [
        ("custom", {"said": "first"}),
        ("updates", {"first": {"out": ["first"]}}),
        ("custom", {"said": "ask"}),
        ("updates", {"__interrupt__": [{**seen_interrupt(seen), "response_schema": None}]}),
        ("custom", {"said": "ask"}),
        ("updates", {"ask": {"out": ["yes"]}}),
        ("custom", {"said": "last"}),
        ("updates", {"last": {"out": ["last"]}}),
    ]
    assert [event["data"]["status"] for event in seen if event["name"] in {"status", "end"}] == [
        "running",
        "interrupted",
        "running",
        "completed",
    ]
    assert seen[0]["name"] == "metadata"
    assert [event for event in seen if event["name"] == "values"][-1]["data"] == {"out": ["first", "yes", "last"]}
    assert told["opened"] >= 3
    assert served.broken >= 1, "no connection was broken"
    after = served.last_ids[1:]
    assert all(after), "the browser came again without saying what it had seen"
    answer = httpx.get(f"{served.host}/api/runs/{told['run']}/stream", headers={"Last-Event-ID": seen[-1]["id"]})
    assert answer.status_code == httpx.codes.NO_CONTENT


def seen_interrupt(seen: list[dict[str, Any]]) -> dict[str, Any]:
    """The id and value of the question, as the run's status tells them."""
    (asked,) = (event["data"]["interrupts"] for event in seen if event["data"].get("status") == "interrupted")
    return {"id": asked[0]["id"], "value": asked[0]["value"]}
