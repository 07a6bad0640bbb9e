"""One checkpoint with everything that belongs to it, still serialised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langgraph.checkpoint.base import writes_sort_key

from durablegraph.storage.checkpoints.errors import CorruptCheckpoint
from durablegraph.storage.checkpoints.log import Log
from durablegraph.storage.checkpoints.records import StoredCheckpoint, Typed
from durablegraph.storage.checkpoints.search import Found
from durablegraph.storage.checkpoints.values import ValueReader


@dataclass(frozen=True, slots=True)
class Material:
    """Everything of one checkpoint, serialised; `writes` are (task, channel, value) in LangGraph's order."""

    thread: str
    namespace: str
    record: StoredCheckpoint
    values: Mapping[str, Typed]
    writes: Sequence[tuple[str, str, Typed]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A checkpoint met on a walk; its values are read only when it is wanted."""

    log: Log
    found: Found
    record: StoredCheckpoint
    reader: ValueReader

    async def material(self) -> Material:
        """All of it."""
        return await material(self.log, self.found, self.reader)


async def material(log: Log, found: Found, reader: ValueReader) -> Material:
    """All of a checkpoint that was found; raises CorruptCheckpoint when a part of it is missing or damaged."""
    home, record = found.home, found.record
    if home is None or record is None:
        raise CorruptCheckpoint(f"checkpoint {found.id} has writes but is itself missing")
    writes = sorted(found.writes().items(), key=lambda item: writes_sort_key(item[1].path, *item[0]))
    await reader.fetch(home, record.versions, (write.entry for _, write in writes))
    values = {}
    for channel, version in record.versions.items():
        typed = await reader.of_channel(home, channel, version)
        if typed is not None:
            values[channel] = typed
            log.remember(home, channel, version, typed)
    pending = [(task, write.channel, await reader.of_entry(write.entry)) for (task, _), write in writes]
    return Material(log.names.thread, log.names.namespace, record, values, pending)
