"""Where a run is in its life, and the only ways it may move."""

from enum import StrEnum


class RunStatus(StrEnum):
    """The status of a run (ours; LangGraph's and Durable's views of it are mappings at the edge)."""

    PENDING = "pending"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    TERMINATED = "terminated"

    @property
    def ended(self) -> bool:
        """Nothing more happens to a run with this status."""
        return self not in TRANSITIONS


_ENDS = frozenset(
    {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT, RunStatus.TERMINATED}
)

TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.PENDING: frozenset({RunStatus.RUNNING}) | _ENDS,
    RunStatus.RUNNING: frozenset({RunStatus.INTERRUPTED}) | _ENDS,
    RunStatus.INTERRUPTED: frozenset({RunStatus.RUNNING}) | _ENDS,
}
"""From each status that has not ended, the statuses it may change to. A status never changes to itself."""


def may_become(now: RunStatus, then: RunStatus) -> bool:
    """Whether a run may move from `now` to `then`."""
    return then in TRANSITIONS.get(now, frozenset())


class ThreadStatus(StrEnum):
    """What goes on on a thread; LangGraph's words."""

    IDLE = "idle"
    """No run is active, and the last one, if any, did not fail."""
    BUSY = "busy"
    """A run is active: pending or running."""
    INTERRUPTED = "interrupted"
    """The active run waits for an answer."""
    ERROR = "error"
    """No run is active, and the last one failed or timed out."""


def thread_status(run: RunStatus) -> ThreadStatus:
    """The status of the thread whose active run, or else whose last run, has this status."""
    if not run.ended:
        return ThreadStatus.INTERRUPTED if run is RunStatus.INTERRUPTED else ThreadStatus.BUSY
    return ThreadStatus.ERROR if run in {RunStatus.FAILED, RunStatus.TIMED_OUT} else ThreadStatus.IDLE


class ScheduleStatus(StrEnum):
    """Whether a schedule starts runs."""

    ENABLED = "enabled"
    PAUSED = "paused"
    """By a caller, or because it failed too often in a row; a caller lets it go on."""
    ENDED = "ended"
    """No time is left at which it would start a run."""


_DURABLE = {
    RunStatus.PENDING: "Pending",
    RunStatus.RUNNING: "Running",
    RunStatus.INTERRUPTED: "Running",
    RunStatus.COMPLETED: "Completed",
    RunStatus.FAILED: "Failed",
    RunStatus.CANCELLED: "Canceled",
    RunStatus.TIMED_OUT: "Failed",
    RunStatus.TERMINATED: "Terminated",
}


def durable_status(status: RunStatus) -> str:
    """The `runtimeStatus` that pollers of Durable's protocol understand (spelled as Durable spells it)."""
    return _DURABLE[status]
