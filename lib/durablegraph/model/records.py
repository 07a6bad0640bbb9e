"""What is stored about runs and threads. Records change by conditional writes; requests and waits never change."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from durablegraph.model.messages import Cursor
from durablegraph.model.status import RunStatus, ThreadStatus


class Stored(BaseModel):
    """A stored document: frozen; unknown members (of a newer version) are kept out of the way, not refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Listed(Stored):
    """A record that lists show, newest first, and find by what is here."""

    status: str
    graph: str | None
    metadata: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime
    updated_at: datetime

    @property
    def identity(self) -> str:
        """What it is called."""
        raise NotImplementedError


class RunRequest(Stored):
    """What a caller asked for; immutable, stored before the run exists.

    `recursion_limit` is None when the caller gave none: then the graph's own, then the setting's, holds.
    `interrupt_before` and `interrupt_after` are node names or ``"*"``, as LangGraph takes them. `stream_mode` are the
    modes whose parts go to the run's event log; without any it has none.
    """

    run_id: str
    graph: str
    thread_id: str
    input: Any = None
    command: dict[str, Any] | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    recursion_limit: int | None = None
    interrupt_before: list[str] | Literal["*"] | None = None
    interrupt_after: list[str] | Literal["*"] | None = None
    stream_mode: tuple[str, ...] = ()
    stream_subgraphs: bool = False
    created_at: datetime


class RunFailure(Stored):
    """Why a run failed: the exception's type and text, and the node that raised it, when one did."""

    type: str
    message: str
    node: str | None = None


class RunRecord(Listed):
    """A run's life. `wait` numbers the waits so far.

    `step`, `next` and `checkpoint` are written when the run waits or ends; in between the thread's head tells them.
    `graph_version` is the shape of the graph that the run
    began with. `instances` counts the Durable instances that have carried the run (a supervisor may start another).
    `streams` says that the run has an event log.
    """

    run_id: str
    graph: str
    thread_id: str
    status: RunStatus = RunStatus.PENDING
    step: int | None = None
    next: tuple[str, ...] = ()
    wait: int = 0
    cancel_requested: bool = False
    error: RunFailure | None = None
    checkpoint: str | None = None
    orchestration_version: str = "1"
    graph_version: str = ""
    instances: int = 1
    streams: bool = False

    @property
    def identity(self) -> str:
        """The run's id."""
        return self.run_id

    @property
    def turn(self) -> int:
        """How often the run has begun to wait or gone on: a later state of its life never has a smaller one."""
        return 2 * self.wait - (self.status is RunStatus.INTERRUPTED)


class ThreadRecord(Listed):
    """A thread: at most one run at a time is active on it.

    `graph` is that of its latest run. `status` follows the active run, or tells how the last one ended; `turn` is the
    active run's at the time, so that somebody who comes late with an earlier status does not count.
    """

    thread_id: str
    graph: str | None = None
    status: ThreadStatus = ThreadStatus.IDLE
    active_run: str | None = None
    last_run: str | None = None
    turn: int = 0

    @property
    def identity(self) -> str:
        """The thread's id."""
        return self.thread_id


class PendingInterrupt(Stored):
    """One question a run waits for. `value` is what the graph passed to ``interrupt()``, as JSON."""

    id: str
    value: Any = None
    node: str | None = None
    namespace: str = ""
    response_schema: dict[str, Any] | None = None


class WaitRecord(Stored):
    """What a run waits for; written once when the wait begins. A breakpoint has no interrupts: it is continued."""

    wait: int
    kind: Literal["interrupt", "breakpoint"]
    cursor: Cursor
    next: tuple[str, ...] = ()
    interrupts: tuple[PendingInterrupt, ...] = ()
    created_at: datetime
    due: datetime | None = None


class AnswerRecord(Stored):
    """An answer to one interrupt; the first that is stored wins. `digest` tells a repeated answer from another."""

    interrupt_id: str
    value: Any = None
    digest: str
    answered_at: datetime
    answered_by: str | None = None


CONTINUE = "continue"
"""The interrupt id under which the continuation of a static breakpoint is stored."""
