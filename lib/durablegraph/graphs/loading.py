"""Graphs as they are loaded, and what their loading opens: the savers they have of their own, factories' managers."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, get_type_hints

from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.memory import InMemoryStore

from durablegraph.graphs.allowlist import allowed_types
from durablegraph.graphs.internals import Graph
from durablegraph.graphs.loader import compiled, imported
from durablegraph.graphs.registry import LoadedGraph, Registered
from durablegraph.graphs.run_scoped import untracked
from durablegraph.graphs.savers import lasting, opened
from durablegraph.graphs.sources import Source

log = logging.getLogger(__name__)


class Loading:
    """Loads graphs, and keeps open what that takes until `close`.

    `app_saver` is the saver that langgraph.json names for all graphs, and the folder its path is relative to.
    """

    def __init__(self, app_saver: tuple[Source, Path] | None) -> None:
        self._open = AsyncExitStack()
        self._app_saver = None if app_saver is None else _AppSaver(*app_saver)

    async def from_file(self, name: str, source: Source, folder: Path) -> LoadedGraph:
        """The graph that langgraph.json names."""
        found = await asyncio.to_thread(imported, f"graph {name!r}", source, folder)
        return await self.from_code(name, Registered(found, fan_out=source.fan_out), description=source.description)

    async def from_code(self, name: str, given: Registered, *, description: str = "") -> LoadedGraph:
        """The graph that an object stands for."""
        graph = await compiled(name, given.graph, self._open)
        checkpointer = await self._saver(name, graph, given.checkpointer)
        notices = _notices(graph, checkpointer)
        for notice in notices:
            log.warning("graph %s: %s", name, notice)
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
            store=None if isinstance(graph.store, InMemoryStore) else graph.store,
            cache=None if isinstance(graph.cache, InMemoryCache) else graph.cache,
            types=frozenset() if checkpointer is not None else allowed_types(graph),
            fan_out=given.fan_out,
        )

    async def _saver(self, name: str, graph: Graph, given: object) -> BaseCheckpointSaver[Any] | None:
        """The saver given for the graph in code, else the one it was compiled with, else langgraph.json's."""
        own = given if given is not None else lasting(graph)
        if own is not None:
            return await opened(f"the checkpointer of graph {name!r}", own, self._open)
        return None if self._app_saver is None else await self._app_saver.opened(self._open)

    async def close(self) -> None:
        """Leave the context managers that were entered, last entered first."""
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
