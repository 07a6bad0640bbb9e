"""One HTTP function for each route of the library's table."""

import azure.durable_functions as df
import azure.functions as func

from durablegraph import clock
from durablegraph.api.http import ApiRequest
from durablegraph.api.problems import problem
from durablegraph.api.routes import ROUTES, Route
from durablegraph.api.serving import serve
from durablegraph.opening import services
from http_starters.instances import DurableInstances

blueprint = df.Blueprint()


def _register(route: Route) -> None:
    async def trigger(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        request = ApiRequest(
            method=req.method,
            url=req.url,
            path=dict(req.route_params),
            query=dict(req.params),
            headers={name.lower(): value for name, value in req.headers.items()},
            body=req.get_body(),
        )
        try:
            opened = await services()
        except Exception as error:  # noqa: BLE001 -- a configuration that is wrong answers like every other error
            answer = problem(error)
        else:
            answer = await serve(route, opened, DurableInstances(client), request, clock.now)
        return func.HttpResponse(
            answer.encoded(), status_code=answer.status, headers=dict(answer.headers), mimetype=answer.content_type
        )

    trigger.__name__ = route.name
    trigger.__doc__ = route.summary
    level = func.AuthLevel.ANONYMOUS if route.level == "anonymous" else func.AuthLevel.FUNCTION
    with_client = blueprint.durable_client_input(client_name="client")(trigger)
    with_route = blueprint.route(route=route.template, methods=[route.method], auth_level=level)(with_client)
    blueprint.function_name(route.name)(with_route)


for _route in ROUTES:
    _register(_route)
