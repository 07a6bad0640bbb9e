"""What azure-functions-durable keeps in its process: one HTTP session, bound to the loop of its first use."""

import asyncio
import sys
from typing import Any

_PLACE = "azure.durable_functions.models.utils.http_utils"


async def forget_session() -> None:
    """Close the session, if there is one: the next life of the app is another process, perhaps on another loop.

    Versions of the SDK that keep none have nothing to close.
    """
    module: Any = sys.modules.get(_PLACE)
    session = getattr(module, "_client_session", None)
    if session is None:
        return
    module._client_session = None  # noqa: SLF001 -- the SDK has no public way, since real workers just end
    module._session_lock = asyncio.Lock()  # noqa: SLF001 -- as above
    if not session.closed:
        await session.close()
