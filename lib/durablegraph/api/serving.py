"""Answer one request of the route table: the only place where errors become answers."""

from collections.abc import Callable
from datetime import datetime

from durablegraph.api.context import Call
from durablegraph.api.http import ApiRequest, ApiResponse, Links
from durablegraph.api.instances import Instances
from durablegraph.api.problems import problem
from durablegraph.api.routes import Route
from durablegraph.services import Services

_SAFETY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


async def serve(
    route: Route, services: Services, instances: Instances, request: ApiRequest, clock: Callable[[], datetime]
) -> ApiResponse:
    """The answer of `route` to `request`; never raises."""
    links = Links.of(request, route.template, services.settings.public_url)
    try:
        response = await route.handler(Call(services, instances, request, links, clock))
    except Exception as error:  # noqa: BLE001 -- every error has an answer of its own kind
        response = problem(error, run_id=request.path.get("run"))
    return ApiResponse(response.status, response.body, {**_SAFETY, **response.headers}, response.content_type)
