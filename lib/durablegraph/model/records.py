"""What is stored about runs and threads. Records change by conditional writes; requests and waits never change."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from durablegraph.model.messages import Cursor
from durablegraph.model.status import RunStatus


class Stored(BaseModel):
    """A stored document: frozen; unknown members (of a newer version) are kept out of the way, not refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RunRequest(Stored):
    """What a caller asked for; immutable, stored before the run exists.

    `recursion_limit` is None when the caller gave none: then the graph's own, then the setting's, holds.
    `interrupt_before` and `interrupt_after` are node names or ``"*"``, as LangGraph takes them.
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
    created_at: datetime


class RunFailure(Stored):
    """Why a run failed: the exception's type and text, and the node that raised it, when one did."""

    type: str
    message: str
    node: str | None = None


class RunRecord(Stored):
    """A run's life. `wait` numbers the waits so far.

    `step`, `next` and `checkpoint` are written when the run waits or ends; in between the thread's head tells them.
    `graph_version` is the shape of the graph that the run
    began with. `instances` counts the Durable instances that have carried the run (a supervisor may start another).
    """

    run_id: str
    graph: str
    thread_id: str
    status: RunStatus = RunStatus.PENDING
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any] = Field(default_factory=dict)
    step: int | None = None
    next: tuple[str, ...] = ()
    wait: int = 0
    cancel_requested: bool = False
    error: RunFailure | None = None
    checkpoint: str | None = None
    orchestration_version: str = "1"
    graph_version: str = ""
    instances: int = 1


class ThreadRecord(Stored):
    """A thread: at most one run at a time is active on it."""

    thread_id: str
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any] = Field(default_factory=dict)
    graph: str | None = None
    active_run: str | None = None
    last_run: str | None = None


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
