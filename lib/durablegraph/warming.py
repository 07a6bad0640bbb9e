"""A thread that imports what needs LangGraph, so that neither the app's import nor the first request has to.

Importing LangGraph takes longer than all the rest of an app's start. The Functions host waits for the import of the app
and not for this; who needs LangGraph meanwhile waits for the thread instead of importing beside it. Packages whose
modules import each other in a circle may show two importing threads modules that are half made.
"""

import asyncio
import gc
import logging
import sys
import threading
from importlib import import_module

log = logging.getLogger(__name__)

_warming: threading.Thread | None = None


def warm(*modules: str) -> None:
    """Import these in a thread. A second call does nothing while the first one's thread is at it.

    Not a daemon: a process that ends while a daemon is inside a compiled module's import may be aborted. It waits.
    """
    global _warming  # noqa: PLW0603 -- modules are imported once a process
    if all(name in sys.modules for name in modules) or not _is_done(_warming):
        return
    _warming = threading.Thread(target=_import, args=modules, name="durablegraph: imports LangGraph")
    _warming.start()


async def warmed() -> None:
    """Return when nothing is being imported; at once where nothing was to be."""
    if not _is_done(_warming):
        await asyncio.to_thread(join)


def join() -> None:
    """As `warmed`, for those who may block."""
    if _warming is not None:
        _warming.join()


def _is_done(thread: threading.Thread | None) -> bool:
    return thread is None or not thread.is_alive()


def _import(*modules: str) -> None:
    """Import without the collector, and hide from it what stays: it would find nothing, and go through it for ever."""
    collects = gc.isenabled()
    gc.disable()
    try:
        for name in modules:
            import_module(name)
    except Exception:
        log.exception("importing ahead failed; whatever needs it will fail too")
    finally:
        gc.freeze()
        if collects:
            gc.enable()
