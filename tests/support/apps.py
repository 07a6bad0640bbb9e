"""The catalogue's real applications: PyPI packages, unmodified, that talk to the fake model over HTTP."""

from tests.support.catalogue_graphs.apps import (
    careful_agent,
    deep_agent,
    deep_research,
    prebuilt_agent,
    report_planner,
    supervisor,
    swarm,
)

MODULES = (deep_agent, supervisor, swarm, careful_agent, deep_research, report_planner, prebuilt_agent)
APPS = {case.name: case for module in MODULES for case in module.CASES}
RULES = {case.name: module.RULES for module in MODULES for case in module.CASES}
