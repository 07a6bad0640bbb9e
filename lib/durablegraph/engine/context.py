"""What the run loop needs from a Durable orchestration, and nothing more."""

from datetime import datetime
from typing import Any, Protocol


class Pending(Protocol):
    """Scheduled work that the loop may yield; it is sent the result, or the failure is raised at the yield."""

    @property
    def result(self) -> Any:
        """Its value once it has completed."""


class Orchestration(Protocol):
    """A Durable orchestration context, reduced to what the loop needs; each of them only schedules."""

    @property
    def now(self) -> datetime:
        """The orchestration's own clock: the same at each replay."""

    def activity(self, name: str, call: dict[str, Any]) -> Pending:
        """Call an activity with retry options: a dying worker costs one attempt of every activity that it holds."""

    def event(self, name: str) -> Pending:
        """Wait for an external event of this name."""

    def timer(self, at: datetime) -> Any:
        """A cancellable timer. An open one holds back completion and continue-as-new, so a loser must be cancelled."""

    def first_of(self, pending: list[Any]) -> Pending:
        """Wait until one of these has completed; the result is that one."""

    def all_of(self, pending: list[Any]) -> Pending:
        """Wait until all of these have completed; the failure of one is raised."""

    def show(self, status: dict[str, Any]) -> None:
        """Set the custom status, under 16 KB; a turn that sets none clears it."""

    def continue_as_new(self, ticket: dict[str, Any]) -> None:
        """End this execution and begin the next with this input; events not yet awaited are lost."""
