"""Open the services of a worker process, once, from its environment."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from durablegraph import settings as settings_module
from durablegraph.errors import ConfigurationError
from durablegraph.execution.budget import time_budget
from durablegraph.graphs.embeddings import index_config, ttl_config
from durablegraph.graphs.registry import Registry, registered
from durablegraph.services import Services
from durablegraph.settings import Settings
from durablegraph.storage.checkpoints import BlobCheckpointSaver
from durablegraph.storage.checkpoints.serde import AllowedTypes, AppSerializer
from durablegraph.storage.connections import Connection, app_connection
from durablegraph.storage.encryption.opening import key_ring, protected
from durablegraph.storage.encryption.ring import KeyRing
from durablegraph.storage.items import ItemStore
from durablegraph.storage.node_cache import NodeCache
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
    ring, types = ring_of(settings), allowed(settings.allowed_types)
    objects = stored_objects(settings, environment, folder)
    objects = protected(objects, ring, reads_plaintext=settings.encryption_read_plaintext)
    graphs = graphs_of(folder)
    return Services(
        settings=settings,
        objects=objects,
        saver=BlobCheckpointSaver(objects, serde=AppSerializer(types)),
        graphs=graphs,
        items=item_store(objects, graphs),
        node_cache=NodeCache(objects, serde=AppSerializer(types)),
        time_budget=time_budget(settings, environment, folder),
    )


def item_store(objects: ObjectStore, graphs: Registry) -> ItemStore:
    """Long-term memory as `store` of langgraph.json says; raises ConfigurationError for embeddings that fail."""
    store = graphs.store
    return ItemStore(
        objects,
        index=index_config(store.index, graphs.folder) if store.index else None,
        ttl=ttl_config(store.ttl) if store.ttl else None,
    )


def stored_objects(settings: Settings, environment: Mapping[str, str], folder: Path) -> ObjectStore:
    """The app's objects as they are stored, perhaps encrypted, below its prefix."""
    objects: ObjectStore = open_store(_connection(settings, environment, folder))
    return PrefixedStore(objects, settings.prefix) if settings.prefix else objects


def ring_of(settings: Settings) -> KeyRing | None:
    """The keys that everything stored is encrypted under, None without encryption."""
    keys = settings.encryption_keys
    return key_ring(keys.get_secret_value() if keys else "", settings.encryption_key_ring)


def check() -> None:
    """Raise ConfigurationError for settings, storage settings or a langgraph.json that are wrong; opens nothing."""
    settings, folder = settings_module.load(), app_folder(os.environ)
    allowed(settings.allowed_types)
    ring_of(settings)
    _connection(settings, os.environ, folder)
    graphs_of(folder)


def _connection(settings: Settings, environment: Mapping[str, str], folder: Path) -> Connection:
    state = settings.state if settings.state.is_absolute() else folder / settings.state
    return app_connection(environment, local_path=state / DATABASE, container=settings.container)


def graphs_of(folder: Path) -> Registry:
    """The graphs of langgraph.json, which may be missing when graphs are registered in code."""
    in_code = registered()
    file = folder / GRAPHS_FILE
    graphs = Registry() if in_code and not file.exists() else Registry.from_file(file)
    for name, given in in_code.items():
        graphs.register(name, given.graph, checkpointer=given.checkpointer)
    return graphs


def allowed(text: str) -> AllowedTypes:
    """The setting DURABLEGRAPH_ALLOWED_TYPES as the saver takes it; raises ConfigurationError for what is no type."""
    if text.strip() == "*":
        return True
    types: list[type | tuple[str, ...]] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        module, separator, name = item.partition(":")
        if not separator or not module or not name:
            raise ConfigurationError(
                f"DURABLEGRAPH_ALLOWED_TYPES has {item!r}: write each type as module:Name, separated by commas, or *"
            )
        types.append((module, name))
    return types


def app_folder(environment: Mapping[str, str]) -> Path:
    """The folder of the Functions app: what the host says, else the current one."""
    return Path(environment.get("AzureWebJobsScriptRoot") or Path.cwd())
