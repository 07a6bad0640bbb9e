"""Open the services of a worker process, once, from its environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from durablegraph import settings as settings_module
from durablegraph.errors import ConfigurationError
from durablegraph.execution.budget import time_budget
from durablegraph.graphs.deadline import TimeBudget
from durablegraph.graphs.registry import Registry, registered
from durablegraph.services import Kept, Services
from durablegraph.settings import Settings
from durablegraph.storage.connections import Connection, app_connection
from durablegraph.storage.encryption.opening import key_ring, protected
from durablegraph.storage.encryption.ring import KeyRing
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.opening import open_store
from durablegraph.storage.prefixed import PrefixedStore, checked_prefix
from durablegraph.threads import room_for_nodes
from durablegraph.warming import warm

if TYPE_CHECKING:
    from durablegraph.storage.checkpoints.serde import AllowedTypes

DATABASE = "objects.db"
"""The SQLite file below the state folder."""

GRAPHS_FILE = "langgraph.json"

NEEDING_LANGGRAPH = (
    "durablegraph.execution.advance",
    "durablegraph.execution.fanning",
    "durablegraph.graphs.loading",
    "durablegraph.keeping",
)
"""What the app's import leaves out and a run needs: all that is imported inside a function for LangGraph's sake."""

_opening = asyncio.Lock()
_configuration: Configuration | None = None
_opened: Services | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What an app's settings and langgraph.json say, read and checked; nothing is open."""

    settings: Settings
    types: AllowedTypes
    ring: KeyRing | None
    connection: Connection
    graphs: Registry
    time_budget: TimeBudget | None


def check() -> None:
    """Raise ConfigurationError for settings, storage settings or a langgraph.json that are wrong; opens nothing.

    The services that this process opens later are made of what was read here.
    """
    global _configuration  # noqa: PLW0603 -- one worker process has one app
    _configuration = configured(os.environ, app_folder(os.environ))


def import_langgraph() -> None:
    """Begin to import LangGraph in a thread: the app is there without it, and the first run waits for the rest only."""
    warm(*NEEDING_LANGGRAPH)


async def services() -> Services:
    """The services of this process, opened at the first call; a failure to open is raised again at the next."""
    if _opened is None:
        async with _opening:
            if _opened is None:
                chosen = configuration()
                use(services_on(chosen, objects_of(chosen)))
                room_for_nodes(chosen.settings.node_threads)
    assert _opened is not None  # noqa: S101 -- `use` has just set it
    return _opened


def configuration() -> Configuration:
    """What `check` has read, otherwise read now, with all that was registered in code until now."""
    chosen = _configuration or configured(os.environ, app_folder(os.environ))
    _register_all(chosen.graphs)
    return chosen


def use(services: Services | None) -> None:
    """Make these the services of this process; None: forget those, and what `check` has read."""
    global _configuration, _opened  # noqa: PLW0603 -- as above
    _opened = services
    if services is None:
        _configuration = None


def open_services(settings: Settings, environment: Mapping[str, str], folder: Path) -> Services:
    """Services for the app in `folder`; raises ConfigurationError for storage or graphs that cannot be used."""
    chosen = configured(environment, folder, settings)
    return services_on(chosen, objects_of(chosen))


def configured(environment: Mapping[str, str], folder: Path, settings: Settings | None = None) -> Configuration:
    """Read what the app in `folder` says; raises ConfigurationError. The `env` of its langgraph.json may hold settings.

    `settings` are those of the process unless they are given.
    """
    graphs = graphs_of(folder)
    settings = settings or settings_module.load()
    checked_prefix(settings.prefix)
    return Configuration(
        settings=settings,
        types=allowed(settings.allowed_types),
        ring=ring_of(settings),
        connection=_connection(settings, environment, folder),
        graphs=graphs,
        time_budget=time_budget(settings, environment, folder),
    )


def services_on(chosen: Configuration, objects: ObjectStore) -> Services:
    """Services that keep everything in `objects`."""
    return Services(
        settings=chosen.settings,
        objects=objects,
        graphs=chosen.graphs,
        keep=partial(_kept, chosen, objects),
        time_budget=chosen.time_budget,
    )


def _kept(chosen: Configuration, objects: ObjectStore) -> Kept:
    from durablegraph.keeping import kept  # noqa: PLC0415 -- needs LangGraph, as services that are open do not

    return kept(objects, chosen.types, chosen.graphs)


def objects_of(chosen: Configuration) -> ObjectStore:
    """The app's objects as its code sees them."""
    return _seen(chosen.settings, objects_on(chosen.settings, chosen.connection), chosen.ring)


def seen_by_app(settings: Settings, stored: ObjectStore) -> ObjectStore:
    """Stored objects as the code of an app with these settings sees them; raises ConfigurationError for its keys."""
    return _seen(settings, stored, ring_of(settings))


def _seen(settings: Settings, stored: ObjectStore, ring: KeyRing | None) -> ObjectStore:
    return protected(stored, ring, reads_plaintext=settings.encryption_read_plaintext)


def stored_objects(settings: Settings, environment: Mapping[str, str], folder: Path) -> ObjectStore:
    """The app's objects as they are stored, perhaps encrypted, below its prefix."""
    return objects_on(settings, _connection(settings, environment, folder))


def objects_on(settings: Settings, connection: Connection) -> ObjectStore:
    """What a connection holds below the app's prefix."""
    objects: ObjectStore = open_store(connection)
    return PrefixedStore(objects, settings.prefix) if settings.prefix else objects


def ring_of(settings: Settings) -> KeyRing | None:
    """The keys that everything stored is encrypted under, None without encryption."""
    keys = settings.encryption_keys
    ring = key_ring(keys.get_secret_value() if keys else "", settings.encryption_key_ring)
    if ring is None and settings.encryption_read_plaintext:
        raise ConfigurationError(
            "found DURABLEGRAPH_ENCRYPTION_READ_PLAINTEXT=true and no keys: nothing would be encrypted. Set the keys, "
            "or remove it"
        )
    return ring


def _connection(settings: Settings, environment: Mapping[str, str], folder: Path) -> Connection:
    state = settings.state if settings.state.is_absolute() else folder / settings.state
    return app_connection(environment, local_path=state / DATABASE, container=settings.container)


def graphs_of(folder: Path) -> Registry:
    """The graphs of langgraph.json, which may be missing when graphs are registered in code."""
    file = folder / GRAPHS_FILE
    graphs = Registry() if registered() and not file.exists() else Registry.from_file(file)
    _register_all(graphs)
    return graphs


def _register_all(graphs: Registry) -> None:
    for name, given in registered().items():
        graphs.register(name, given.graph, checkpointer=given.checkpointer)


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
