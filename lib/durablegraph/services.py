"""What a worker process opens once and every activity and request shares."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from durablegraph.errors import ConfigurationError, Conflict
from durablegraph.graphs.deadline import TimeBudget
from durablegraph.graphs.paces import Paces
from durablegraph.graphs.registry import LoadedGraph, Registry
from durablegraph.graphs.sticky import StickyLoops
from durablegraph.model.records import RunRequest
from durablegraph.settings import Settings
from durablegraph.storage import checkpoints
from durablegraph.storage.events import EventLogs, Limits
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.retention import Policy, Retention
from durablegraph.storage.runs import RunStore
from durablegraph.storage.schedules import ScheduleStore
from durablegraph.warming import warmed

if TYPE_CHECKING:
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore
    from langgraph.types import StateSnapshot

log = logging.getLogger(__name__)

_REMEMBERED = 256
"""Requests kept in memory: they never change, and a run's activities follow each other closely."""


@dataclass(slots=True)
class Kept:
    """What LangGraph keeps in the app's storage: checkpoints, long-term memory, cached results of nodes."""

    saver: BaseCheckpointSaver[Any]
    items: BaseStore | None = None
    node_cache: BaseCache[Any] | None = None


@dataclass
class Services:
    """Settings, storage and graphs of one worker process.

    Runs, schedules and events are served without LangGraph. What needs it is there after `ready`, or after `load`.
    """

    settings: Settings
    objects: ObjectStore
    graphs: Registry
    keep: Callable[[], Kept]
    """Opens what `kept` is; called once, and again if it raised."""
    time_budget: TimeBudget | None = None
    """How long an activity may take; None: as long as it likes."""
    runs: RunStore = field(init=False)
    schedules: ScheduleStore = field(init=False)
    events: EventLogs = field(init=False)
    quiet: dict[str, datetime] = field(init=False, default_factory=dict)
    """Until when the supervisor leaves a waiting run alone."""
    paces: Paces = field(init=False, default_factory=Paces)
    sticky: StickyLoops = field(init=False)
    _savers: dict[str, BaseCheckpointSaver[Any]] = field(init=False, default_factory=dict)
    _requests: OrderedDict[str, RunRequest] = field(init=False, default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.sticky = StickyLoops(self.settings.sticky_seconds, self.settings.sticky_runs)
        self.runs = RunStore(self.objects)
        self.schedules = ScheduleStore(self.objects)
        self.events = EventLogs(self.objects, Limits(kept=self.settings.stream_segments))

    async def request(self, run_id: str) -> RunRequest | None:
        """What the caller of a run asked for, from memory when it was read before."""
        if run_id in self._requests:
            self._requests.move_to_end(run_id)
            return self._requests[run_id]
        found = await self.runs.request(run_id)
        if found is not None:
            self._requests[run_id] = found
            while len(self._requests) > _REMEMBERED:
                self._requests.popitem(last=False)
        return found

    @cached_property
    def kept(self) -> Kept:
        """What LangGraph keeps, opened at its first use; raises ConfigurationError for embeddings that fail."""
        return self.keep()

    @property
    def saver(self) -> BaseCheckpointSaver[Any]:
        """The app's own saver."""
        return self.kept.saver

    async def ready(self) -> None:
        """Return when LangGraph is imported and what it keeps is open; raises ConfigurationError as `kept` does."""
        await warmed()
        _ = self.kept

    async def load(self, graph: str) -> LoadedGraph:
        """A graph, and what it is run with; raises what `Registry.load` does and what `ready` does."""
        await self.ready()
        return await self.graphs.load(graph)

    def saver_of(self, loaded: LoadedGraph) -> BaseCheckpointSaver[Any]:
        """The saver of a graph: its own where it has one, otherwise the app's.

        The app's rebuilds values only as types of this graph's state, or as types that the settings allow.
        """
        if loaded.checkpointer is not None:
            return loaded.checkpointer
        if loaded.name not in self._savers:
            self._savers[loaded.name] = self.saver.with_allowlist(loaded.types)
        return self._savers[loaded.name]

    async def retention(self, purge: Callable[[str], Awaitable[None]], *, strict: bool = True) -> Retention:
        """What sweeps and erasures work with; `purge` forgets the Durable instance of a run.

        Loads every graph, for it may have a saver of its own; one that cannot be loaded raises, or, where not `strict`,
        is left out and logged.
        """
        await self.ready()
        savers = [self.saver]
        for name in self.graphs.names:
            try:
                own = (await self.graphs.load(name)).checkpointer
            except ConfigurationError:
                if strict:
                    raise
                log.exception("graph %s cannot be loaded: checkpoints in a saver of its own are not looked at", name)
                continue
            if own is not None and all(own is not saver for saver in savers):
                savers.append(own)
        return Retention(self.objects, self.runs, savers, Policy.of(self.settings), purge)

    def items_for(self, loaded: LoadedGraph) -> BaseStore | None:
        """The long-term memory that a graph's nodes get: its own if that lasts, otherwise ours."""
        return self.kept.items if loaded.store is None else loaded.store

    def cache_for(self, loaded: LoadedGraph) -> BaseCache[Any] | None:
        """The node cache of a graph: its own if that lasts, ours if it does not; None without one, as in LangGraph."""
        if loaded.graph.cache is None:
            return None
        return self.kept.node_cache if loaded.cache is None else loaded.cache

    def attempt(
        self, loaded: LoadedGraph, thread_id: str, token: str | None, *, shared: bool = False
    ) -> BaseCheckpointSaver[Any]:
        """A saver for one attempt at a super-step, which can commit only on the head that it reads first.

        `shared` is for one of several chunks of a super-step: it may add writes beside the others. `token` is what
        `head_token` said after the step before. A saver that cannot fence is returned as it is: then the head is
        only compared before each checkpoint (`graphs.saver_view`), so that an attempt which was given up may still
        commit if it got past the comparison.
        """
        saver = self.saver_of(loaded)
        if not isinstance(saver, checkpoints.BlobCheckpointSaver):
            return saver
        return saver.attempt(shared=shared, heads={thread_id: token} if token else None)

    @staticmethod
    def head_token(saver: BaseCheckpointSaver[Any], thread_id: str) -> str | None:
        """The token of the newest commit that an attempt's saver read or made."""
        return saver.head_token(thread_id) if isinstance(saver, checkpoints.BlobCheckpointSaver) else None

    async def head(self, graph: str, thread_id: str) -> str | None:
        """The id of a thread's newest checkpoint, where the graph keeps them."""
        saver = self.saver_of(await self.load(graph))
        found = await saver.aget_tuple(_config(thread_id))
        return found.checkpoint["id"] if found else None

    async def state(self, graph: str, thread_id: str, checkpoint_id: str | None = None) -> StateSnapshot:
        """A thread's state at its head or at a checkpoint, as LangGraph tells it."""
        bound = await self._bound(graph)
        from langgraph.errors import InvalidUpdateError  # noqa: PLC0415 -- here the graph has imported it

        try:
            snapshot: StateSnapshot = await bound.aget_state(_config(thread_id, checkpoint_id))
        except InvalidUpdateError as error:
            raise Conflict(
                f"the state of thread {thread_id!r} cannot be told: {error}", code="state_unclear"
            ) from error
        return snapshot

    async def history(
        self, graph: str, thread_id: str, *, limit: int, before: str | None = None
    ) -> AsyncIterator[StateSnapshot]:
        """A thread's checkpoints, newest first."""
        bound = await self._bound(graph)
        earlier = _config(thread_id, before) if before else None
        async for snapshot in bound.aget_state_history(_config(thread_id), limit=limit, before=earlier):
            yield snapshot

    async def _bound(self, graph: str) -> Any:
        loaded = await self.load(graph)
        return loaded.graph.copy(update={"checkpointer": self.saver_of(loaded), "store": self.items_for(loaded)})


def _config(thread_id: str, checkpoint_id: str | None = None) -> Any:
    configurable = {"thread_id": thread_id, "checkpoint_ns": ""}
    if checkpoint_id is not None:
        configurable["checkpoint_id"] = checkpoint_id
    return {"configurable": configurable}
