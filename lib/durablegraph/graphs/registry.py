"""The graphs of an app by name: each is loaded once per worker, at its first use. Knowing them takes no LangGraph."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from durablegraph.errors import NotFound
from durablegraph.graphs.app_storage import StoreSettings
from durablegraph.graphs.langgraph_json import AppFile, read
from durablegraph.graphs.sources import Source, fan_out_policy
from durablegraph.model.fan_out import FanOutPolicy

if TYPE_CHECKING:
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore

    from durablegraph.graphs.internals import Graph
    from durablegraph.graphs.loading import Loading

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Registered:
    """A graph that was given in code, and its saver where it has one of its own."""

    graph: object
    checkpointer: object = None
    fan_out: FanOutPolicy | None = None


_in_code: dict[str, Registered] = {}


def register(
    name: str,
    graph: object,
    *,
    checkpointer: object = None,
    fan_out: FanOutPolicy | Mapping[str, Any] | None = None,
) -> None:
    """Add a graph to the app that this process runs (compiled, builder, entrypoint or factory).

    Call it while ``function_app.py`` is imported: the services take what is registered when they open. A graph of the
    same name in ``langgraph.json`` is replaced. `checkpointer` keeps the graph's checkpoints in the place of the app's
    storage: a saver, an (async) context manager that gives one, or a function that returns either, called once per
    worker. `fan_out` is how its super-steps with several tasks are executed, as in langgraph.json:
    ``{"when": "always", "width": 20, "failures": "at_least:3"}``; ConfigurationError for one that is wrong.
    """
    _in_code[name] = Registered(graph, checkpointer, fan_out_policy(f"graph {name!r}", fan_out))


def registered() -> Mapping[str, Registered]:
    """What `register` was given so far."""
    return dict(_in_code)


def register_only(graphs: Mapping[str, Registered]) -> None:
    """Forget what `register` was given, but for these: the state of a process in which another app begins."""
    _in_code.clear()
    _in_code.update(graphs)


@dataclass(frozen=True, slots=True)
class LoadedGraph:
    """A compiled graph and what callers may know of it. The schemas are JSON Schema; empty where there is none.

    `notices` say in words what is different from running the graph in memory.
    """

    name: str
    graph: Graph
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] = field(default_factory=dict)
    context_schema: Mapping[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    version: str = ""
    """Changes when a node or a channel is added, removed or renamed."""
    types: frozenset[tuple[str, ...]] = frozenset()
    """Module and name of each type that its state names: what the app's saver may rebuild its values as."""
    checkpointer: BaseCheckpointSaver[Any] | None = None
    """The saver of its own, opened and set up; None: the app's."""
    store: BaseStore | None = None
    """The long-term memory of its own, if that lasts; None: the app's."""
    cache: BaseCache[Any] | None = None
    """The node cache of its own, if that lasts; None: the app's if it was compiled with one, otherwise none."""
    fan_out: FanOutPolicy | None = None
    """How its super-steps with several tasks are executed; None: as the settings say."""


class Registry:
    """Graphs by name. Loading is asynchronous, happens once, and is safe to ask for from several tasks.

    `store` is what langgraph.json says of long-term memory, whose paths are relative to `folder`.
    """

    def __init__(self) -> None:
        self._sources: dict[str, tuple[Source, Path]] = {}
        self._objects: dict[str, Registered] = {}
        self._app_saver: tuple[Source, Path] | None = None
        self.store = StoreSettings()
        self.folder = Path()
        self._loaded: dict[str, LoadedGraph] = {}
        self._loading: dict[str, asyncio.Lock] = {}
        self._opened: Loading | None = None
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """The graphs that a ``langgraph.json`` names.

        Sets the file's `env` (what the environment has already wins) and makes the app's folders importable. Raises
        ConfigurationError for a wrong file; a wrong graph is reported when it is loaded.
        """
        registry = cls()
        registry.add(read(path))
        return registry

    def add(self, app: AppFile) -> None:
        """Add the graphs of a ``langgraph.json``."""
        for notice in app.notices:
            log.warning("langgraph.json: %s", notice)
        for name, value in app.env.items():
            os.environ.setdefault(name, value)
        sys.path[:0] = [str(place) for place in app.search if str(place) not in sys.path]
        self._sources |= {name: (source, app.folder) for name, source in app.graphs.items()}
        self.store, self.folder = app.store, app.folder
        if app.checkpointer is not None:
            self._app_saver = (app.checkpointer, app.folder)

    def register(
        self,
        name: str,
        graph: object,
        *,
        checkpointer: object = None,
        fan_out: FanOutPolicy | Mapping[str, Any] | None = None,
    ) -> None:
        """Add a graph in code, as the function `register` does; it replaces one of the same name."""
        self._objects[name] = Registered(graph, checkpointer, fan_out_policy(f"graph {name!r}", fan_out))
        self._loaded.pop(name, None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all graphs, sorted."""
        return tuple(sorted({*self._sources, *self._objects}))

    async def load(self, name: str) -> LoadedGraph:
        """The graph of this name. Raises NotFound, or ConfigurationError for one that cannot be loaded.

        Raises TransientError where a service that the graph or its saver needs at its start does not answer: ask again.
        """
        if name in self._loaded:
            return self._loaded[name]
        if name not in self._sources and name not in self._objects:
            raise NotFound(
                f"There is no graph {name!r}; there are: {', '.join(self.names) or 'none'}.",
                code="graph_not_found",
                available=list(self.names),
            )
        async with self._loading.setdefault(name, asyncio.Lock()):
            if name not in self._loaded:
                self._loaded[name] = await self._load(name)
        return self._loaded[name]

    async def _load(self, name: str) -> LoadedGraph:
        loading = self._opens()
        if name in self._objects:
            loaded = await loading.from_code(name, self._objects[name])
        else:
            loaded = await loading.from_file(name, *self._sources[name])
        self._keep_open()
        return loaded

    def _opens(self) -> Loading:
        """What is open for the graphs that are loaded, made for the first of them."""
        if self._opened is None:
            from durablegraph.graphs.loading import Loading  # noqa: PLC0415 -- needs LangGraph, as names do not

            self._opened = Loading(self._app_saver)
        return self._opened

    def _keep_open(self) -> None:
        """Leave what was entered when the event loop ends, which cancels its tasks (as `asyncio.run` does)."""
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._until_the_end(), name="durablegraph: keeps graphs open")

    async def _until_the_end(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.close()

    async def close(self) -> None:
        """Leave the context managers that factories returned, last entered first. A second call does nothing."""
        self._loaded.clear()
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()
