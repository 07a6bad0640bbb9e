"""Reads Server-Sent Events as the HTML standard says, and follows a run as an EventSource does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Sent:
    """One event: its id, its name, its data as JSON."""

    id: str
    name: str
    data: Any


def sent(text: str) -> Iterator[Sent]:
    """The events of a response."""
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            yield Sent(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))


@dataclass(slots=True)
class Follower:
    """Comes again with the last id it saw, until it is answered 204 or has seen an event named `until`."""

    http: httpx.Client
    address: str
    seen: list[Sent] = field(default_factory=list)
    answers: int = 0

    def follow(self, *, until: str = "", wait: int = 20) -> list[Sent]:
        """Everything seen so far."""
        for _ in range(100):
            headers = {"Last-Event-ID": self.seen[-1].id} if self.seen else {}
            answer = self.http.get(
                self.address, params={"wait": wait}, headers={**headers, "Accept": "text/event-stream"}
            )
            self.answers += 1
            if answer.status_code == httpx.codes.NO_CONTENT:
                return self.seen
            assert answer.status_code == httpx.codes.OK, answer.text
            assert answer.headers["content-type"].startswith("text/event-stream")
            self.seen += sent(answer.text)
            if until and any(_is(event, until) for event in self.seen):
                return self.seen
        raise AssertionError(f"the stream does not end: {self.seen[-3:]}")


def _is(event: Sent, what: str) -> bool:
    return event.name == what or (event.name == "status" and event.data["status"] == what)
