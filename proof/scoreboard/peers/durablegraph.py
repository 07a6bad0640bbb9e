"""Ourselves: `durablegraph dev` on the project's own app, over HTTP, continued as new every two steps.

Twice: as cautious as the settings allow, and as much at once and apart as they allow.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
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


def started(**settings: str) -> Callable[[Path, Iterable[str]], AbstractContextManager[Ours]]:
    """How to start the host with these settings, on a folder of its own."""

    @contextmanager
    def start(folder: Path, cases: Iterable[str]) -> Iterator[Ours]:
        app = make_app(folder / "app", cases, served="served_scoreboard")
        with Host(app, settings) as host:
            yield Ours(host)

    return start


PEER = Peer(
    "durablegraph",
    ("durablegraph",),
    "embedded host, its own HTTP routes; a super-step an activity",
    started(DURABLEGRAPH_STEPS_PER_EXECUTION="2"),
)
SPREAD = Peer(
    "durablegraph, spread",
    ("durablegraph",),
    "the same with `DURABLEGRAPH_STEPS_PER_ACTIVITY=auto`, `DURABLEGRAPH_FAN_OUT=always`: all that fits into an "
    "activity, and an activity for each task of several",
    started(
        DURABLEGRAPH_STEPS_PER_EXECUTION="2", DURABLEGRAPH_STEPS_PER_ACTIVITY="auto", DURABLEGRAPH_FAN_OUT="always"
    ),
)
