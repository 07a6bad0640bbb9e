"""Ourselves: `durablegraph dev` on the project's own app, over HTTP, continued as new every two steps."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from proof.scoreboard.judging import Seen
from proof.scoreboard.peers import Peer
from tests.support.catalogue import Case
from tests.support.drive import Client, Host, make_app
from tests.support.plain import executions


@dataclass(slots=True)
class Ours:
    """The embedded host with the graphs."""

    host: Host

    async def run(self, case: Case) -> Seen:
        """Start, answer, read the thread."""
        async with Client(self.host.url) as client:
            driven = await client.drive(case, f"thread-{case.name}")
            state = await client.send("GET", f"threads/{driven.thread}/state")
        values = state.json()["values"] if state.status_code == httpx.codes.OK else None
        ran = executions(self.host.executions / case.name)
        return Seen(driven.asked, driven.stops, driven.error[0] if driven.error else None, values, ran)


@contextmanager
def start(folder: Path, cases: Iterable[str]) -> Iterator[Ours]:
    """The host on a folder of its own."""
    app = make_app(folder / "app", cases, served="served_scoreboard")
    with Host(app, {"DURABLEGRAPH_STEPS_PER_EXECUTION": "2"}) as host:
        yield Ours(host)


PEER = Peer("durablegraph", ("durablegraph",), "embedded host, its own HTTP routes", start)
