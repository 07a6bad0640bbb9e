"""What is stored about runs and threads. Records change by conditional writes; requests and waits never change."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from durablegraph.model.fan_out import FanOutPolicy
from durablegraph.model.messages import Cursor
from durablegraph.model.status import RunStatus, ScheduleStatus, ThreadStatus


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
    fan_out: FanOutPolicy | None = None
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
    `streams` says that the run has an event log, `tasks_failed` that it went on without tasks that failed. `request` is
    what its caller asked for, None when that is stored apart because it is long.
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
    tasks_failed: bool = False
    request: RunRequest | None = None

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


class ScheduleRecord(Listed):
    """When runs are started without a caller: at the times of `cron` in `timezone` until `end_time`, or once, at `at`.

    `request` names the stored request that its runs are made from. Without `thread_id` every run has a thread of its
    own. `next_run_at` is None unless the schedule is enabled. `failures` counts the runs in a row that could not be
    started, `skipped` all those that found their thread busy; `reason` is why the latest was not started. Times are
    UTC.
    """

    schedule_id: str
    graph: str
    status: ScheduleStatus = ScheduleStatus.ENABLED
    thread_id: str | None = None
    cron: str | None = None
    timezone: str = "UTC"
    at: datetime | None = None
    end_time: datetime | None = None
    catch_up: Literal["latest", "none"] = "latest"
    request: str = ""
    next_run_at: datetime | None = None
    last_run_at: datetime | None = None
    last_run_id: str | None = None
    failures: int = 0
    skipped: int = 0
    reason: str | None = None

    @property
    def identity(self) -> str:
        """The schedule's id."""
        return self.schedule_id


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
