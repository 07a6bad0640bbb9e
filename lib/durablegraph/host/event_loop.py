"""The event loop of the host's processes: uvloop's where it is installed, else the standard library's."""

import asyncio
from collections.abc import Mapping

from durablegraph.host.errors import HostConfigurationError

try:
    import uvloop
except ImportError:  # not made for Windows
    uvloop = None  # type: ignore[assignment] # the one place that looks

SETTING = "DURABLEGRAPH_EVENT_LOOP"


def new_event_loop(environment: Mapping[str, str]) -> asyncio.AbstractEventLoop:
    """The loop that the app setting asks for, the fastest one without it; HostConfigurationError if it cannot be had.

    Workers on Azure have the standard library's. The two differ for code that reaches into the loop itself, as
    nest_asyncio does, which refuses uvloop's.
    """
    wanted = environment.get(SETTING) or ("uvloop" if uvloop else "asyncio")
    if wanted == "asyncio":
        return asyncio.new_event_loop()
    if wanted == "uvloop" and uvloop:
        return uvloop.new_event_loop()
    expected = "'asyncio' or 'uvloop'" if uvloop else "'asyncio', for uvloop is not installed"
    raise HostConfigurationError(f"{SETTING}: found {wanted!r}, expected {expected}. Correct it.")
