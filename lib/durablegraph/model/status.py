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
