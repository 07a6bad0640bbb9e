"""The real applications as attributes: ``…served_apps:NAME``."""

from tests.support.apps import APPS
from tests.support.catalogue_graphs.serving import factory

globals().update({case.name: factory(case.name, case.build) for case in APPS.values()})
