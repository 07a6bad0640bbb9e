"""The timer that removes what is not to be kept any more."""

import logging

import azure.durable_functions as df
import azure.functions as func

from durablegraph import clock, settings
from durablegraph.api.erasing import sweep
from durablegraph.opening import services
from http_starters.instances import DurableInstances

log = logging.getLogger(__name__)
blueprint = df.Blueprint()


@blueprint.function_name("retain")
@blueprint.timer_trigger(arg_name="timer", schedule=settings.load().retain_schedule, run_on_startup=False)
@blueprint.durable_client_input(client_name="client")
async def retain(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:  # noqa: ARG001 -- the binding names it
    """Do the next slice of a sweep."""
    told = await sweep(await services(), DurableInstances(client), clock.now())
    log.info("retain: %s", told)
