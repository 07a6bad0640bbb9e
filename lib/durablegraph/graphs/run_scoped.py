"""Keeps the values of `UntrackedValue` channels from one super-step of a run to the next.

LangGraph keeps such a value in memory for one run and never stores it. Here a run is many calls, in as many processes
perhaps, and LangChain's own middleware counts a run's model and tool calls in such channels. So within a run the value
is stored like any other, and it is dropped where plain LangGraph would have lost it: when a run starts, and when it
goes on after an interrupt or a breakpoint.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from langgraph.channels.base import BaseChannel
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.errors import EmptyChannelError, InvalidUpdateError
from langgraph.types import Send
from typing_extensions import override

from durablegraph.graphs.internals import MISSING, TASKS, Graph


def untracked(graph: Graph) -> frozenset[str]:
    """The names of the graph's `UntrackedValue` channels."""
    return frozenset(name for name, spec in graph.channels.items() if isinstance(spec, UntrackedValue))


def kept_within_run(channels: Mapping[str, Any]) -> dict[str, Any]:
    """The channels, with each `UntrackedValue` replaced by one that is stored."""
    return {name: RunScoped.like(spec) if isinstance(spec, UntrackedValue) else spec for name, spec in channels.items()}


def dropped(found: CheckpointTuple, names: frozenset[str]) -> CheckpointTuple:
    """The checkpoint as a new run sees it: without the values that belong to the run before.

    Nor their versions, by which a saver would find the values again for the next checkpoint.
    """
    values = {name: value for name, value in found.checkpoint["channel_values"].items() if name not in names}
    if TASKS in values:
        values[TASKS] = [_without(send, names) for send in values[TASKS]]
    versions = {name: version for name, version in found.checkpoint["channel_versions"].items() if name not in names}
    checkpoint: Any = {**found.checkpoint, "channel_values": values, "channel_versions": versions}
    return found._replace(checkpoint=checkpoint)


def _without(send: Any, names: frozenset[str]) -> Any:
    if not isinstance(send, Send) or not isinstance(send.arg, dict):
        return send
    return Send(send.node, {key: value for key, value in send.arg.items() if key not in names})


class RunScoped(BaseChannel[Any, Any, Any]):
    """Holds the last value, and takes one value a super-step when guarded: as `UntrackedValue` does, but stored."""

    __slots__ = ("guard", "value")

    def __init__(self, typ: Any, guard: bool = True) -> None:  # noqa: FBT001, FBT002 -- the signature it stands in for
        super().__init__(typ)
        self.guard = guard
        self.value: Any = MISSING

    @classmethod
    def like(cls, spec: "UntrackedValue[Any]") -> Self:
        """The stored counterpart of an `UntrackedValue`."""
        made = cls(spec.typ, spec.guard)
        made.key = spec.key
        return made

    @property
    @override
    def ValueType(self) -> Any:
        return self.typ

    @property
    @override
    def UpdateType(self) -> Any:
        return self.typ

    @override
    def from_checkpoint(self, checkpoint: Any) -> Self:
        made = self.__class__(self.typ, self.guard)
        made.key = self.key
        made.value = checkpoint
        return made

    @override
    def update(self, values: Sequence[Any]) -> bool:
        if not values:
            return False
        if len(values) != 1 and self.guard:
            raise InvalidUpdateError(
                f"At key '{self.key}': UntrackedValue(guard=True) can receive only one value per step. "
                "Use guard=False if you want to store any one of multiple values."
            )
        self.value = values[-1]
        return True

    @override
    def get(self) -> Any:
        if self.value is MISSING:
            raise EmptyChannelError
        return self.value

    @override
    def is_available(self) -> bool:
        return self.value is not MISSING
