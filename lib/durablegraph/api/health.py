"""Liveness without I/O; readiness with one bounded look at what the app needs."""

import asyncio

from durablegraph.api.context import Call
from durablegraph.api.http import ApiResponse

_PROBE = "health/probe"
_SECONDS = 5


async def live(call: Call) -> ApiResponse:  # noqa: ARG001 -- every handler is given the call
    """GET /health/live: the process answers."""
    return ApiResponse(200, {"status": "ok"}, {"Cache-Control": "no-store"})


async def ready(call: Call) -> ApiResponse:
    """GET /health/ready: storage takes a write and every graph loads; 503 with the parts that do not."""
    parts = {
        "storage": await _storage(call),
        **{f"graph {name}": state for name, state in (await _graphs(call)).items()},
    }
    well = all(state == "ok" for state in parts.values())
    body = {"status": "ok" if well else "unavailable", "parts": parts}
    return ApiResponse(200 if well else 503, body, {"Cache-Control": "no-store"})


async def _storage(call: Call) -> str:
    try:
        async with asyncio.timeout(_SECONDS):
            await call.services.objects.put(_PROBE, call.now.isoformat().encode())
    except Exception as error:  # noqa: BLE001 -- a probe reports, whatever went wrong
        return f"failed: {type(error).__name__}"
    return "ok"


async def _graphs(call: Call) -> dict[str, str]:
    states = {}
    for name in call.services.graphs.names:
        try:
            await call.services.load(name)
            states[name] = "ok"
        except Exception as error:  # noqa: BLE001 -- a probe reports, whatever went wrong
            states[name] = f"failed: {type(error).__name__}"
    return states
