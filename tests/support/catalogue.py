"""The catalogue: every small graph that the product has to run as LangGraph itself does.

Each case says what starts it, how its questions are answered and how it must end; `plain` runs it with LangGraph
alone and `drive` runs it on the product, and the two have to agree.
"""

from tests.support.catalogue_graphs import (
    commands,
    edges,
    failures,
    functional,
    interrupts,
    messages,
    nested,
    sends,
    settings,
    states,
    subgraphs,
)
from tests.support.catalogue_graphs.case import CASES, Case

MODULES = (edges, sends, commands, states, messages, settings, interrupts, subgraphs, nested, failures, functional)

__all__ = ["CASES", "MODULES", "Case"]
