"""The catalogue's cases as attributes: ``…served_catalogue:NAME``."""

from tests.support.catalogue import CASES
from tests.support.catalogue_graphs.serving import factory

globals().update({case.name: factory(case.name, case.build) for case in CASES.values()})
