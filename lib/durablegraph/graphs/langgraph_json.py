"""Reads ``langgraph.json``, the file in which LangGraph's own tools find an app's graphs.

We use ``graphs``, ``checkpointer``, ``store``, ``env``, ``dependencies`` and ``python_version``. The other members of
LangGraph's schema configure things that this library does in its own way, or belong to a container image; they are
named, never silently dropped.
Source: https://docs.langchain.com/langsmith/cli#configuration-file
"""

import difflib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dotenv import dotenv_values

from durablegraph.errors import ConfigurationError
from durablegraph.graphs.app_storage import StoreSettings, checkpointer_of, store_of
from durablegraph.graphs.sources import Source, graph_source, shown

NOT_OURS: Mapping[str, str] = MappingProxyType(
    {
        "auth": "authentication is the Functions app's: keys, Easy Auth or JWT",
        "encryption": "set DURABLEGRAPH_ENCRYPTION_KEYS: everything stored is encrypted",
        "http": "routes are the Functions app's: add HTTP triggers to it",
        "webhooks": "webhooks are given with each run",
        "ui": "there is no generative UI server",
        "ui_config": "there is no generative UI server",
        "api_version": "this is not LangGraph's server",
        "base_image": "no image is built from this file",
        "image_distro": "no image is built from this file",
        "dockerfile_lines": "no image is built from this file",
        "node_version": "graphs in JavaScript are not run",
        "pip_config_file": "pip reads its own configuration",
        "pip_installer": "packages are installed by the Functions build",
        "source": "packages are installed by the Functions build",
        "keep_pkg_tools": "no image is built from this file",
        "internal_docker_tag": "no image is built from this file",
        "disable_persistence": "a durable run is always persisted",
    }
)
_OURS = frozenset(("graphs", "checkpointer", "store", "env", "dependencies", "python_version", "$schema"))
_GRAPH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class AppFile:
    """What a ``langgraph.json`` says. `folder` is where it lies; all paths in it are relative to that.

    `search` are folders to import from. `notices` say in words what was found and is not used. `checkpointer` makes the
    saver of all graphs, in the place of ours.
    """

    folder: Path
    graphs: Mapping[str, Source]
    env: Mapping[str, str]
    search: tuple[Path, ...]
    notices: tuple[str, ...]
    checkpointer: Source | None = None
    store: StoreSettings = field(default_factory=StoreSettings)


def read(path: Path) -> AppFile:
    """Read and check the file; raises ConfigurationError that says what to correct."""
    content = _parsed(path)
    folder = path.resolve().parent
    search, missing = _dependencies(path, folder, content.get("dependencies", []))
    checkpointer, unused = checkpointer_of(path, content.get("checkpointer"))
    notices = [*_other_members(content), *unused, *missing, *_python(path, content.get("python_version"))]
    return AppFile(
        folder=folder,
        graphs=_graphs(path, content.get("graphs")),
        env=_env(path, folder, content.get("env", {})),
        search=search,
        notices=tuple(notices),
        checkpointer=checkpointer,
        store=store_of(path, content.get("store")),
    )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f'{path} does not exist. Create it with {{"graphs": {{"name": "./graphs/file.py:graph"}}}}, '
            "or start in the folder that has it."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{path} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}. Correct it there."
        ) from error
    if not isinstance(content, dict):
        raise ConfigurationError(f'{path} holds {shown(content)}; expected an object with the member "graphs".')
    return content


def _graphs(path: Path, found: object) -> dict[str, Source]:
    if not isinstance(found, dict) or not found:
        raise ConfigurationError(
            f'{path}: "graphs" is {shown(found)}; expected an object with at least one graph, '
            'as in {"agent": "./graphs/agent.py:graph"}.'
        )
    return {_named(path, name): graph_source(path, name, value) for name, value in found.items()}


def _named(path: Path, name: str) -> str:
    if not _GRAPH_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{path}: {name!r} cannot name a graph; names appear in URLs: use letters, digits, '_', '-' and '.', "
            "at most 128, beginning with a letter or digit."
        )
    return name


def _env(path: Path, folder: Path, found: object) -> dict[str, str]:
    """Variables given in place, or by the name of a dotenv file."""
    if isinstance(found, str):
        file = folder / found
        if not file.is_file():
            raise ConfigurationError(
                f'{path}: "env" names {found!r}, but {file} does not exist. Create it, or remove "env": '
                "in Azure the app's settings are the environment."
            )
        return {name: value for name, value in dotenv_values(file).items() if value is not None}
    if isinstance(found, dict) and all(isinstance(value, str | int | float) for value in found.values()):
        return {name: str(value) for name, value in found.items()}
    raise ConfigurationError(
        f'{path}: "env" is {shown(found)}; expected the name of a dotenv file, or an object of names and strings.'
    )


def _dependencies(path: Path, folder: Path, found: object) -> tuple[tuple[Path, ...], list[str]]:
    """Folders to import from, and a notice for each package that is not installed."""
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ConfigurationError(
            f'{path}: "dependencies" is {shown(found)}; expected a list of folders ("./package") and requirements.'
        )
    search, missing = [folder], []
    for each in found:
        if each.startswith("."):
            local = (folder / each).resolve()
            if not local.is_dir():
                raise ConfigurationError(
                    f'{path}: "dependencies" names {each!r}, but {local} is not a folder. Correct or remove it.'
                )
            search += [place for place in (local, local / "src") if place.is_dir() and place not in search]
        elif (name := _REQUIREMENT.match(each)) and not _installed(name[1]):
            missing.append(f'"dependencies" names {each!r}, which is not installed; run: pip install {each!r}')
    return tuple(search), missing


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _python(path: Path, found: object) -> list[str]:
    if found is None:
        return []
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not isinstance(found, str) or not re.fullmatch(r"3\.\d+", found):
        raise ConfigurationError(f'{path}: "python_version" is {shown(found)}; expected a string such as "{running}".')
    return [] if found == running else [f'"python_version" is {found}, but this is Python {running}']


def _other_members(content: Mapping[str, Any]) -> list[str]:
    notices = []
    for member in content.keys() - _OURS:
        if member in NOT_OURS:
            notices.append(f'"{member}" is not used: {NOT_OURS[member]}')
        else:
            close = difflib.get_close_matches(member, [*_OURS, *NOT_OURS], n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            notices.append(f'"{member}" is not a member of langgraph.json that we know{hint}')
    return sorted(notices)
