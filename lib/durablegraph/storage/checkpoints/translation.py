"""Between LangGraph's objects and what the log stores."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from durablegraph.errors import InvalidRequest
from durablegraph.storage.checkpoints.changes import PutCheckpoint, PutWrites
from durablegraph.storage.checkpoints.fencing import Replaces
from durablegraph.storage.checkpoints.material import Material
from durablegraph.storage.checkpoints.records import Folded, Typed

EXPECTED_HEAD: Final = "__durablegraph_expected_head"
"""Key in `configurable` of a put: the only checkpoint id (or None) that may be the latest when it commits."""


def place(config: RunnableConfig) -> tuple[str, str]:
    """The thread and the namespace that a config names; raises InvalidRequest without a thread."""
    named = config.get("configurable") or {}
    if "thread_id" not in named:
        raise InvalidRequest("configurable.thread_id is missing: pass config={'configurable': {'thread_id': …}}")
    return str(named["thread_id"]), named.get("checkpoint_ns") or ""


def at(thread: str, namespace: str, checkpoint: str) -> RunnableConfig:
    """The config that names one checkpoint."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint}}


def to_tuple(serde: SerializerProtocol, found: Material) -> CheckpointTuple:
    """What get_tuple and list answer with."""
    loads, record = serde.loads_typed, found.record
    checkpoint: Checkpoint = loads(record.skeleton)
    checkpoint["channel_versions"] = dict(record.versions)
    checkpoint["channel_values"] = {channel: loads(typed) for channel, typed in found.values.items()}
    here = partial(at, found.thread, found.namespace)
    return CheckpointTuple(
        here(record.id),
        checkpoint,
        loads(record.metadata),
        here(record.parent) if record.parent else None,
        [(task, channel, loads(typed)) for task, channel, typed in found.writes],
    )


def matches(serde: SerializerProtocol, wanted: Mapping[str, Any] | None, metadata: Typed) -> bool:
    """Whether metadata has all the values that a filter names."""
    if not wanted:
        return True
    found = serde.loads_typed(metadata)
    return all(found.get(key) == value for key, value in wanted.items())


def root_of(serde: SerializerProtocol, metadata: Typed) -> str | None:
    """The root namespace's checkpoint during which a subgraph made one with these metadata."""
    root = serde.loads_typed(metadata).get("parents", {}).get("")
    return None if root is None else str(root)


def run_of(serde: SerializerProtocol, key: str, metadata: Typed) -> object:
    """The run that made the checkpoint with these metadata, which name it under `key`."""
    return serde.loads_typed(metadata).get(key)


def to_checkpoint(
    serde: SerializerProtocol,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
) -> PutCheckpoint:
    """The change that a put asks for. What is new is serialised now: the caller may go on to change it."""
    dumps, named = serde.dumps_typed, config["configurable"]
    skeleton: dict[str, Any] = {**checkpoint}
    values, versions = skeleton.pop("channel_values", {}), skeleton.pop("channel_versions", {})
    told = get_checkpoint_metadata(config, metadata)
    run = told.get("run_id")
    ready = {channel: dumps(value) for channel, value in values.items() if channel in new_versions}
    return PutCheckpoint(
        id=checkpoint["id"],
        parent=named.get("checkpoint_id"),
        versions={**versions, **new_versions},
        skeleton=dumps(skeleton),
        metadata=dumps(told),
        values={
            channel: partial(ready.__getitem__, channel) if channel in ready else partial(dumps, value)
            for channel, value in values.items()
        },
        new=frozenset(new_versions),
        run=str(run) if run else None,
        deltas=tuple(told.get("counters_since_delta_snapshot") or ()),
        replaces=Replaces(named[EXPECTED_HEAD]) if EXPECTED_HEAD in named else None,
    )


def to_writes(
    serde: SerializerProtocol, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
) -> PutWrites:
    """The change that a put_writes asks for."""
    checkpoint = get_checkpoint_id(config)
    if not checkpoint:
        raise InvalidRequest("configurable.checkpoint_id is missing: put_writes needs the checkpoint the writes follow")
    indexed = ((WRITES_IDX_MAP.get(channel, n), channel, value) for n, (channel, value) in enumerate(writes))
    stored = tuple((index, channel, serde.dumps_typed(value)) for index, channel, value in indexed)
    return PutWrites(checkpoint, task_id, task_path, stored)


def to_histories(serde: SerializerProtocol, found: Mapping[str, Folded]) -> Mapping[str, DeltaChannelHistory]:
    """What get_delta_channel_history answers with."""
    loads, histories = serde.loads_typed, {}
    for channel, folded in found.items():
        history: DeltaChannelHistory = {"writes": [(task, channel, loads(typed)) for task, typed in folded.writes]}
        if folded.seed is not None:
            history["seed"] = loads(folded.seed)
        histories[channel] = history
    return histories
