"""The command `durablegraph rebuild-lists`: make the lists of an app anew, and tell what was done."""

import asyncio
import os
from pathlib import Path

from durablegraph import clock, opening
from durablegraph import settings as settings_module
from durablegraph.storage.rebuilding import Rebuilt, rebuild_lists


def rebuild(folder: Path) -> Rebuilt:
    """Make the lists of the app in `folder` anew, whose settings are in the environment. Raises ConfigurationError."""
    return asyncio.run(_rebuild(folder))


async def _rebuild(folder: Path) -> Rebuilt:
    settings = settings_module.load()
    objects = opening.seen_by_app(settings, opening.stored_objects(settings, os.environ, folder))
    try:
        return await rebuild_lists(objects, clock.now())
    finally:
        await objects.aclose()


def told(rebuilt: Rebuilt) -> str:
    """What a person reads at the end."""
    former = f"; {rebuilt.removed} objects of the former layout removed" if rebuilt.removed else ""
    return f"{rebuilt.runs} runs, {rebuilt.threads} threads and {rebuilt.schedules} schedules listed anew{former}."
