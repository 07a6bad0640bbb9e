"""Copies one thread from one saver to another: what is missing, oldest first, and then looks whether it arrived.

A copy that was cut short is completed by the next call, and a thread that is there is left alone: what both sides hold
decides, nothing else is remembered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from durablegraph.importing.comparing import Kept, Likeness, Place, difference, kept, likeness

Saver = BaseCheckpointSaver[Any]


class Outcome(StrEnum):
    """What became of a thread."""

    COPIED = "copied"
    COMPLETED = "completed"
    PRESENT = "present"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a thread: how many checkpoints and tasks' writes were copied (or would be), and why not."""

    thread: str
    outcome: Outcome
    checkpoints: int = 0
    writes: int = 0
    reason: str = ""
    span: tuple[str, str] | None = None
    """When its oldest and its newest checkpoint were made, as the source says."""

    @property
    def well(self) -> bool:
        """Whether the thread is in the target now, whole."""
        return self.outcome in {Outcome.COPIED, Outcome.COMPLETED, Outcome.PRESENT}


@dataclass(frozen=True, slots=True)
class _Work:
    """What is missing in the target: whole checkpoints, and writes of checkpoints that are there; oldest first."""

    missing: tuple[Place, ...]
    behind: tuple[Place, ...]
    known: int


async def copy_thread(theirs: Saver, fresh: Callable[[], Saver], thread: str, *, dry_run: bool) -> Report:
    """Make a thread of ours what it is in `theirs`; says what was done.

    `fresh` gives a saver of ours that remembers nothing, so that what was written is really read again.
    """
    ours = fresh()
    source = await _places(theirs, thread)
    if not source:
        return Report(thread, Outcome.REFUSED, reason="the source has no such thread")
    work = await _compared(theirs, ours, thread, source, await _places(ours, thread))
    span = (await _time(theirs, thread, source[0]), await _time(theirs, thread, source[-1]))
    if isinstance(work, str):
        return Report(thread, Outcome.REFUSED, reason=work)
    if not work.missing and not work.behind:
        return Report(thread, Outcome.PRESENT, span=span)
    writes = 0
    for place in (*work.behind, *work.missing):
        found = await _kept(theirs, thread, place)
        if not dry_run:
            await _put(theirs, ours, thread, place, found, whole=place in work.missing)
        writes += len(found.writes)
    if not dry_run and (wrong := await _verified(theirs, fresh(), thread, (*work.behind, *work.missing))):
        return Report(thread, Outcome.FAILED, len(work.missing), writes, wrong)
    outcome = Outcome.COMPLETED if work.known else Outcome.COPIED
    return Report(thread, outcome, len(work.missing), writes, span=span)


async def _compared(theirs: Saver, ours: Saver, thread: str, source: list[Place], target: list[Place]) -> _Work | str:
    """What is to be copied, or why nothing may be."""
    known, extra = set(target), set(target) - set(source)
    missing = tuple(place for place in source if place not in known)
    if missing and extra:
        return f"another thread of this id is here: it has checkpoint {min(each.id for each in extra)}, the source not"
    behind = []
    for place in source:
        if place not in known:
            continue
        one, other = await _kept(theirs, thread, place), await _kept(ours, thread, place)
        match likeness(one, other):
            case Likeness.OTHER:
                return f"another thread of this id is here: of checkpoint {place.id}, {difference(one, other)}"
            case Likeness.BEHIND if extra:
                return f"a run went on here from checkpoint {place.id} without writes that the source has"
            case Likeness.BEHIND:
                behind.append(place)
            case Likeness.SAME | Likeness.AHEAD:
                pass
    return _Work(missing, tuple(behind), len(known))


async def _put(theirs: Saver, ours: Saver, thread: str, place: Place, found: Kept, *, whole: bool) -> None:
    at = _config(thread, place)
    if whole:
        before = await _versions_of_parent(theirs, thread, place, found)
        versions: Mapping[str, Any] = found.checkpoint["channel_versions"]
        new = {channel: version for channel, version in versions.items() if before.get(channel) != version}
        parent = {} if found.parent is None else {"checkpoint_id": found.parent}
        here: Any = {"thread_id": thread, "checkpoint_ns": place.namespace, **parent}
        checkpoint: Any = dict(found.checkpoint)
        metadata: Any = dict(found.metadata)
        await ours.aput({"configurable": here}, checkpoint, metadata, new)
    for number, (task, writes) in enumerate(found.writes.items()):
        await ours.aput_writes(at, writes, task, _path(number))


def _path(number: int) -> str:
    """A task path that keeps the order in which the source tells of tasks: no saver tells the path itself.

    The order counts where several tasks of one super-step write to a delta channel (`writes_sort_key`).
    """
    return f"{number:08}"


async def _versions_of_parent(theirs: Saver, thread: str, place: Place, found: Kept) -> Mapping[str, Any]:
    """The channel versions of the checkpoint before: only what changed since is new; none when it is not there."""
    if found.parent is None:
        return {}
    before = await theirs.aget_tuple(_config(thread, Place(found.parent, place.namespace)))
    versions: Mapping[str, Any] = kept(before).checkpoint["channel_versions"] if before else {}
    return versions


async def _verified(theirs: Saver, ours: Saver, thread: str, places: tuple[Place, ...]) -> str:
    """Why the copy is not what the source has; empty when it is."""
    for place in places:
        found = await ours.aget_tuple(_config(thread, place))
        if found is None:
            return f"checkpoint {place.id} was written but is not there"
        one, other = await _kept(theirs, thread, place), kept(found)
        if likeness(one, other) is not Likeness.SAME:
            return f"checkpoint {place.id} was copied but is not the same: {difference(one, other)}"
    return ""


async def _places(saver: Saver, thread: str) -> list[Place]:
    """All checkpoints of all namespaces, oldest first."""
    found = [
        Place(each.config["configurable"]["checkpoint_id"], each.config["configurable"].get("checkpoint_ns", ""))
        async for each in saver.alist({"configurable": {"thread_id": thread}})
    ]
    return sorted(found, key=lambda place: (place.id, place.namespace))


async def _kept(saver: Saver, thread: str, place: Place) -> Kept:
    found = await saver.aget_tuple(_config(thread, place))
    if found is None:
        raise LookupError(f"checkpoint {place.id} was listed but is gone: is a run going on there?")
    return kept(found)


async def _time(saver: Saver, thread: str, place: Place) -> str:
    return str((await _kept(saver, thread, place)).checkpoint.get("ts", ""))


def _config(thread: str, place: Place) -> RunnableConfig:
    return {
        "configurable": {"thread_id": thread, "checkpoint_ns": place.namespace, "checkpoint_id": place.id},
    }
