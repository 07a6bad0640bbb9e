"""The timer that starts the runs of schedules."""

import logging

import azure.durable_functions as df
import azure.functions as func

from durablegraph import clock
from durablegraph.api.firing import fire
from durablegraph.opening import services
from http_starters.instances import DurableInstances

log = logging.getLogger(__name__)
blueprint = df.Blueprint()


@blueprint.function_name("fire_schedules")
@blueprint.timer_trigger(arg_name="timer", schedule="1 * * * * *", run_on_startup=False)
@blueprint.durable_client_input(client_name="client")
async def fire_schedules(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:  # noqa: ARG001 -- the binding names it
    """Start the runs that are due, a second past each minute: a timer may come a little early."""
    counts = await fire(await services(), DurableInstances(client), clock.now())
    if counts:
        log.info("schedules: %s", ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
