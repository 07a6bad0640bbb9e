"""Open the services of a worker process, once, from its environment."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from durablegraph import settings as settings_module
from durablegraph.graphs.registry import Registry
from durablegraph.services import Services
from durablegraph.settings import Settings
from durablegraph.storage.checkpoints.saver import BlobCheckpointSaver
from durablegraph.storage.connections import app_connection
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.opening import open_store
from durablegraph.storage.prefixed import PrefixedStore

DATABASE = "objects.db"
"""The SQLite file below the state folder."""

GRAPHS_FILE = "langgraph.json"

_opening = asyncio.Lock()
_opened: Services | None = None


async def services() -> Services:
    """The services of this process, opened at the first call; a failure to open is raised again at the next."""
    global _opened  # noqa: PLW0603 -- one worker process has one set of services
    if _opened is None:
        async with _opening:
            if _opened is None:
                _opened = open_services(settings_module.load(), os.environ, app_folder(os.environ))
    return _opened


def open_services(settings: Settings, environment: Mapping[str, str], folder: Path) -> Services:
    """Services for the app in `folder`; raises ConfigurationError for storage or graphs that cannot be used."""
    state = settings.state if settings.state.is_absolute() else folder / settings.state
    connection = app_connection(environment, local_path=state / DATABASE, container=settings.container)
    objects: ObjectStore = open_store(connection)
    if settings.prefix:
        objects = PrefixedStore(objects, settings.prefix)
    return Services(
        settings=settings,
        objects=objects,
        saver=BlobCheckpointSaver(objects),
        graphs=Registry.from_file(folder / GRAPHS_FILE),
    )


def app_folder(environment: Mapping[str, str]) -> Path:
    """The folder of the Functions app: what the host says, else the current one."""
    return Path(environment.get("AzureWebJobsScriptRoot") or Path.cwd())
