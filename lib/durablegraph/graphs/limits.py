"""Managed values that tell how many super-steps are left, counted over a whole run instead of a call."""

from typing import Any

from langgraph.managed.base import is_managed_value
from langgraph.managed.is_last_step import IsLastStepManager, RemainingStepsManager

from durablegraph.graphs.internals import Graph


def count_over_the_run(graph: Graph, stop: int) -> dict[str, Any]:
    """Channels in which `remaining_steps` and `is_last_step` count towards the absolute step number `stop`."""
    counted: dict[str, Any] = dict(graph.channels)
    for name, spec in graph.channels.items():
        if not is_managed_value(spec) or not isinstance(spec, type):
            continue
        if issubclass(spec, RemainingStepsManager):
            counted[name] = _remaining(spec, stop)
        elif issubclass(spec, IsLastStepManager):
            counted[name] = _last(spec, stop)
    return counted


def _remaining(spec: type[RemainingStepsManager], stop: int) -> type[RemainingStepsManager]:
    def get(scratchpad: Any) -> int:
        return stop - int(scratchpad.step)

    return type(spec.__name__, (spec,), {"get": staticmethod(get)})


def _last(spec: type[IsLastStepManager], stop: int) -> type[IsLastStepManager]:
    def get(scratchpad: Any) -> bool:
        return bool(scratchpad.step == stop - 1)

    return type(spec.__name__, (spec,), {"get": staticmethod(get)})
