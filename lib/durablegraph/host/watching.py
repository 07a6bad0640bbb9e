"""Which changes of files are changes of the app."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from watchfiles import Change, awatch

_log = logging.getLogger("durablegraph.host")
_SKIPPED = frozenset({"venv", "env", "node_modules", "__pycache__", "tests"})


async def changes(root: Path, state: Path) -> AsyncIterator[set[str]]:
    """Sets of paths of the app's Python and JSON files that changed together; the host's own state is not the app.

    Folders that cannot hold the app's code (environments, caches) are not watched at all: they are large.
    """
    found: asyncio.Queue[set[str]] = asyncio.Queue()
    folders = _code_folders(root, state)
    watches = [_watch(found, [root], root, state, recursive=False)]
    if folders:
        watches.append(_watch(found, folders, root, state, recursive=True))
    tasks = [asyncio.create_task(watch, name="file watch") for watch in watches]
    try:
        while True:
            yield await found.get()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _code_folders(root: Path, state: Path) -> list[Path]:
    return [each for each in root.iterdir() if each.is_dir() and _may_hold_code(each.name) and each != state]


async def _watch(
    found: asyncio.Queue[set[str]],
    folders: Sequence[Path],
    root: Path,
    state: Path,
    *,
    recursive: bool,
) -> None:
    def matters(_: Change, path: str) -> bool:
        return is_app_file(Path(path), root, state)

    try:
        async for changed in awatch(*folders, watch_filter=matters, debounce=300, recursive=recursive):
            found.put_nowait({path for _, path in changed})
    except OSError as error:
        _log.warning("Changes of files are not noticed (%s); restart the host to use them", error)


def is_app_file(path: Path, root: Path, state: Path) -> bool:
    """Whether a file can matter to the loaded app: Python anywhere in it, JSON at its top, where settings are.

    JSON elsewhere is left out because apps write it while they run.
    """
    if path.is_relative_to(state):
        return False
    if path.suffix == ".json":
        return path.parent == root
    folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    return path.suffix == ".py" and all(_may_hold_code(folder) for folder in folders)


def _may_hold_code(folder: str) -> bool:
    return folder not in _SKIPPED and not folder.startswith(".")
