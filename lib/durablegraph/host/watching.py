"""Which changes of files are changes of the app."""

from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import awatch

_SKIPPED = frozenset(
    {
        ".git",
        ".venv",
        "venv",
        "env",
        "node_modules",
        "__pycache__",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        "tests",
    },
)


async def changes(root: Path, state: Path) -> AsyncIterator[set[str]]:
    """Sets of paths of the app's Python and JSON files that changed together; the host's own state is not the app."""
    async for found in awatch(root, watch_filter=lambda _, path: is_app_file(Path(path), root, state), debounce=300):
        yield {path for _, path in found}


def is_app_file(path: Path, root: Path, state: Path) -> bool:
    """Whether a file can matter to the loaded app: Python anywhere in it, JSON at its top, where settings are.

    JSON elsewhere is left out because apps write it while they run.
    """
    if path.is_relative_to(state):
        return False
    if path.suffix == ".json":
        return path.parent == root
    folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    return path.suffix == ".py" and not any(part in _SKIPPED or part.startswith(".") for part in folders)
