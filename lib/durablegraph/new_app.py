"""A new app: the triggers, the host's settings and the example graphs, as they stand at the root of the project.

The wheel holds them in `durablegraph/template`; in a checkout they are the project's own files.
"""

import shutil
from importlib import metadata
from pathlib import Path

from durablegraph.errors import ConfigurationError

PARTS = (
    "function_app.py",
    "host.json",
    "langgraph.json",
    "local.settings.json.example",
    ".funcignore",
    ".gitignore",
    "orchestrators",
    "activities",
    "http_starters",
    "graphs",
)
"""What an app begins with; pyproject.toml puts the same into the wheel."""

_MAY_BE_THERE = {".git", ".venv", "venv"}
_UNFINISHED = ".durablegraph-new"
"""Lies in a folder until all is copied: a call that was cut short is completed by the next."""

_REQUIREMENTS = """\
# What the Functions platform installs (remote build): the managed identity of storage, and what `tool_agent` needs.
durablegraph[identity,models]=={version}
"""


def template() -> Path:
    """The folder of the parts. Raises FileNotFoundError that says how to do without."""
    package = Path(__file__).parent
    for folder in (package / "template", package.parents[1]):
        if all((folder / part).exists() for part in PARTS):
            return folder
    raise FileNotFoundError(
        f"Found no template of an app beside the library in {package}, expected {', '.join(PARTS)}. Install the "
        "package again, or name a folder of your own that has durablegraph's triggers."
    )


def begin(folder: Path) -> None:
    """Write a new app to `folder`, which is made when it is missing; overwrites nothing of anybody else's.

    Raises ConfigurationError when something is there already. A call that was cut short is completed by the next.
    """
    source, unfinished = template(), folder / _UNFINISHED
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is a file, expected a folder to write the app to: name another one.")
    if not unfinished.exists() and (found := _found(folder)):
        raise ConfigurationError(
            f"{folder} holds {', '.join(found[:3])}{' and more' if len(found) > 3 else ''}, expected an empty folder: "  # noqa: PLR2004 -- enough to recognise it
            "name another one."
        )
    folder.mkdir(parents=True, exist_ok=True)
    unfinished.touch()
    for part in PARTS:
        if (source / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source / part, folder / part, dirs_exist_ok=True, ignore=ignored)
        else:
            shutil.copyfile(source / part, folder / part)
    requirements = _REQUIREMENTS.format(version=metadata.version("durablegraph"))
    (folder / "requirements.txt").write_text(requirements, encoding="utf-8")
    unfinished.unlink()


def _found(folder: Path) -> list[str]:
    if not folder.exists():
        return []
    return sorted(each.name for each in folder.iterdir() if each.name not in _MAY_BE_THERE)
