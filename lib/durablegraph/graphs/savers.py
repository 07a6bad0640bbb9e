"""A graph's own checkpoint saver, in the place of ours: opened once per worker, set up once, usable asynchronously.

Any `BaseCheckpointSaver` will do. What ours does and others do not is fencing: their heads are compared before a save
and not together with it. `docs/how-to/bring-another-saver.md` says what that means.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import override

from durablegraph.errors import ConfigurationError, TransientError
from durablegraph.graphs.internals import Graph
from durablegraph.graphs.loader import called, entered, kind_of

_SETUPS = 3
"""Workers that start together may set up the same tables, and one of them may be told that they exist already."""

_NOBODY: RunnableConfig = {"configurable": {"thread_id": "durablegraph-probe", "checkpoint_ns": ""}}


def lasting(graph: Graph) -> BaseCheckpointSaver[Any] | None:
    """The saver that a graph was compiled with, unless it forgets everything when the process ends."""
    own = graph.checkpointer
    return own if isinstance(own, BaseCheckpointSaver) and not isinstance(own, InMemorySaver) else None


async def opened(what: str, found: object, stack: AsyncExitStack) -> BaseCheckpointSaver[Any]:
    """The saver that `found` is or makes, ready for asynchronous use. To be called once per worker.

    `found` is a saver, an (async) context manager that gives one, or a function that returns either. What is entered is
    entered on `stack`. Raises ConfigurationError for something else, and TransientError where the saver's service does
    not answer: then the call may be repeated.
    """
    made = found
    if callable(found) and not isinstance(found, BaseCheckpointSaver):
        made = await called(what, found, stack)
    made = await entered(made, stack)
    if isinstance(made, InMemorySaver):
        raise ConfigurationError(
            f"{what} is an {type(made).__name__}, which forgets everything when a worker ends; expected one that "
            "lasts, such as AsyncPostgresSaver. Leave it out to use the app's own storage."
        )
    if not isinstance(made, BaseCheckpointSaver):
        raise ConfigurationError(
            f"{what} is {kind_of(made)}; expected a BaseCheckpointSaver, or a function or (async) context manager that "
            "gives one."
        )
    await _set_up(what, made)
    return await asynchronous(what, made)


async def _set_up(what: str, saver: Any) -> None:
    """Call `setup` if there is one; savers document that it may be called again."""
    setup: Callable[[], Any] | None = getattr(saver, "setup", None)
    if setup is None:
        return
    for left in reversed(range(_SETUPS)):
        try:
            if inspect.iscoroutinefunction(setup):
                await setup()
            else:
                await asyncio.to_thread(setup)
        except Exception as error:  # drivers raise errors of their own
            if not left:
                raise TransientError(
                    f"{what}: setup() of its {type(saver).__name__} raised {type(error).__name__}: {error}. "
                    "Is the service reachable, and may this app make tables there?"
                ) from error
            await asyncio.sleep(0.1)
        else:
            return


async def asynchronous(what: str, saver: BaseCheckpointSaver[Any]) -> BaseCheckpointSaver[Any]:
    """The saver itself if it answers asynchronously, else one that calls its synchronous methods in threads."""
    try:
        await saver.aget_tuple(_NOBODY)
    except NotImplementedError:
        return in_threads(saver)
    except Exception as error:  # drivers raise errors of their own
        raise TransientError(
            f"{what}: its {type(saver).__name__} cannot be read: {type(error).__name__}: {error}. "
            "Is the service reachable, and are its tables set up?"
        ) from error
    return saver


def in_threads(saver: BaseCheckpointSaver[Any]) -> BaseCheckpointSaver[Any]:
    """The same saver (same attributes, same class for `isinstance`), its asynchronous methods made of the others."""
    kind: Any = type(saver)
    made = object.__new__(_threaded_class(kind))
    made.__dict__ = saver.__dict__
    return made


@lru_cache(maxsize=64)
def _threaded_class(kind: type[BaseCheckpointSaver[Any]]) -> "type[_Threaded]":
    made = type(kind.__name__, (_Threaded, kind), {"__module__": kind.__module__})
    assert issubclass(made, _Threaded)  # noqa: S101 -- tells the type checker what was just made
    return made


class _Threaded(BaseCheckpointSaver[Any]):
    """Goes before the class of a saver that is only synchronous."""

    @override
    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await asyncio.to_thread(self.get_tuple, config)

    @override
    async def alist(self, config: RunnableConfig | None, **options: Any) -> AsyncIterator[CheckpointTuple]:
        # Read to the end in one thread: such savers hold a lock while they list.
        for found in await asyncio.to_thread(lambda: [*self.list(config, **options)]):
            yield found

    @override
    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    @override
    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    @override
    async def adelete_thread(self, thread_id: str) -> None:
        await asyncio.to_thread(self.delete_thread, thread_id)

    @override
    async def aget_delta_channel_history(self, *, config: RunnableConfig, channels: Sequence[str]) -> Any:
        return await asyncio.to_thread(lambda: self.get_delta_channel_history(config=config, channels=channels))
