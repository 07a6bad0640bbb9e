"""How the tests speak to a saver."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, empty_checkpoint

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints.sealing import Limits

Savers = Callable[..., BlobCheckpointSaver]

TINY = Limits(
    inline=64,
    seal_bytes=500,
    seal_records=3,
    keep=1,
    chain_links=4,
    chain_segments=3,
    largest_splice=4096,
    fan=2,
    linger=0,
)
"""Everything that happens in long threads only happens here within a few steps."""

_VERSIONS = count(1)

SMALL = Limits(inline=256, seal_bytes=4000, seal_records=20, keep=3, fan=2, chain_segments=4, linger=0)


def at(thread: str, namespace: str = "", checkpoint: str | None = None) -> RunnableConfig:
    """The config that names a checkpoint, or the latest."""
    named = {"thread_id": thread, "checkpoint_ns": namespace}
    return {"configurable": named if checkpoint is None else {**named, "checkpoint_id": checkpoint}}


def made(values: Mapping[str, Any] | None = None, id_: str | None = None, **versions: Any) -> Checkpoint:
    """A checkpoint with these values, each at a version never used before unless `versions` say else."""
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = dict(values or {})
    checkpoint["channel_versions"] = versions or dict.fromkeys(values or {}, next(_VERSIONS))
    if id_ is not None:
        checkpoint["id"] = id_
    return checkpoint


async def put(
    saver: BaseCheckpointSaver[Any],
    thread: str,
    values: Mapping[str, Any] | None = None,
    *,
    namespace: str = "",
    parent: str | None = None,
    id_: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    **versions: Any,
) -> RunnableConfig:
    """Store a checkpoint all of whose values are new."""
    checkpoint = made(values, id_, **versions)
    told: Any = {"source": "loop", "step": 0, "parents": {}, **(metadata or {})}
    return await saver.aput(at(thread, namespace, parent), checkpoint, told, checkpoint["channel_versions"])


def id_of(config: RunnableConfig) -> str:
    """The checkpoint a config names."""
    id_: str = config["configurable"]["checkpoint_id"]
    return id_
