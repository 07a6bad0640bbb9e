"""The graphs of an app: each is loaded once per worker, at its first use."""

import asyncio
import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, get_type_hints

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

from durablegraph.errors import NotFound
from durablegraph.graphs.app_storage import StoreSettings
from durablegraph.graphs.internals import Graph
from durablegraph.graphs.langgraph_json import AppFile, read
from durablegraph.graphs.loader import compiled, imported
from durablegraph.graphs.run_scoped import untracked
from durablegraph.graphs.savers import lasting, opened
from durablegraph.graphs.sources import Source, fan_out_policy
from durablegraph.model.fan_out import FanOutPolicy

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
    checkpointer: BaseCheckpointSaver[Any] | None = None
    """The saver of its own, opened and set up; None: the app's."""
    fan_out: FanOutPolicy | None = None
    """How its super-steps with several tasks are executed; None: as the settings say."""


class Registry:
    """Graphs by name. Loading is asynchronous, happens once, and is safe to ask for from several tasks.

    `store` is what langgraph.json says of long-term memory, whose paths are relative to `folder`.
    """

    def __init__(self) -> None:
        self._sources: dict[str, tuple[Source, Path]] = {}
        self._objects: dict[str, Registered] = {}
        self._app_saver: _AppSaver | None = None
        self.store = StoreSettings()
        self.folder = Path()
        self._loaded: dict[str, LoadedGraph] = {}
        self._loading: dict[str, asyncio.Lock] = {}
        self._open = AsyncExitStack()
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
            self._app_saver = _AppSaver(app.checkpointer, app.folder)

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
        description, given = "", None
        if name in self._objects:
            found, given = self._objects[name].graph, self._objects[name].checkpointer
            policy = self._objects[name].fan_out
        else:
            source, folder = self._sources[name]
            description, policy = source.description, source.fan_out
            found = await asyncio.to_thread(imported, f"graph {name!r}", source, folder)
        graph = await compiled(name, found, self._open)
        checkpointer = await self._saver(name, graph, given)
        notices = _notices(graph, checkpointer)
        for notice in notices:
            log.warning("graph %s: %s", name, notice)
        self._keep_open()
        return LoadedGraph(
            name=name,
            graph=graph,
            description=description or (graph.name if graph.name != "LangGraph" else ""),
            input_schema=_schema(name, graph.get_input_jsonschema) or _outline(graph),
            output_schema=_schema(name, graph.get_output_jsonschema),
            context_schema=_schema(name, graph.get_context_jsonschema),
            notices=notices,
            version=_version(graph),
            checkpointer=checkpointer,
            fan_out=policy,
        )

    async def _saver(self, name: str, graph: Graph, given: object) -> BaseCheckpointSaver[Any] | None:
        """The saver given for the graph in code, else the one it was compiled with, else langgraph.json's."""
        own = given if given is not None else lasting(graph)
        if own is not None:
            return await opened(f"the checkpointer of graph {name!r}", own, self._open)
        return None if self._app_saver is None else await self._app_saver.opened(self._open)

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
        if self._app_saver is not None:
            self._app_saver.forget()
        await self._open.aclose()


class _AppSaver:
    """The saver that langgraph.json names for all graphs: opened at its first use, and then the same for each."""

    def __init__(self, source: Source, folder: Path) -> None:
        self._source = source
        self._folder = folder
        self._opening = asyncio.Lock()
        self._saver: BaseCheckpointSaver[Any] | None = None

    async def opened(self, stack: AsyncExitStack) -> BaseCheckpointSaver[Any]:
        async with self._opening:
            if self._saver is None:
                what = "the checkpointer of langgraph.json"
                found = await asyncio.to_thread(imported, what, self._source, self._folder)
                self._saver = await opened(what, found, stack)
        return self._saver

    def forget(self) -> None:
        self._saver = None


def _outline(graph: Graph) -> Mapping[str, Any]:
    """The least that is known of an input whose types have no JSON schema: an object with these members."""
    if not isinstance(graph, CompiledStateGraph) or "__root__" in graph.builder.channels:
        return {}
    names = get_type_hints(graph.builder.input_schema)
    return {"type": "object", "properties": {name: {} for name in names}}


def _version(graph: Graph) -> str:
    shape = json.dumps([sorted(graph.nodes), sorted(graph.channels)])
    return hashlib.sha256(shape.encode()).hexdigest()[:12]


def _notices(graph: Graph, checkpointer: BaseCheckpointSaver[Any] | None) -> tuple[str, ...]:
    notices = []
    if checkpointer is not None:
        if not getattr(checkpointer, "guards_head", False):
            notices.append(
                f"its checkpoints are kept by {type(checkpointer).__name__}, which cannot refuse a late commit of an "
                "attempt that was given up; docs/how-to/bring-another-saver.md says what that means."
            )
    elif isinstance(graph.checkpointer, BaseCheckpointSaver):
        notices.append(
            f"it was compiled with a checkpointer that does not last ({type(graph.checkpointer).__name__}); durable "
            "runs keep their checkpoints in the app's storage instead. Compile it without one to be rid of this notice."
        )
    elif graph.checkpointer is not None:
        notices.append(f"it was compiled with checkpointer={graph.checkpointer}; a durable run is always persisted.")
    if names := untracked(graph):
        notices.append(
            f"its UntrackedValue channels ({', '.join(sorted(names))}) are stored within a run, as each super-step may "
            "run in another process; their values must be serializable, and a new run starts without them."
        )
    return tuple(notices)


def _schema(name: str, make: Callable[[], Mapping[str, Any] | None]) -> Mapping[str, Any]:
    """A JSON schema, or an empty one where a type of the user's has none: that must not keep the graph from running."""
    try:
        return make() or {}
    except Exception as error:  # noqa: BLE001 -- pydantic and users' types raise many kinds
        log.warning("graph %s: no JSON schema for one of its types: %s", name, error)
        return {}
