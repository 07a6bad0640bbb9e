"""The orchestrator of a run: the library's loop on azure-functions-durable's context."""

from collections.abc import Generator
from datetime import datetime
from typing import Any

import azure.durable_functions as df

from durablegraph.engine.run import run
from durablegraph.model.messages import Ticket
from durablegraph.model.names import RUN_ORCHESTRATOR

blueprint = df.Blueprint()

RETRY = df.RetryOptions(first_retry_interval_in_milliseconds=1_000, max_number_of_attempts=5)
"""Every activity call retries: a worker that dies costs one attempt of every activity in its hands."""


class DurableOrchestration:
    """What the loop needs, met by the SDK's context."""

    def __init__(self, context: df.DurableOrchestrationContext) -> None:
        self._context = context

    @property
    def now(self) -> datetime:
        """The clock of this turn."""
        at: datetime = self._context.current_utc_datetime
        return at

    def activity(self, name: str, call: dict[str, Any]) -> Any:
        """Call an activity with retries."""
        return self._context.call_activity_with_retry(name, RETRY, call)

    def event(self, name: str) -> Any:
        """Wait for an external event."""
        return self._context.wait_for_external_event(name)

    def timer(self, at: datetime) -> Any:
        """A timer."""
        return self._context.create_timer(at)

    def first_of(self, pending: list[Any]) -> Any:
        """Wait for the first of these."""
        return self._context.task_any(pending)

    def all_of(self, pending: list[Any]) -> Any:
        """Wait for all of these."""
        return self._context.task_all(pending)

    def show(self, status: dict[str, Any]) -> None:
        """Set the custom status."""
        self._context.set_custom_status(status)

    def continue_as_new(self, ticket: dict[str, Any]) -> None:
        """Begin the next execution."""
        self._context.continue_as_new(ticket)


@blueprint.orchestration_trigger(context_name="context", orchestration=RUN_ORCHESTRATOR)
def run_graph(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Carry one run; its input is a ticket (`durablegraph.model.messages.Ticket`)."""
    return (yield from run(DurableOrchestration(context), Ticket.model_validate(context.get_input())))
