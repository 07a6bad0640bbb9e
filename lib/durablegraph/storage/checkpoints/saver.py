"""The checkpoint saver that LangGraph sees."""

import asyncio
import os
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, Self

from azure.storage.blob.aio import ContainerClient
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import get_checkpoint_id
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from durablegraph.storage.checkpoints import maintenance
from durablegraph.storage.checkpoints.archive import Archive
from durablegraph.storage.checkpoints.changes import PutCheckpoint, PutWrites
from durablegraph.storage.checkpoints.faces import TwoFacedSaver
from durablegraph.storage.checkpoints.fencing import ConflictPolicy, View
from durablegraph.storage.checkpoints.keeping import Reading, keep_last
from durablegraph.storage.checkpoints.material import Material
from durablegraph.storage.checkpoints.names import LogNames, names_of
from durablegraph.storage.checkpoints.objects import Shared
from durablegraph.storage.checkpoints.records import Folded
from durablegraph.storage.checkpoints.sealing import Limits
from durablegraph.storage.checkpoints.serde import AllowedTypes, StrictSerializer
from durablegraph.storage.checkpoints.sweeping import unreferenced
from durablegraph.storage.checkpoints.translation import matches, place, root_of, run_of
from durablegraph.storage.connections import DEFAULT_CONTAINER, SqliteConnection, saver_connection, string_connection
from durablegraph.storage.encryption.opening import protected
from durablegraph.storage.encryption.ring import KeyRing
from durablegraph.storage.home import Home, running_loop
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.opening import open_lent_store, open_store
from durablegraph.storage.prefixed import checked_prefix


class _Core:
    """What a saver, its views and its clones share. The archive belongs to one loop and is made anew on another."""

    def __init__(self, shared: Shared, home: Home) -> None:
        self.home = home
        self.store = shared.store
        self._shared = shared
        self._archive: tuple[asyncio.AbstractEventLoop, Archive] | None = None

    def log_names(self, thread: str, namespace: str) -> LogNames:
        return names_of(self._shared.prefix, thread, namespace)

    @property
    def archive(self) -> Archive:
        """To be asked for on the home loop only."""
        loop = asyncio.get_running_loop()
        if self._archive is None or self._archive[0] is not loop:
            shared = Shared(self.store, self._shared.prefix, self._shared.cipher, self._shared.limits)
            self._archive = loop, Archive(shared)
        return self._archive[1]


class BlobCheckpointSaver(TwoFacedSaver):
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
        shared = Shared(store, checked_prefix(prefix), cipher, limits or Limits())
        self._core = _Core(shared, Home(running_loop()))
        self._view = View(ConflictPolicy.named(on_conflict), pinned=False)
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
        encryption: KeyRing | None = None,
    ) -> Self:
        """A saver in a container of Azure Blob Storage, made at the first write. Nothing is requested before use.

        `connection` is a connection string or ``UseDevelopmentStorage=true`` (the emulator); `encryption` are the keys
        to encrypt everything under.
        """
        store = protected(open_store(string_connection(connection, container=container)), encryption)
        return cls._opened(store, prefix=prefix, serde=serde, allowed_types=allowed_types, on_conflict=on_conflict)

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        container: str = DEFAULT_CONTAINER,
        prefix: str = "",
        serde: SerializerProtocol | None = None,
        allowed_types: AllowedTypes = (),
        on_conflict: str = "fence",
        encryption: KeyRing | None = None,
    ) -> Self:
        """A saver on the account that the environment names (None: this process's).

        ``AZURE_STORAGE_CONNECTION_STRING`` comes first, then ``AzureWebJobsStorage``, then the settings of an identity.
        Raises ConfigurationError that names what is missing or wrong.
        """
        found = os.environ if environment is None else environment
        store = protected(open_store(saver_connection(found, container=container)), encryption)
        return cls._opened(store, prefix=prefix, serde=serde, allowed_types=allowed_types, on_conflict=on_conflict)

    @classmethod
    def from_container_client(
        cls,
        client: ContainerClient,
        *,
        prefix: str = "",
        serde: SerializerProtocol | None = None,
        allowed_types: AllowedTypes = (),
        on_conflict: str = "fence",
        encryption: KeyRing | None = None,
        create_container: bool = True,
    ) -> Self:
        """A saver on a prepared, asynchronous client of a container, with whatever credential, proxy or policy it has.

        The client stays the caller's: it is never closed here. It belongs to one event loop, and so does the saver:
        the one that runs now or enters it; its synchronous methods are then for other threads. A client that has not
        been used yet may be given without any loop; the saver's own thread uses it then.
        """
        store = protected(open_lent_store(client, create_container=create_container), encryption)
        return cls(
            store,
            prefix=prefix,
            serde=serde,
            allowed_types=allowed_types,
            on_conflict=on_conflict,
            owns_store=True,  # the store, not the client
        )

    @classmethod
    def from_path(
        cls,
        path: str | Path,
        *,
        prefix: str = "",
        serde: SerializerProtocol | None = None,
        allowed_types: AllowedTypes = (),
        on_conflict: str = "fence",
        encryption: KeyRing | None = None,
    ) -> Self:
        """A saver in one SQLite file, which may be used by several processes; made at the first write.

        `encryption` are the keys to encrypt everything under.
        """
        store = protected(open_store(SqliteConnection(Path(path))), encryption)
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
        view = View(ConflictPolicy.SHARE if shared else ConflictPolicy.FENCE, pinned=True)
        for thread, token in (heads or {}).items():
            view.trust(self._core.log_names(thread, "").head, bytes.fromhex(token))
        clone = object.__new__(type(self))
        clone.__dict__.update(self.__dict__, _view=view, _owns_store=False)
        return clone

    def head_token(self, thread_id: str) -> str | None:
        """The newest commit of the thread's root namespace that this saver read or made, to be given to `attempt`."""
        known = self._view.seen(self._core.log_names(str(thread_id), "").head)
        return None if known is None else known.commit.hex()

    @property
    def _home(self) -> Home:
        return self._core.home

    async def _find(self, config: RunnableConfig) -> Material | None:
        wanted = get_checkpoint_id(config)
        if wanted:
            return await self._core.archive.by_id(self._view, *place(config), wanted)
        return await self._core.archive.latest(self._view, *place(config))

    async def _walk(
        self,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> AsyncGenerator[Material, None]:
        archive, left = self._core.archive, limit
        logs, only = await self._logs(config), get_checkpoint_id(config) if config else None
        end, accepts = get_checkpoint_id(before) if before else None, partial(matches, self._plain, wanted)
        for group in [logs] if config else [[log] for log in logs]:
            if left is not None and left <= 0:
                return
            async with aclosing(archive.materials(self._view, group, end, only, accepts)) as found:
                async for one in found:
                    yield one
                    left = None if left is None else left - 1
                    if left == 0:
                        return

    async def _logs(self, config: RunnableConfig | None) -> Sequence[tuple[str, str]]:
        if config is None:
            return await self._core.archive.namespaces(None)
        thread, namespace = place(config)
        if config["configurable"].get("checkpoint_ns") is not None:
            return [(thread, namespace)]
        return await self._core.archive.namespaces(thread)

    async def _commit(self, config: RunnableConfig, change: PutCheckpoint | PutWrites) -> None:
        if isinstance(change, PutCheckpoint):
            await self._core.archive.put(self._view, *place(config), change)
        else:
            await self._core.archive.put_writes(self._view, *place(config), change)

    async def _delete_thread(self, thread: str) -> None:
        await maintenance.delete_thread(self._core.archive, self._view, thread)

    async def _delete_for_runs(self, runs: Sequence[str]) -> None:
        await maintenance.delete_for_runs(self._core.archive, self._view, runs)

    async def _copy_thread(self, source: str, target: str) -> None:
        await maintenance.copy_thread(self._core.archive, source, target)

    async def _prune(self, threads: Sequence[str], strategy: str) -> None:
        await maintenance.prune(self._core.archive, self._view, threads, strategy)

    async def akeep_last(self, thread_id: str, count: int, *, run_key: str = "run_id") -> bool:
        """Remove all but the newest `count` checkpoints of a thread; False when there were no more.

        What later work may need stays beside them: the last checkpoint before their run, the subgraphs of all these,
        and what delta channels are rebuilt from. `run_key` is the member of the metadata that tells the run. Safe while
        others write: who builds on the head from before is refused. Repeating it is harmless.
        """
        return await self._core.home.call(self._keep_last(thread_id, count, run_key))

    async def aunreferenced(self, path: str, listed: Collection[str], *, move: bool) -> set[str] | None:
        """The objects of `listed` that nothing refers to, in the log with this path; see `sweeping`."""
        return await self._core.home.call(self._unreferenced(path, listed, move=move))

    async def _unreferenced(self, path: str, listed: Collection[str], *, move: bool) -> set[str] | None:
        return await unreferenced(self._core.archive, path, listed, move=move)

    async def _keep_last(self, thread: str, count: int, run_key: str) -> bool:
        reading = Reading(partial(root_of, self._plain), partial(run_of, self._plain, run_key))
        return await keep_last(self._core.archive, self._view, thread, count, reading)

    async def _history(self, config: RunnableConfig, channels: Sequence[str]) -> Mapping[str, Folded]:
        if not channels:
            return {}
        return await self._core.archive.history(self._view, *place(config), get_checkpoint_id(config), channels)

    async def _end(self) -> None:
        await self._core.archive.settle()
        if self._owns_store:
            await self._core.store.aclose()
