"""The command `durablegraph rotate-keys`: bring everything stored under the active key, and tell what was done."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from durablegraph import opening
from durablegraph import settings as settings_module
from durablegraph.errors import ConfigurationError
from durablegraph.storage.encryption.rotation import Rotation, rotate


def rotate_keys(folder: Path, *, dry_run: bool) -> Rotation:
    """Rotate the app in `folder`, whose settings are in the environment. Raises ConfigurationError."""
    return asyncio.run(_rotate(folder, dry_run=dry_run))


def told(rotation: Rotation, *, dry_run: bool) -> str:
    """What a person reads at the end."""
    return "\n".join(_lines(rotation, dry_run=dry_run))


async def _rotate(folder: Path, *, dry_run: bool) -> Rotation:
    settings = settings_module.load()
    ring = opening.ring_of(settings)
    if ring is None:
        raise ConfigurationError(
            "there is no key to rotate to: set DURABLEGRAPH_ENCRYPTION_KEYS or DURABLEGRAPH_ENCRYPTION_KEY_RING as the "
            "app has it, in the environment or in local.settings.json"
        )
    store = opening.stored_objects(settings, os.environ, folder)
    try:
        return await rotate(store, ring, reads_plaintext=settings.encryption_read_plaintext, dry_run=dry_run)
    finally:
        await store.aclose()


def _lines(rotation: Rotation, *, dry_run: bool) -> Iterator[str]:
    total = rotation.found.total()
    yield f"{total} objects; the active key is {rotation.active}."
    for key_id, count in sorted(rotation.found.items()):
        yield f"  {count} under {key_id}"
    if dry_run:
        yield f"{rotation.left} would be encrypted anew."
        return
    yield f"{rotation.rewritten} encrypted anew, {rotation.overtaken} changed by others, {rotation.left} left."
    yield from (f"  left: {problem}" for problem in rotation.problems)
    if rotation.left == 0:
        yield "Nothing is under another key: once no process writes with another one, the others may be removed."
