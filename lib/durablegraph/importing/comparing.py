"""What one checkpoint holds, told alike for every saver, and what two savers' copies of it have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple

from durablegraph.errors import InvalidRequest

Write = tuple[str, Any]
"""Channel and value."""


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint of a thread; sorted by id, which grows with time."""

    id: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint as it is kept. `writes` are what each task left pending, in the order it left it."""

    parent: str | None
    checkpoint: Mapping[str, Any]
    metadata: Mapping[str, Any]
    writes: Mapping[str, tuple[Write, ...]]


class Likeness(Enum):
    """How the target's copy of a checkpoint compares with the source's."""

    SAME = "same"
    BEHIND = "behind"
    """Some writes are missing, and nothing is there that the source does not have."""
    AHEAD = "ahead"
    """All of the source's writes are there, and more: the run went on here."""
    OTHER = "other"


def kept(found: CheckpointTuple) -> Kept:
    """What a saver answered, with channel versions as ours are."""
    checkpoint: dict[str, Any] = {**found.checkpoint}
    seen = checkpoint.get("versions_seen") or {}
    checkpoint["channel_versions"] = _versions(checkpoint["channel_versions"])
    checkpoint["versions_seen"] = {node: _versions(versions) for node, versions in seen.items()}
    writes: dict[str, tuple[Write, ...]] = {}
    for task, channel, value in found.pending_writes or ():
        writes[task] = (*writes.get(task, ()), (channel, value))
    parent = found.parent_config["configurable"]["checkpoint_id"] if found.parent_config else None
    return Kept(parent, checkpoint, dict(found.metadata), writes)


def likeness(theirs: Kept, ours: Kept) -> Likeness:
    """How `ours` compares."""
    if (theirs.parent, theirs.checkpoint, theirs.metadata) != (ours.parent, ours.checkpoint, ours.metadata):
        return Likeness.OTHER
    match _within(ours, theirs), _within(theirs, ours):
        case True, True:
            alike = all(_same(ours.writes[task], theirs.writes[task]) for task in theirs.writes)
            return Likeness.SAME if alike else Likeness.OTHER
        case True, False:
            return Likeness.BEHIND
        case False, True:
            return Likeness.AHEAD
        case _:
            return Likeness.OTHER


def _within(one: Kept, other: Kept) -> bool:
    """Whether all that tasks left in `one` they left in `other` too."""
    return all(
        task in other.writes and all(write in other.writes[task] for write in writes)
        for task, writes in one.writes.items()
    )


def difference(theirs: Kept, ours: Kept) -> str:
    """The first thing in which two copies differ, in words."""
    for name in ("parent", "metadata"):
        if getattr(theirs, name) != getattr(ours, name):
            return f"{name} is {getattr(ours, name)!r} here and {getattr(theirs, name)!r} there"
    for name in sorted(theirs.checkpoint.keys() | ours.checkpoint.keys()):
        if theirs.checkpoint.get(name) != ours.checkpoint.get(name):
            return f"its {name} differ"
    return "its pending writes differ"


def _same(one: tuple[Write, ...], other: tuple[Write, ...]) -> bool:
    """Whether a task's writes are the same: those to special channels have slots of their own and no order."""

    def ordered(writes: tuple[Write, ...]) -> list[Write]:
        plain = [write for write in writes if write[0] not in WRITES_IDX_MAP]
        return plain + sorted((write for write in writes if write[0] in WRITES_IDX_MAP), key=lambda write: write[0])

    return ordered(one) == ordered(other)


def _versions(versions: Mapping[str, Any]) -> dict[str, str]:
    return {channel: _version(version) for channel, version in versions.items()}


def _version(version: object) -> str:
    """A version as text that our saver can count on from; some savers count in whole numbers."""
    if isinstance(version, int) and not isinstance(version, bool):
        return f"{version:032}.0"
    if isinstance(version, str) and version.split(".", 1)[0].isdecimal():
        return version
    raise InvalidRequest(
        f"a channel has the version {version!r}; expected a whole number, or text that begins with one and sorts, "
        "as LangGraph's savers make them"
    )
