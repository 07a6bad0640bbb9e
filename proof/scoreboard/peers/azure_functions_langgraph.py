"""azure-functions-langgraph: its own HTTP app, unmodified, in the embedded Functions host.

The graphs are registered as its README shows, with `async_mode` (so that async nodes run) and a saver in memory. They
are run by its invoke route; by its Platform-compatible route where a case has a context, to answer a question, and to
go on from a static breakpoint, once, with a null input as LangGraph's own API has it. Its errors tell no types.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from proof.scoreboard.judging import Refused, Seen
from proof.scoreboard.peers import Peer
from tests.support.catalogue import Case
from tests.support.drive import Host, make_app
from tests.support.plain import executions

APP = """
import json
from pathlib import Path

import azure.functions as func
from azure_functions_langgraph import LangGraphApp
from langgraph.checkpoint.memory import InMemorySaver

from tests.support.catalogue_graphs import served_scoreboard
from tests.support.plain import compiled

peer = LangGraphApp(platform_compat=True, auth_level=func.AuthLevel.ANONYMOUS)
for name in json.loads((Path(__file__).parent / "langgraph.json").read_text())["graphs"]:
    graph = compiled(getattr(served_scoreboard, name)(), InMemorySaver())
    peer.register(graph=graph, name=name, async_mode=True)
app = peer.function_app
"""

SAYS_NO = (400, 404, 405, 415, 422, 501)
"""Statuses that say that a request is not for this server."""


@dataclass(slots=True)
class Theirs:
    """Their app in our host."""

    host: Host

    async def run(self, case: Case) -> Seen:
        """Every input of the case, each with what it asks for."""
        seen = Seen()
        async with httpx.AsyncClient(base_url=f"{self.host.url}/api", timeout=120) as http:
            thread = (await http.post("threads", json={})).json()["thread_id"]
            for given in (case.input, *case.later):
                answer = await self.begin(http, case, thread, given)
                seen.error = None if answer.is_success else ""
                left = await self.state(http, case, thread, seen)
                if left and answer.is_success:
                    await self.go_on(http, case, thread, left, seen)
        seen.ran = executions(self.host.executions / case.name)
        return seen

    async def begin(self, http: httpx.AsyncClient, case: Case, thread: str, given: Any) -> httpx.Response:
        """Run the graph."""
        configurable = {**case.config.get("configurable", {}), "thread_id": thread}
        config = {**case.config, "configurable": configurable}
        if case.context is None:
            return told(await http.post(f"graphs/{case.name}/invoke", json={"input": given, "config": config}))
        wanted = {"assistant_id": case.name, "input": given, "config": dict(case.config), "context": case.context}
        return told(await http.post(f"threads/{thread}/runs/wait", json=wanted))

    async def state(self, http: httpx.AsyncClient, case: Case, thread: str, seen: Seen) -> list[str]:
        """Note the thread's state, where it can be shown; what is next."""
        answer = await http.get(f"graphs/{case.name}/threads/{thread}/state")
        found = answer.json() if answer.is_success else {}
        seen.values = found.get("values")
        return list(found.get("next") or ())

    async def go_on(self, http: httpx.AsyncClient, case: Case, thread: str, left: list[str], seen: Seen) -> None:
        """Answer the question, or go on from the breakpoint."""
        if case.answer is None:
            seen.stops.append(tuple(sorted(left)))
        command = {"command": {"resume": True}} if case.answer else {"input": None}
        told(await http.post(f"threads/{thread}/runs/wait", json={"assistant_id": case.name, **command}))
        await self.state(http, case, thread, seen)


def told(answer: httpx.Response) -> httpx.Response:
    """The answer, unless it says that this is not done here."""
    if answer.status_code in SAYS_NO:
        found = answer.json()
        raise Refused(f"{answer.status_code}: {found.get('detail') or found.get('message') or found}")
    return answer


@contextmanager
def start(folder: Path, cases: Iterable[str]) -> Iterator[Theirs]:
    """Their app in the embedded host, on a folder of its own."""
    app = make_app(folder / "app", cases, served="served_scoreboard")
    (app / "function_app.py").write_text(APP)
    with Host(app) as host:
        yield Theirs(host)


PEER = Peer(
    "azure-functions-langgraph",
    ("azure-functions-langgraph",),
    "its own app in the embedded host: invoke and Platform-compatible routes; a null input to go on from a static "
    "breakpoint, for which it documents no way",
    start,
)
