"""What the API needs from Durable's client; the trigger folder brings it."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class InstanceView:
    """A Durable instance as the task hub sees it; `runtime_status` is spelled as Durable spells it."""

    runtime_status: str
    output: Any = None


class Instances(Protocol):
    """The Durable instances that carry runs; an instance's id is its run's."""

    async def start(self, run_id: str, ticket: dict[str, Any], *, new: bool = False) -> None:
        """Start the orchestration; no error when it runs already, unless it was said to be `new`.

        An instance that has ended is replaced.
        """

    async def view(self, run_id: str) -> InstanceView | None:
        """The instance, None when the task hub does not know it."""

    async def ring(self, run_id: str, event: str) -> None:
        """Raise an event that carries nothing; no error when nobody is there to hear it."""

    async def terminate(self, run_id: str, reason: str) -> None:
        """End the instance without asking it."""

    async def suspend(self, run_id: str, reason: str) -> None:
        """Hold the instance."""

    async def resume(self, run_id: str, reason: str) -> None:
        """Let the instance go on."""

    async def purge(self, run_id: str) -> None:
        """Forget an ended instance's history."""
