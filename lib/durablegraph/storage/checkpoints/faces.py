"""The two faces of a saver, as LangGraph's interface demands: each method synchronous and asynchronous, over one core.

The asynchronous face may be used on any event loop, the synchronous one in any thread but the home loop's (see `home`).
"""

import asyncio
import random
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from durablegraph.storage.checkpoints import clockwork, translation
from durablegraph.storage.checkpoints.changes import PutCheckpoint, PutWrites
from durablegraph.storage.checkpoints.material import Material
from durablegraph.storage.checkpoints.records import Folded
from durablegraph.storage.home import Home


class TwoFacedSaver(BaseCheckpointSaver[str]):
    """Everything LangGraph calls, and closing, on top of coroutines that run on the home loop."""

    @property
    @abstractmethod
    def _home(self) -> Home:
        """Where the coroutines run."""

    @abstractmethod
    async def _find(self, config: RunnableConfig) -> Material | None: ...

    @abstractmethod
    def _walk(
        self,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> AsyncGenerator[Material, None]: ...

    @abstractmethod
    async def _commit(self, config: RunnableConfig, change: PutCheckpoint | PutWrites) -> None: ...

    @abstractmethod
    async def _delete_thread(self, thread: str) -> None: ...

    @abstractmethod
    async def _delete_for_runs(self, runs: Sequence[str]) -> None: ...

    @abstractmethod
    async def _copy_thread(self, source: str, target: str) -> None: ...

    @abstractmethod
    async def _prune(self, threads: Sequence[str], strategy: str) -> None: ...

    @abstractmethod
    async def _history(self, config: RunnableConfig, channels: Sequence[str]) -> Mapping[str, Folded]: ...

    @abstractmethod
    async def _end(self) -> None: ...

    @property
    def _plain(self) -> SerializerProtocol:
        """The serialiser below the encryption, which is applied after compression, to whole objects."""
        return self.serde.serde if isinstance(self.serde, EncryptedSerializer) else self.serde

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See BaseCheckpointSaver."""
        return self._tuple(config, self._home.wait(self._find(config), "get_tuple"))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See BaseCheckpointSaver. One request, and one for each large value."""
        return self._tuple(config, await self._home.call(self._find(config)))

    def _tuple(self, config: RunnableConfig, found: Material | None) -> CheckpointTuple | None:
        if found is None:
            return None
        if get_checkpoint_id(config):
            return translation.to_tuple(self._plain, found)._replace(config=config)
        clockwork.move_past(found.record.id)
        return translation.to_tuple(self._plain, found)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """See BaseCheckpointSaver. Without `checkpoint_ns` all namespaces, merged; without config all threads."""
        found = self._home.iterate(partial(self._walk, config, filter, before, limit), "list")
        return map(partial(translation.to_tuple, self._plain), found)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """See `list`."""
        async for found in self._home.stream(partial(self._walk, config, filter, before, limit)):
            yield translation.to_tuple(self._plain, found)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See `aput`."""
        change = translation.to_checkpoint(self._plain, config, checkpoint, metadata, new_versions)
        self._home.wait(self._commit(config, change), "put")
        return translation.at(*translation.place(config), change.id)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See BaseCheckpointSaver. Durable when it returns; raises ConcurrentWriterError. Repeating it is harmless."""
        change = translation.to_checkpoint(self._plain, config, checkpoint, metadata, new_versions)
        await self._home.call(self._commit(config, change))
        return translation.at(*translation.place(config), change.id)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See `aput_writes`."""
        change = translation.to_writes(self._plain, config, writes, task_id, task_path)
        self._home.wait(self._commit(config, change), "put_writes")

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See BaseCheckpointSaver.

        A task's output is one record: if the task has output stored already, none of the new one is. The special
        channels (error, interrupt, resume) are replaced.
        """
        change = translation.to_writes(self._plain, config, writes, task_id, task_path)
        await self._home.call(self._commit(config, change))

    def delete_thread(self, thread_id: str) -> None:
        """See BaseCheckpointSaver. All of it is gone, the objects too."""
        self._home.wait(self._delete_thread(str(thread_id)), "delete_thread")

    async def adelete_thread(self, thread_id: str) -> None:
        """See `delete_thread`."""
        await self._home.call(self._delete_thread(str(thread_id)))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See BaseCheckpointSaver. Follows markers, so it costs what the runs left, not a scan.

        Writes stay in the log until a prune, so that delta channels of later checkpoints can still be rebuilt.
        """
        self._home.wait(self._delete_for_runs([str(run) for run in run_ids]), "delete_for_runs")

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See `delete_for_runs`."""
        await self._home.call(self._delete_for_runs([str(run) for run in run_ids]))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See BaseCheckpointSaver. Raises Conflict when the target has checkpoints already."""
        self._home.wait(self._copy_thread(str(source_thread_id), str(target_thread_id)), "copy_thread")

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See `copy_thread`."""
        await self._home.call(self._copy_thread(str(source_thread_id), str(target_thread_id)))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See BaseCheckpointSaver. Keeping the latest keeps what its delta channels are rebuilt from."""
        self._home.wait(self._prune([str(thread) for thread in thread_ids], strategy), "prune")

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See `prune`."""
        await self._home.call(self._prune([str(thread) for thread in thread_ids], strategy))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See BaseCheckpointSaver. Reads each segment of the way once, however many checkpoints it holds."""
        found = self._home.wait(self._history(config, channels), "get_delta_channel_history")
        return translation.to_histories(self._plain, found)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See `get_delta_channel_history`."""
        return translation.to_histories(self._plain, await self._home.call(self._history(config, channels)))

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Versions that sort as text; the random part keeps the versions of two branches apart."""
        del channel
        number = 0 if current is None else int(str(current).split(".", 1)[0])
        return f"{number + 1:032}.{random.random():.16f}"  # noqa: S311 -- no secret

    def close(self) -> None:
        """Wait for what is under way and, if this saver opened the store, close it. A second call does nothing."""
        self._home.wait(self._end(), "close")
        self._home.leave()

    async def aclose(self) -> None:
        """See `close`."""
        await self._home.call(self._end())
        self._home.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._home.settle_on(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
