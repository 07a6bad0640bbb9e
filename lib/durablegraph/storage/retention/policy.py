"""What is kept for how long: decisions only, on values and `now`."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from durablegraph.model.records import RunRecord, ThreadRecord
from durablegraph.settings import Settings
from durablegraph.storage.objects import ObjectEntry

HOLD = "erasing-"
"""What the id begins with that holds a thread while it is erased."""


def is_active(thread: ThreadRecord) -> bool:
    """Whether a run is active on the thread; what only stands for an erasure that was broken off is none."""
    return thread.active_run is not None and not thread.active_run.startswith(HOLD)


@dataclass(frozen=True, slots=True)
class Policy:
    """None keeps for ever.

    `runs` counts from a run's end, `threads` from a thread's last change, `claims` from the first request with an
    idempotency key. What nothing refers to goes when it is older than `grace` by the store's own clock.
    """

    runs: timedelta | None = None
    threads: timedelta | None = None
    keep_last: int | None = None
    claims: timedelta = timedelta(days=7)
    grace: timedelta = timedelta(days=1)

    @classmethod
    def of(cls, settings: Settings) -> "Policy":
        """The policy that the settings ask for."""
        return cls(
            runs=_days(settings.keep_runs_days),
            threads=_days(settings.keep_threads_days),
            keep_last=settings.keep_last,
            claims=timedelta(days=settings.keep_idempotency_days),
            grace=timedelta(hours=settings.orphan_grace_hours),
        )

    @property
    def judging(self) -> str:
        """What decides about objects that do not change: with another value, those of old are to be looked at again."""
        return f"keep_last={self.keep_last} grace={self.grace.total_seconds()}"

    def may_end_run(self, written: datetime, now: datetime) -> bool:
        """Whether a run whose record was written then can be due; without reading it."""
        return self.runs is not None and now - written >= self.runs

    def ends_run(self, run: RunRecord, now: datetime) -> bool:
        """Whether an ended run is to be deleted."""
        return run.status.ended and self.may_end_run(run.updated_at, now)

    def may_end_thread(self, written: datetime, now: datetime) -> bool:
        """Whether a thread whose record was written then can be due; without reading it."""
        return self.threads is not None and now - written >= self.threads

    def ends_thread(self, thread: ThreadRecord, now: datetime) -> bool:
        """Whether a thread is to be erased: nothing is active on it, and nothing was for long enough."""
        return not is_active(thread) and self.may_end_thread(thread.updated_at, now)

    def ends_claim(self, written: datetime, now: datetime) -> bool:
        """Whether an idempotency key may be used for another request again."""
        return now - written >= self.claims

    def is_past_grace(self, entry: ObjectEntry, now: datetime) -> bool:
        """Whether an object is so old that whoever stored it has had the time to refer to it."""
        return now - entry.modified >= self.grace


def _days(number: float | None) -> timedelta | None:
    return None if number is None else timedelta(days=number)
