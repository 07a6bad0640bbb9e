"""The real applications as attributes: ``…served_apps:NAME``; an application is imported when it is asked for."""

from collections.abc import Callable
from importlib import import_module

from tests.support.catalogue_graphs.case import Built
from tests.support.catalogue_graphs.serving import factory

FOUND_IN = {
    "careful_agent": "careful_agent",
    "careful_agent_each": "careful_agent",
    "deep_agent_publishing": "deep_agent",
    "deep_agent_researching": "deep_agent",
    "deep_research": "deep_research",
    "digger": "prebuilt_agent",
    "report_planner": "report_planner",
    "supervisor": "supervisor",
    "supervisor_out_of_steps": "supervisor",
    "swarm": "swarm",
}
"""Name -> module of `apps` that has the case."""


def __getattr__(name: str) -> Callable[[], Built]:
    if name not in FOUND_IN:
        raise AttributeError(f"found no application {name!r}, expected one of {', '.join(FOUND_IN)}")
    module = import_module(f"tests.support.catalogue_graphs.apps.{FOUND_IN[name]}")
    made = {case.name: factory(case.name, case.build) for case in module.CASES}
    globals().update(made)
    return made[name]
