"""The checkpoint saver that LangGraph sees: serialisation, the two faces, and the checks of what callers pass."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    SerializerProtocol,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from durablegraph.errors import InvalidRequest
from durablegraph.storage.checkpoints import clockwork, maintenance
from durablegraph.storage.checkpoints.archive import Archive, Material
from durablegraph.storage.checkpoints.changes import PutCheckpoint, PutWrites
from durablegraph.storage.checkpoints.deltas import delta_history
from durablegraph.storage.checkpoints.fencing import ConflictPolicy, Replaces, View
from durablegraph.storage.checkpoints.home import Home
from durablegraph.storage.checkpoints.names import LogNames
from durablegraph.storage.checkpoints.objects import Shared
from durablegraph.storage.checkpoints.records import Folded, Typed
from durablegraph.storage.checkpoints.sealing import Limits
from durablegraph.storage.checkpoints.serde import AllowedTypes, StrictSerializer
from durablegraph.storage.connections import DEFAULT_CONTAINER, SqliteConnection, string_connection
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.opening import open_store

EXPECTED_HEAD: Final = "__durablegraph_expected_head"
"""Key in `configurable` of a put: the only checkpoint id (or None) that may be the latest when it commits."""


class _Core:
    """What a saver, its views and its clones share. The archive belongs to one loop and is made anew on another."""

    def __init__(self, shared: Shared, home: Home) -> None:
        self.home = home
        self.store = shared.store
        self._shared = shared
        self._archive: tuple[asyncio.AbstractEventLoop, Archive] | None = None

    def log_names(self, thread: str, namespace: str) -> LogNames:
        return LogNames(self._shared.prefix, thread, namespace)

    @property
    def archive(self) -> Archive:
        """To be asked for on the home loop only."""
        loop = asyncio.get_running_loop()
        if self._archive is None or self._archive[0] is not loop:
            shared = Shared(self.store, self._shared.prefix, self._shared.cipher, self._shared.limits)
            self._archive = loop, Archive(shared)
        return self._archive[1]


class BlobCheckpointSaver(BaseCheckpointSaver[str]):
    """A complete LangGraph checkpoint saver on Azure Blob Storage, on one SQLite file, or on any ObjectStore.

    One conditional write commits a super-step; the head of a thread moves only by ``If-Match``. Thread-safe; usable
    with `invoke` and `ainvoke`; a context manager of both kinds, which closes the store it opened itself.

    `on_conflict` says what happens when another process moved the head of a thread since this saver last read it:
    ``"fence"`` raises ConcurrentWriterError (read the thread again), ``"merge"`` keeps both branches as LangGraph's SQL
    savers do.
    """

    guards_head = True
    """A put with `EXPECTED_HEAD` in its `configurable` commits only on that latest checkpoint, atomically."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        prefix: str = "",
        serde: SerializerProtocol | None = None,
        allowed_types: AllowedTypes = (),
        on_conflict: str = "fence",
        limits: Limits | None = None,
        owns_store: bool = False,
    ) -> None:
        """`prefix` separates savers that share a store; `allowed_types` is for the default, strict serialiser."""
        super().__init__(serde=serde or StrictSerializer(allowed_types))
        cipher = self.serde.cipher if isinstance(self.serde, EncryptedSerializer) else None
        path = prefix.strip("/")
        shared = Shared(store, f"{path}/" if path else "", cipher, limits or Limits())
        self._core = _Core(shared, Home(_running_loop()))
        self._view = View(_policy(on_conflict), pinned=False)
        self._owns_store = owns_store

    @classmethod
    def from_connection_string(
        cls,
        connection: str,
        *,
        container: str = DEFAULT_CONTAINER,
        prefix: str = "",
        serde: SerializerProtocol | None = None,
        allowed_types: AllowedTypes = (),
        on_conflict: str = "fence",
    ) -> Self:
        """A saver in a container of Azure Blob Storage, made at the first write. Nothing is requested before use.

        `connection` is a connection string or ``UseDevelopmentStorage=true`` (the emulator).
        """
        store = open_store(string_connection(connection, container=container))
        return cls._opened(store, prefix=prefix, serde=serde, allowed_types=allowed_types, on_conflict=on_conflict)

    @classmethod
    def from_path(
        cls,
        path: str | Path,
        *,
        prefix: str = "",
        serde: SerializerProtocol | None = None,
        allowed_types: AllowedTypes = (),
        on_conflict: str = "fence",
    ) -> Self:
        """A saver in one SQLite file, which may be used by several processes; made at the first write."""
        store = open_store(SqliteConnection(Path(path)))
        return cls._opened(store, prefix=prefix, serde=serde, allowed_types=allowed_types, on_conflict=on_conflict)

    @classmethod
    def _opened(cls, store: ObjectStore, **options: Any) -> Self:
        saver = cls(store, owns_store=True, **options)
        saver._core.home = Home()  # decided by `async with`, else a loop of its own
        return saver

    def attempt(self, *, shared: bool = False, heads: Mapping[str, str] | None = None) -> Self:
        """A saver over the same storage for one attempt at a piece of work, with a memory of its own.

        It keeps to the head it reads first: when anybody else moves it, every later commit raises
        ConcurrentWriterError, whatever it reads in between. So an attempt that was given up and still runs cannot
        commit. `shared` is for one of several tasks of a super-step: its writes are added to what sibling tasks stored,
        as long as the latest checkpoint is the same.

        `heads` maps thread ids to `head_token`s carried from the step before: if this process made or saw that commit
        as the newest, the first read needs no request; a commit on an outdated head is refused all the same.
        """
        clone = self._clone()
        clone._view = View(ConflictPolicy.SHARE if shared else ConflictPolicy.FENCE, pinned=True)
        for thread, token in (heads or {}).items():
            clone._view.trust(self._core.log_names(thread, "").head, bytes.fromhex(token))
        return clone

    def head_token(self, thread_id: str) -> str | None:
        """The newest commit of the thread's root namespace that this saver read or made, to be given to `attempt`."""
        known = self._view.seen(self._core.log_names(str(thread_id), "").head)
        return None if known is None else known.commit.hex()

    def _clone(self) -> Self:
        clone = object.__new__(type(self))
        clone.__dict__.update(self.__dict__)
        clone._owns_store = False
        return clone

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See BaseCheckpointSaver; not to be called on the event loop the saver lives on."""
        return self._tuple(config, self._core.home.wait(self._find(config), "get_tuple"))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See BaseCheckpointSaver. One request, and one for each large value."""
        return self._tuple(config, await self._core.home.call(self._find(config)))

    async def _find(self, config: RunnableConfig) -> Material | None:
        thread, namespace = _place(config)
        wanted = get_checkpoint_id(config)
        if wanted:
            return await self._core.archive.by_id(self._view, thread, namespace, wanted)
        return await self._core.archive.latest(self._view, thread, namespace)

    def _tuple(self, config: RunnableConfig, found: Material | None) -> CheckpointTuple | None:
        if found is None:
            return None
        if get_checkpoint_id(config):
            return self._decoded(found)._replace(config=config)
        clockwork.move_past(found.record.id)
        return self._decoded(found)

    def _decoded(self, found: Material) -> CheckpointTuple:
        loads, record = self._plain.loads_typed, found.record
        checkpoint: Checkpoint = loads(record.skeleton)
        checkpoint["channel_versions"] = dict(record.versions)
        checkpoint["channel_values"] = {channel: loads(typed) for channel, typed in found.values.items()}
        at = partial(_config, found.thread, found.namespace)
        return CheckpointTuple(
            at(record.id),
            checkpoint,
            loads(record.metadata),
            at(record.parent) if record.parent else None,
            [(task, channel, loads(typed)) for task, channel, typed in found.writes],
        )

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """See BaseCheckpointSaver. Without `checkpoint_ns` all namespaces, merged; without config all threads."""
        found = self._core.home.iterate(partial(self._listed, config, filter, before, limit), "list")
        return map(self._decoded, found)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """See `list`."""
        async for found in self._core.home.stream(partial(self._listed, config, filter, before, limit)):
            yield self._decoded(found)

    async def _listed(
        self,
        config: RunnableConfig | None,
        filter_: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> AsyncGenerator[Material, None]:
        archive, wanted = self._core.archive, get_checkpoint_id(config) if config else None
        logs = await self._logs(config)
        groups = [logs] if config else [[log] for log in logs]
        left = limit
        for group in groups:
            walk = archive.walk(self._view, group, get_checkpoint_id(before) if before else None)
            async with aclosing(walk) as candidates:
                async for candidate in candidates:
                    if left is not None and left <= 0:
                        return
                    if (wanted and candidate.record.id != wanted) or not self._matches(
                        candidate.record.metadata, filter_
                    ):
                        continue
                    yield await candidate.material()
                    left = None if left is None else left - 1

    async def _logs(self, config: RunnableConfig | None) -> Sequence[tuple[str, str]]:
        at = config["configurable"] if config else {}
        if at.get("checkpoint_ns") is not None:
            return [(str(at["thread_id"]), at["checkpoint_ns"])]
        return await self._core.archive.namespaces(str(at["thread_id"]) if config else None)

    def _matches(self, metadata: Typed, wanted: dict[str, Any] | None) -> bool:
        if not wanted:
            return True
        found = self._plain.loads_typed(metadata)
        return all(found.get(key) == value for key, value in wanted.items())

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See BaseCheckpointSaver; not to be called on the event loop the saver lives on."""
        change = self._checkpoint(config, checkpoint, metadata, new_versions)
        thread, namespace = _place(config)
        self._core.home.wait(self._commit(thread, namespace, change), "put")
        return _config(thread, namespace, change.id)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See BaseCheckpointSaver. Durable when it returns; raises ConcurrentWriterError. Repeating it is harmless."""
        change = self._checkpoint(config, checkpoint, metadata, new_versions)
        thread, namespace = _place(config)
        await self._core.home.call(self._commit(thread, namespace, change))
        return _config(thread, namespace, change.id)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See BaseCheckpointSaver; not to be called on the event loop the saver lives on."""
        thread, namespace = _place(config)
        change = self._writes(config, writes, task_id, task_path)
        self._core.home.wait(self._commit(thread, namespace, change), "put_writes")

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See BaseCheckpointSaver.

        A task's output is one record: if the task has output stored already, none of the new one is. The special
        channels (error, interrupt, resume) are replaced.
        """
        thread, namespace = _place(config)
        await self._core.home.call(self._commit(thread, namespace, self._writes(config, writes, task_id, task_path)))

    async def _commit(self, thread: str, namespace: str, change: PutCheckpoint | PutWrites) -> None:
        if isinstance(change, PutCheckpoint):
            await self._core.archive.put(self._view, thread, namespace, change)
        else:
            await self._core.archive.put_writes(self._view, thread, namespace, change)

    def _checkpoint(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> PutCheckpoint:
        dumps, at = self._plain.dumps_typed, config["configurable"]
        skeleton: dict[str, Any] = {**checkpoint}
        values, versions = skeleton.pop("channel_values", {}), skeleton.pop("channel_versions", {})
        told = get_checkpoint_metadata(config, metadata)
        run = told.get("run_id")
        # What changed is serialised now: the caller may go on to change it.
        ready = {name: dumps(value) for name, value in values.items() if name in new_versions}
        return PutCheckpoint(
            id=checkpoint["id"],
            parent=at.get("checkpoint_id"),
            versions={**versions, **new_versions},
            skeleton=dumps(skeleton),
            metadata=dumps(told),
            values={
                name: partial(ready.__getitem__, name) if name in ready else partial(dumps, value)
                for name, value in values.items()
            },
            new=frozenset(new_versions),
            run=str(run) if run else None,
            deltas=tuple(told.get("counters_since_delta_snapshot") or ()),
            replaces=Replaces(at[EXPECTED_HEAD]) if EXPECTED_HEAD in at else None,
        )

    def _writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> PutWrites:
        checkpoint = get_checkpoint_id(config)
        if not checkpoint:
            raise InvalidRequest(
                "put_writes needs the checkpoint that the writes belong to: configurable.checkpoint_id is missing"
            )
        dumps = self._plain.dumps_typed
        indexed = (
            (WRITES_IDX_MAP.get(channel, place), channel, value) for place, (channel, value) in enumerate(writes)
        )
        return PutWrites(
            checkpoint, task_id, task_path, tuple((i, channel, dumps(value)) for i, channel, value in indexed)
        )

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Versions that sort as text; the random part keeps the versions of two branches apart."""
        del channel
        number = 0 if current is None else int(str(current).split(".", 1)[0])
        return f"{number + 1:032}.{random.random():.16f}"  # noqa: S311 -- no secret

    @property
    def _plain(self) -> SerializerProtocol:
        """The serialiser below the encryption, which is applied after compression, to whole objects."""
        return self.serde.serde if isinstance(self.serde, EncryptedSerializer) else self.serde

    # Upkeep

    def delete_thread(self, thread_id: str) -> None:
        """See BaseCheckpointSaver. All of it is gone, the objects too."""
        self._core.home.wait(self._delete_thread(thread_id), "delete_thread")

    async def adelete_thread(self, thread_id: str) -> None:
        """See `delete_thread`."""
        await self._core.home.call(self._delete_thread(thread_id))

    async def _delete_thread(self, thread_id: str) -> None:
        await maintenance.delete_thread(self._core.archive, self._view, str(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See BaseCheckpointSaver. Follows markers, so it costs what the runs left, not a scan.

        Writes stay in the log until a prune, so that delta channels of later checkpoints can still be rebuilt.
        """
        self._core.home.wait(self._delete_for_runs(run_ids), "delete_for_runs")

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See `delete_for_runs`."""
        await self._core.home.call(self._delete_for_runs(run_ids))

    async def _delete_for_runs(self, run_ids: Sequence[str]) -> None:
        await maintenance.delete_for_runs(self._core.archive, self._view, [str(run) for run in run_ids])

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See BaseCheckpointSaver. Raises Conflict when the target has checkpoints already."""
        self._core.home.wait(self._copy_thread(source_thread_id, target_thread_id), "copy_thread")

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See `copy_thread`."""
        await self._core.home.call(self._copy_thread(source_thread_id, target_thread_id))

    async def _copy_thread(self, source: str, target: str) -> None:
        await maintenance.copy_thread(self._core.archive, str(source), str(target))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See BaseCheckpointSaver. Keeping the latest keeps what its delta channels are rebuilt from."""
        self._core.home.wait(self._prune(thread_ids, strategy), "prune")

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See `prune`."""
        await self._core.home.call(self._prune(thread_ids, strategy))

    async def _prune(self, thread_ids: Sequence[str], strategy: str) -> None:
        await maintenance.prune(self._core.archive, self._view, [str(thread) for thread in thread_ids], strategy)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See BaseCheckpointSaver. Reads each segment of the way once, however many checkpoints it holds."""
        return self._histories(self._core.home.wait(self._history(config, channels), "get_delta_channel_history"))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See `get_delta_channel_history`."""
        return self._histories(await self._core.home.call(self._history(config, channels)))

    async def _history(self, config: RunnableConfig, channels: Sequence[str]) -> Mapping[str, Folded]:
        if not channels:
            return {}
        log = self._core.archive.log(*_place(config))
        head = await log.read(self._view)
        if head is None:
            return {channel: Folded((), None) for channel in channels}
        return await delta_history(log, head, get_checkpoint_id(config), channels)

    def _histories(self, found: Mapping[str, Folded]) -> Mapping[str, DeltaChannelHistory]:
        loads = self._plain.loads_typed
        histories = {}
        for channel, folded in found.items():
            history: DeltaChannelHistory = {"writes": [(task, channel, loads(typed)) for task, typed in folded.writes]}
            if folded.seed is not None:
                history["seed"] = loads(folded.seed)
            histories[channel] = history
        return histories

    # Life cycle

    def close(self) -> None:
        """Wait for what is under way and, if this saver opened the store, close it. A second call does nothing."""
        self._core.home.wait(self._end(), "close")
        self._core.home.leave()

    async def aclose(self) -> None:
        """See `close`."""
        await self._core.home.call(self._end())
        self._core.home.leave()

    async def _end(self) -> None:
        await self._core.archive.settle()
        if self._owns_store:
            await self._core.store.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._core.home.settle_on(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _place(config: RunnableConfig) -> tuple[str, str]:
    at = config.get("configurable") or {}
    if "thread_id" not in at:
        raise InvalidRequest("configurable.thread_id is missing: pass config={'configurable': {'thread_id': …}}")
    return str(at["thread_id"]), at.get("checkpoint_ns") or ""


def _config(thread: str, namespace: str, checkpoint: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint}}


def _policy(name: str) -> ConflictPolicy:
    if name not in {ConflictPolicy.FENCE, ConflictPolicy.MERGE}:
        raise InvalidRequest(f"on_conflict={name!r} is unknown: expected 'fence' or 'merge'")
    return ConflictPolicy(name)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
