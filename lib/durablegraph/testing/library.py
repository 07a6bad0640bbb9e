"""The library's own state in this process: which graphs it has and where it keeps things. In memory, for one life.

LangGraph and the storage are imported when an app needs them: other apps are tested without.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import durablegraph
from durablegraph import clock
from durablegraph.storage.objects import ObjectStore
from durablegraph.testing.clock import LoopClock

if TYPE_CHECKING:
    from durablegraph.graphs.registry import Registry
    from durablegraph.services import Services
    from durablegraph.settings import Settings


@dataclass(frozen=True, slots=True)
class Doors:
    """The services of the app under test, and the same for the test itself, where nothing fails."""

    app: "Services"
    test: "Services"


class LibraryState:
    """Puts our clock and our services in the place of the process's own, and takes them out again."""

    def __init__(self, time: LoopClock) -> None:
        self._time = time
        known = sys.modules.get(_REGISTRY)
        self._registered: Mapping[str, object] = known.registered() if known is not None else {}

    def enter(self, graphs: Mapping[str, object] | None) -> None:
        """Begin a life: nothing is open, nothing is registered but what the test registered and these graphs."""
        clock.now = self._now
        self._install(None)
        self._restore()
        for name, graph in (graphs or {}).items():
            durablegraph.register(name, graph)

    def open(self, objects: ObjectStore, raw: ObjectStore, graphs: Mapping[str, object] | None) -> Doors:
        """Open the services on `objects`; the graphs are those given, else those of the app's folder and code."""
        from durablegraph import opening, settings  # noqa: PLC0415 -- see above
        from durablegraph.graphs.registry import Registry  # noqa: PLC0415 -- as above

        chosen = settings.load()
        if graphs is None:
            known = opening.open_services(chosen, os.environ, opening.app_folder(os.environ)).graphs
        else:
            known = Registry()
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
    def _install(services: "Services | None") -> None:
        opening: Any = sys.modules.get(_OPENING)
        if opening is not None:
            opening._opened = services  # noqa: SLF001 -- a process has one set of services, and this one is many

    def _restore(self) -> None:
        registry: Any = sys.modules.get(_REGISTRY)
        if registry is not None:
            known = registry._in_code  # noqa: SLF001 -- as above: graphs that an app registered go with its process
            known.clear()
            known.update(self._registered)


_REAL_NOW = clock.now
_OPENING, _REGISTRY = "durablegraph.opening", "durablegraph.graphs.registry"


def template() -> Path:
    """The folder of the triggers that run graphs. Raises FileNotFoundError that says how to name one."""
    package = Path(str(durablegraph.__file__)).parent
    for folder in (package / "template", package.parents[1]):
        if (folder / "function_app.py").is_file() and (folder / "orchestrators").is_dir():
            return folder
    raise FileNotFoundError(
        "Found no app with durablegraph's triggers beside the library, expected function_app.py, orchestrators/, "
        "activities/ and http_starters/. Name your app's folder: durable_app('path/to/app', graphs={...})."
    )


def _services(chosen: "Settings", objects: ObjectStore, graphs: "Registry") -> "Services":
    from durablegraph import opening  # noqa: PLC0415 -- see above
    from durablegraph.services import Services  # noqa: PLC0415 -- as above
    from durablegraph.storage.checkpoints import BlobCheckpointSaver  # noqa: PLC0415 -- as above
    from durablegraph.storage.node_cache import NodeCache  # noqa: PLC0415 -- as above

    saver = BlobCheckpointSaver(objects, allowed_types=opening.allowed(chosen.allowed_types))
    return Services(chosen, objects, saver, graphs, opening.item_store(objects, graphs), NodeCache(objects))
