"""Which policy holds for the fan-out of a run: what the run asked, else what its graph says, else the settings."""

from datetime import datetime
from functools import cache

from durablegraph.execution.requests import Leaving
from durablegraph.graphs.paces import Paces
from durablegraph.graphs.registry import LoadedGraph
from durablegraph.model.fan_out import FanOutPolicy, When
from durablegraph.model.records import RunRequest
from durablegraph.settings import Settings


def policy_of(settings: Settings, loaded: LoadedGraph, request: RunRequest) -> FanOutPolicy:
    """The policy, nothing of it left open."""
    policy = _usual(settings.fan_out, settings.fan_out_width, settings.fan_out_failures)
    for own in (loaded.fan_out, request.fan_out):
        policy = own.over(policy) if own is not None else policy
    return policy


@cache
def _usual(when: When, width: int, failures: str) -> FanOutPolicy:
    return FanOutPolicy(when=when, width=width, failures=failures)


def leaving(policy: FanOutPolicy, paces: Paces, graph: str, now: datetime) -> Leaving:
    """What a call leaves: each super-step that is to be looked at task by task; at the start of a run too.

    Where tasks may fail, what is stored of them is looked at before each super-step: no loop stands meanwhile.
    """
    tolerant = policy.failures != "all"
    if policy.when == "never" and not tolerant:
        return Leaving()
    quick = paces.quick(graph, now) if policy.when == "auto" and not tolerant else frozenset()
    return Leaving(fan_out_from=2, together=quick, may_stand=not tolerant)
