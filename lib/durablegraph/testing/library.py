"""The library's own state in this process: which graphs it has and where it keeps things. In memory, for one life."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from durablegraph import clock, opening, settings
from durablegraph.graphs import registry
from durablegraph.services import Services
from durablegraph.storage.checkpoints import BlobCheckpointSaver
from durablegraph.storage.items import ItemStore
from durablegraph.storage.node_cache import NodeCache
from durablegraph.storage.objects import ObjectStore
from durablegraph.testing.clock import LoopClock


@dataclass(frozen=True, slots=True)
class Doors:
    """The services of the app under test, and the same for the test itself, where nothing fails."""

    app: Services
    test: Services


class LibraryState:
    """Puts our clock and our services in the place of the process's own, and takes them out again."""

    def __init__(self, time: LoopClock) -> None:
        self._time = time
        self._registered = registry.registered()

    def enter(self) -> None:
        """Begin a life: nothing is open, nothing but what the test registered is registered."""
        clock.now = self._now
        self._install(None)
        self._restore()

    def open(self, objects: ObjectStore, raw: ObjectStore, graphs: Mapping[str, object] | None) -> Doors:
        """Open the services on `objects`; the graphs are those given, else those of the app's folder and code."""
        chosen = settings.load()
        if graphs is None:
            known = opening.open_services(chosen, os.environ, opening.app_folder(os.environ)).graphs
        else:
            known = registry.Registry()
            for name, graph in graphs.items():
                known.register(name, graph)
        doors = Doors(_services(chosen, objects, known), _services(chosen, raw, known))
        self._install(doors.app)
        return doors

    def leave(self) -> None:
        """Give the process back."""
        clock.now = _REAL_NOW
        self._install(None)
        self._restore()

    def _now(self) -> datetime:
        return self._time.now()

    @staticmethod
    def _install(services: Services | None) -> None:
        opening._opened = services  # noqa: SLF001 -- a process has one set of services, and this one stands for many

    def _restore(self) -> None:
        known = registry._in_code  # noqa: SLF001 -- as above: graphs registered by an app go with its process
        known.clear()
        known.update(self._registered)


_REAL_NOW = clock.now


def template() -> Path:
    """The folder of the triggers that run graphs. Raises FileNotFoundError that says how to name one."""
    package = Path(opening.__file__).parent
    for folder in (package / "template", package.parents[1]):
        if (folder / "function_app.py").is_file() and (folder / "orchestrators").is_dir():
            return folder
    raise FileNotFoundError(
        "Found no app with durablegraph's triggers beside the library, expected function_app.py, orchestrators/, "
        "activities/ and http_starters/. Name your app's folder: durable_app('path/to/app', graphs={...})."
    )


def _services(chosen: settings.Settings, objects: ObjectStore, graphs: registry.Registry) -> Services:
    saver = BlobCheckpointSaver(objects, allowed_types=opening.allowed(chosen.allowed_types))
    return Services(chosen, objects, saver, graphs, ItemStore(objects), NodeCache(objects))
