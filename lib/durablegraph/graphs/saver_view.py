"""A view of a checkpoint saver through which one call of a graph is watched and fenced.

The view stores nothing: it is the same saver (same attributes, same class for `isinstance`), but its loads and saves go
past a `Watch`. LangGraph calls the asynchronous methods from the graph itself and the synchronous ones from graphs
that a synchronous node invokes, so both are here.
"""

from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from inspect import signature
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)

from durablegraph.errors import StaleHead

Writes = Sequence[tuple[str, Any]]

EXPECTED_HEAD = "__durablegraph_expected_head"
"""Key in `configurable` by which a saver that has ``guards_head = True`` learns which head a save may replace.

Its value is a checkpoint id, or None for "no checkpoint yet". Such a saver raises `StaleHead` from `put` and `aput`,
atomically with the save. For any other saver the view compares before it saves, which leaves a short race.
"""


class Known(NamedTuple):
    """What a call has loaded already; None: there is no checkpoint."""

    found: CheckpointTuple | None


class Fence(NamedTuple):
    """The only head that a save may replace; None: the namespace must be empty."""

    head: str | None


class Watch:
    """What a view asks the call that it serves, and tells it; by itself it lets everything pass.

    While the call is `stopping` what was finished is still saved, but not that a task was cancelled: LangGraph would do
    so when the call has ended, beside the next one, which could then not commit. When it is `over` nothing is saved.
    """

    stopping = False
    over = False

    def known(self, config: RunnableConfig) -> Known | None:
        """What the call has loaded already and nobody has used yet."""
        del config
        return None

    def earlier(self, config: RunnableConfig, found: CheckpointTuple | None) -> RunnableConfig | None:
        """Load the newest checkpoint before this one instead of `found`."""
        del config, found
        return None

    def loaded(self, config: RunnableConfig, found: CheckpointTuple | None) -> CheckpointTuple | None:
        """What LangGraph gets to see of what was loaded."""
        del config
        return found

    def listed(self, config: RunnableConfig | None) -> None:
        """LangGraph looks for an earlier checkpoint itself."""

    async def before_saving(self, config: RunnableConfig, checkpoint: str | None) -> None:
        """LangGraph is about to save the checkpoint of this id, or the writes of a task (None)."""
        del config, checkpoint

    def saving(
        self, config: RunnableConfig, metadata: CheckpointMetadata
    ) -> tuple[CheckpointMetadata, Fence | None] | None:
        """The metadata to save a checkpoint with, and its fence; None: do not save it."""
        del config
        return metadata, None

    def saved(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> Awaitable[None] | None:
        """A checkpoint is durable; an asynchronous save is over when what this returns is done."""

    def writing(self, config: RunnableConfig, writes: Writes, task_id: str) -> Writes | None:
        """The writes to save for a task; None: do not save them."""
        del config, task_id
        return writes

    def broke(self, error: Exception) -> None:
        """The saver itself raised `error`, which is therefore no node's."""


def watched(saver: BaseCheckpointSaver[Any], watch: Watch) -> BaseCheckpointSaver[Any]:
    """A view of `saver` that goes past `watch`."""
    kind: Any = type(saver)
    view = object.__new__(_view_class(kind))
    view.__dict__ = saver.__dict__
    view._watch, view._kind = watch, kind  # slots of its own: the dictionary is the saver's
    return view


@lru_cache(maxsize=64)
def _view_class(kind: type[BaseCheckpointSaver[Any]]) -> "type[_Watched]":
    made = type(kind.__name__, (_Watched, kind), {"__slots__": ("_watch", "_kind"), "__module__": kind.__module__})
    assert issubclass(made, _Watched)  # noqa: S101 -- tells the type checker what was just made
    return made


class _Watched(BaseCheckpointSaver[Any]):
    """Goes before a saver's class in the order of method resolution."""

    __slots__ = ()
    _watch: Watch
    _kind: type[BaseCheckpointSaver[Any]]

    def _saver(self) -> BaseCheckpointSaver[Any]:
        """The saver itself: its asynchronous methods may call its synchronous ones, which are watched only once.

        Made from the attributes of the view at hand, because LangGraph copies a saver to give it another serializer.
        """
        saver = object.__new__(self._kind)
        saver.__dict__ = self.__dict__
        return saver

    def _is_late(self, writes: Writes) -> bool:
        watch = self._watch
        return watch.over or (watch.stopping and any(isinstance(value, CancelledError) for _, value in writes))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        watch = self._watch
        if known := watch.known(config):
            return watch.loaded(config, known.found)
        with _told(watch):
            found = self._saver().get_tuple(config)
            if before := watch.earlier(config, found):
                found = next(iter([*self._saver().list(config, before=before, limit=1)]), None)
        return watch.loaded(config, found)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        watch = self._watch
        if known := watch.known(config):
            return watch.loaded(config, known.found)
        with _told(watch):
            found = await self._saver().aget_tuple(config)
            if before := watch.earlier(config, found):
                newest = [each async for each in self._saver().alist(config, before=before, limit=1)]
                found = next(iter(newest), None)
        return watch.loaded(config, found)

    # LangGraph leaves these generators after their first item, and an asynchronous one is closed at some later time;
    # until then it may hold a saver's lock. So a limited number is read to its end before any of it is given out.

    def list(self, config: RunnableConfig | None, **options: Any) -> Iterator[CheckpointTuple]:
        if options.get("before"):
            self._watch.listed(config)
        with _told(self._watch):
            found = self._saver().list(config, **options)
            yield from [*found] if options.get("limit") else found

    async def alist(self, config: RunnableConfig | None, **options: Any) -> AsyncIterator[CheckpointTuple]:
        if options.get("before"):
            self._watch.listed(config)
        with _told(self._watch):
            found = self._saver().alist(config, **options)
            if not options.get("limit"):
                async for each in found:
                    yield each
                return
            limited = [each async for each in found]
        for each in limited:
            yield each

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        wanted = None if self._watch.over else self._watch.saving(config, metadata)
        if wanted is None:
            return _at(config, checkpoint)
        metadata, fence = wanted
        with _told(self._watch):
            if fence and not getattr(self, "guards_head", False):
                found = self._saver().get_tuple(_head_of(config))
                _compare(fence, found)
            put = self._saver().put(_fenced(config, fence), checkpoint, metadata, new_versions)
        self._watch.saved(config, checkpoint, metadata)
        return put

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        if self._watch.over:
            return _at(config, checkpoint)
        with _told(self._watch):
            await self._watch.before_saving(config, checkpoint["id"])
        wanted = None if self._watch.over else self._watch.saving(config, metadata)
        if wanted is None:
            return _at(config, checkpoint)
        metadata, fence = wanted
        with _told(self._watch):
            if fence and not getattr(self, "guards_head", False):
                found = await self._saver().aget_tuple(_head_of(config))
                _compare(fence, found)
            put = await self._saver().aput(_fenced(config, fence), checkpoint, metadata, new_versions)
        if (until := self._watch.saved(config, checkpoint, metadata)) is not None:
            await until
        return put

    def put_writes(self, config: RunnableConfig, writes: Writes, task_id: str, task_path: str = "") -> None:
        wanted = None if self._is_late(writes) else self._watch.writing(config, writes, task_id)
        if wanted is not None:
            with _told(self._watch):
                self._saver().put_writes(config, wanted, task_id, *_path(self._kind, task_path))

    async def aput_writes(self, config: RunnableConfig, writes: Writes, task_id: str, task_path: str = "") -> None:
        if self._is_late(writes):
            return
        with _told(self._watch):
            await self._watch.before_saving(config, None)
        wanted = None if self._is_late(writes) else self._watch.writing(config, writes, task_id)
        if wanted is not None:
            with _told(self._watch):
                await self._saver().aput_writes(config, wanted, task_id, *_path(self._kind, task_path))


def _path(kind: Any, task_path: str) -> tuple[str, ...]:
    """The path as a further argument, for a saver that takes it: older ones do not."""
    return (task_path,) if _takes_path(kind) else ()


@lru_cache(maxsize=64)
def _takes_path(kind: Any) -> bool:
    return all(
        any(each.name == "task_path" or each.kind is each.VAR_KEYWORD for each in signature(method).parameters.values())
        for method in (kind.put_writes, kind.aput_writes)
    )


@contextmanager
def _told(watch: Watch) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        watch.broke(error)
        raise


def _head_of(config: RunnableConfig) -> RunnableConfig:
    at = config["configurable"]
    return {"configurable": {"thread_id": at["thread_id"], "checkpoint_ns": at.get("checkpoint_ns", "")}}


def _at(config: RunnableConfig, checkpoint: Checkpoint) -> RunnableConfig:
    return {**config, "configurable": {**config["configurable"], "checkpoint_id": checkpoint["id"]}}


def _fenced(config: RunnableConfig, fence: Fence | None) -> RunnableConfig:
    if fence is None:
        return config
    return {**config, "configurable": {**config["configurable"], EXPECTED_HEAD: fence.head}}


def _compare(fence: Fence, found: CheckpointTuple | None) -> None:
    head = found.checkpoint["id"] if found else None
    if head != fence.head:
        raise StaleHead(
            f"The thread's head is {head}, but this attempt started from {fence.head}: another attempt committed "
            "first. Nothing was committed by this one; ask again for what is true now."
        )
