"""The messages that cross a durable boundary: small, frozen, free of users' values.

They are written into orchestration inputs and activity results, and an instance started by one version of the app may
be replayed by the next: fields are only ever added, with defaults.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from durablegraph.model.status import RunStatus


class Message(BaseModel):
    """Frozen, and tolerant of members that a newer version added."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON without members that have their default, to keep history small."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Cursor(Message):
    """Where a run is: what the next call of the activity must start from.

    `checkpoint` is the id of the thread's head that the last call saw (None before the first super-step), `step` its
    number, `stop` the absolute step at which the run's recursion limit is reached. `replay` is what a run that was
    started from an earlier checkpoint remembers about subgraphs. `head` is the saver's token of the last commit: the
    worker that made it need not read the head again. `inside` is the newest checkpoint of the subgraphs of the running
    super-step, where a call ended inside it. `cut_short` counts the calls in a row that ran out of time and moved
    nothing.
    """

    checkpoint: str | None = None
    step: int | None = None
    stop: int | None = None
    replay: dict[str, Any] | None = None
    head: str | None = None
    inside: str | None = None
    cut_short: int = 0


class Ticket(Message):
    """The input of a run's orchestration: ids and small numbers only.

    `cut` is how many activities one execution calls before it continues as new. `waiting` is the number of the wait
    that the run is in, 0 when it is not waiting; `interrupts` is how many answers that wait needs.
    """

    run_id: str
    cut: int = 20
    cursor: Cursor = Cursor()
    next: tuple[str, ...] = ()
    waiting: int = 0
    interrupts: int = 0

    def at(self, cursor: Cursor, *, next_: tuple[str, ...] = (), waiting: int = 0, interrupts: int = 0) -> "Ticket":
        """The ticket of the same run at another place."""
        changes = {"cursor": cursor, "next": next_, "waiting": waiting, "interrupts": interrupts}
        return self.model_copy(update=changes)


class AdvanceCall(Message):
    """The input of the activity. `heard` is ``{"value": ...}`` when an event brought more than a doorbell.

    `fanned` says that the tasks of the next super-step were executed apart, so that it only has to be committed;
    `failures` is then what the fan-out's decision said.
    """

    run_id: str
    cursor: Cursor = Cursor()
    heard: dict[str, Any] | None = None
    fanned: bool = False
    failures: str = "all"


class TasksCall(Message):
    """The input of the activity that executes one chunk of a fan-out: the tasks from ``chunk * size`` on.

    `at_once` is how many of them are in flight at a time; 0: all. Where `failures` lets some fail, each is executed by
    a call of the graph of its own.
    """

    run_id: str
    cursor: Cursor
    chunk: int
    size: int = 1
    at_once: int = 0
    failures: str = "all"


class Advance(Message):
    """Go on with the next super-step. `next` names at most ten nodes, for the custom status."""

    do: Literal["advance"] = "advance"
    cursor: Cursor
    next: tuple[str, ...] = ()


class FanOut(Message):
    """Execute the tasks of the next super-step apart: `chunks` activities of `size` tasks.

    Each has `at_once` of its tasks in flight (see `TasksCall`). `failures` says how many tasks must succeed.
    """

    do: Literal["fan_out"] = "fan_out"
    cursor: Cursor
    next: tuple[str, ...] = ()
    chunks: int
    size: int = 1
    at_once: int = 0
    failures: str = "all"


class Wait(Message):
    """Wait for answers, a cancellation or `due`. `wait` numbers the run's waits from 1."""

    do: Literal["wait"] = "wait"
    cursor: Cursor
    wait: int
    interrupts: int = 1
    due: datetime | None = None


class Finish(Message):
    """The run has ended and everything about that is stored."""

    do: Literal["finish"] = "finish"
    status: RunStatus
    step: int | None = None


Decision = Advance | FanOut | Wait | Finish

_DECISION: TypeAdapter[Decision] = TypeAdapter(Annotated[Decision, Field(discriminator="do")])


def decision_from(value: object) -> Decision:
    """The decision that an activity returned."""
    return _DECISION.validate_python(value)


def decision_json(decision: Decision) -> dict[str, Any]:
    """What an activity returns: the decision with its discriminator, without defaults."""
    return {"do": decision.do, **decision.to_json()}
