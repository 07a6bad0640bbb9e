"""The history of LangGraph's delta channels: the writes that rebuild a value that no checkpoint holds.

State is the value at the nearest ancestor that has one, and every write to the channel since, in LangGraph's order. A
prune folds that history into the checkpoint it keeps, so that nothing is lost with the ancestors.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from langgraph.checkpoint.base import writes_sort_key

from durablegraph.storage.checkpoints.log import Log
from durablegraph.storage.checkpoints.records import Folded, Typed
from durablegraph.storage.checkpoints.search import Found, find
from durablegraph.storage.checkpoints.segment import Segment
from durablegraph.storage.checkpoints.values import ValueReader


@dataclass(slots=True)
class _Walk:
    """What has been found for one channel so far, newest first."""

    writes: list[tuple[str, Typed]] = field(default_factory=list)
    seed: Typed | None = None

    def result(self) -> Folded:
        return Folded(tuple(reversed(self.writes)), self.seed)


async def delta_history(
    log: Log, head: Segment, checkpoint: str | None, channels: Sequence[str]
) -> Mapping[str, Folded]:
    """Each channel's writes on the way from its seed to `checkpoint` (None: the latest), its own excluded."""
    walks = {channel: _Walk() for channel in channels}
    tip = head.tip
    target = checkpoint or (None if tip is None else tip.id)
    if target is None:
        return {channel: walk.result() for channel, walk in walks.items()}
    reader = ValueReader(log.objects)
    remaining = set(channels)
    found = await find(log.objects, head, target)
    passed = {target}
    _unfold(found, walks, remaining)
    while remaining and found.record is not None and (parent := found.record.parent) is not None:
        if parent in passed:  # no saver makes a circle of parents, but a caller can
            break
        passed.add(parent)
        found = await find(log.objects, head, parent)
        await _visit(found, walks, remaining, reader)
    return {channel: walk.result() for channel, walk in walks.items()}


async def _visit(found: Found, walks: Mapping[str, _Walk], remaining: set[str], reader: ValueReader) -> None:
    home, record = found.home, found.record
    if home is None or record is None:
        return
    ordered = sorted(found.writes().items(), key=lambda item: writes_sort_key(item[1].path, *item[0]), reverse=True)
    for (task, _), write in ordered:
        if write.channel in remaining:
            walks[write.channel].writes.append((task, await reader.of_entry(write.entry)))
    for channel in list(remaining):
        version = record.versions.get(channel)
        value = None if version is None else await reader.of_channel(home, channel, version)
        if value is not None:
            walks[channel].seed = value
            remaining.discard(channel)
    _unfold(found, walks, remaining)


def _unfold(found: Found, walks: Mapping[str, _Walk], remaining: set[str]) -> None:
    """Go on with what a prune folded into this checkpoint."""
    folded = {} if found.home is None else found.home.base.folded.get(found.id, {})
    for channel in _known(folded, remaining):
        walks[channel].writes += reversed(folded[channel].writes)
        walks[channel].seed = folded[channel].seed
        remaining.discard(channel)


def _known(folded: Mapping[str, Folded], remaining: set[str]) -> Iterable[str]:
    return [channel for channel in remaining if channel in folded]
