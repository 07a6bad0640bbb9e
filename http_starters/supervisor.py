"""The timer that gives runs what they need when nobody reads them."""

import azure.durable_functions as df
import azure.functions as func

from durablegraph import clock
from durablegraph.api.supervising import supervise
from durablegraph.opening import services
from http_starters.instances import DurableInstances

blueprint = df.Blueprint()


@blueprint.function_name("supervise_runs")
@blueprint.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=False)
@blueprint.durable_client_input(client_name="client")
async def supervise_runs(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:  # noqa: ARG001 -- the binding names it
    """Reconcile live runs with their instances."""
    await supervise(await services(), DurableInstances(client), clock.now())
