"""The library's own state in this process: which graphs it has and where it keeps things. In memory, for one life.

LangGraph and the storage are imported when an app needs them: other apps are tested without.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import durablegraph
from durablegraph import clock
from durablegraph.storage.objects import ObjectStore
from durablegraph.testing.clock import LoopClock

if TYPE_CHECKING:
    from durablegraph.services import Services


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
        self._forget()
        for name, graph in (graphs or {}).items():
            durablegraph.register(name, graph)

    @staticmethod
    def open(objects: ObjectStore, raw: ObjectStore, graphs: Mapping[str, object] | None) -> Doors:
        """Open the services on `objects`; the graphs are those given, else those of the app's folder and code."""
        from durablegraph import opening, warming  # noqa: PLC0415 -- see above
        from durablegraph.graphs.registry import Registry  # noqa: PLC0415 -- as above

        chosen = opening.configuration()
        if graphs is not None:
            chosen = replace(chosen, graphs=Registry())
            for name, graph in graphs.items():
                chosen.graphs.register(name, graph)
        doors = Doors(opening.services_on(chosen, objects), opening.services_on(chosen, raw))
        warming.join()  # tests need LangGraph, and their limits of time are for what the app does
        _ = doors.app.kept
        opening.use(doors.app)
        return doors

    def leave(self) -> None:
        """Give the process back."""
        clock.now = _REAL_NOW
        self._forget()

    def _now(self) -> datetime:
        return self._time.now()

    def _forget(self) -> None:
        """Open nothing, register what the test did: in modules that were imported, and import none for it."""
        opening, registry = sys.modules.get(_OPENING), sys.modules.get(_REGISTRY)
        if opening is not None:
            opening.use(None)
        if registry is not None:
            registry.register_only(self._registered)


_REAL_NOW = clock.now
_OPENING, _REGISTRY = "durablegraph.opening", "durablegraph.graphs.registry"
