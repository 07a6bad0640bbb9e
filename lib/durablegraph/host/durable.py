"""The durable part of a host: its task hub and the two doors to it."""

from starlette.requests import Request
from starlette.responses import Response


class Durable:
    """Not there yet."""

    async def respond(self, request: Request, parts: list[str]) -> Response:
        """Answer."""
        del request, parts
        return Response(status_code=503)
