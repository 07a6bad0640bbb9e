"""One event of a run, and the events of its life.

Names and data are those of LangGraph's stream (`metadata`, `updates`, `values`, `messages`, `custom`, `error`, `end`;
``mode|namespace`` for a part of a subgraph). `status` is ours: LangGraph's runs do not wait.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from durablegraph.model.records import RunRecord, RunRequest, WaitRecord

END = "end"
"""The name of the last event of a log."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `data` is JSON.

    `id` is the same at every delivery of the same event: a log holds an id once. `step` names the execution's work (the
    checkpoint that its super-step builds on, and its chunk in a fan-out), `by` the execution itself, `attempt` numbers
    the executions of the same work from 1. `commits` is the checkpoint that was about to be committed when this was
    appended. `ref` is where the data lies when it was too large for a segment.
    """

    id: str
    name: str
    data: Any = None
    step: str = ""
    by: str = ""
    attempt: int = 1
    commits: str = ""
    ref: str = ""

    def to_line(self) -> str:
        """The event as one line of JSON; what has its default is left out."""
        members: dict[str, Any] = {"id": self.id, "event": self.name, "data": self.data}
        members |= {name: value for name in _OPTIONAL if (value := getattr(self, name)) != _OPTIONAL[name]}
        return json.dumps(members, separators=(",", ":"))

    @classmethod
    def from_members(cls, members: Mapping[str, Any]) -> "Event":
        """The event of a line; members of a newer version are left aside."""
        optional = {name: members[name] for name in _OPTIONAL if name in members}
        return cls(members["id"], members["event"], members.get("data"), **optional)


_OPTIONAL: dict[str, Any] = {"step": "", "by": "", "attempt": 1, "commits": "", "ref": ""}


def created(request: RunRequest) -> Event:
    """The first event of every log."""
    told = {"run_id": request.run_id, "attempt": 1, "thread_id": request.thread_id, "graph": request.graph}
    return Event("created", "metadata", told)


def running() -> Event:
    """The run's first super-step is being executed."""
    return Event("running", "status", {"status": "running"})


def interrupted(wait: WaitRecord) -> Event:
    """The run waits, and for what."""
    asked = [item.model_dump(mode="json") for item in wait.interrupts]
    told = {"status": "interrupted", "wait": wait.wait, "kind": wait.kind, "next": wait.next, "interrupts": asked}
    return Event(f"interrupted-{wait.wait}", "status", told)


def resumed(wait: WaitRecord) -> Event:
    """The wait is over: every interrupt was answered."""
    told = {"status": "running", "wait": wait.wait, "answered": [item.id for item in wait.interrupts]}
    return Event(f"resumed-{wait.wait}", "status", told)


def ended(record: RunRecord) -> list[Event]:
    """How the run ended, its failure first; the last of these closes the log."""
    told = {"run_id": record.run_id, "status": record.status.value, "step": record.step}
    end = Event(END, END, told)
    if record.error is None:
        return [end]
    failure = {"error": record.error.type, "message": record.error.message, "node": record.error.node}
    return [Event("error", "error", failure), end]
