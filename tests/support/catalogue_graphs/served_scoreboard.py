"""What the scoreboard runs, as attributes: ``…served_scoreboard:NAME``."""

from tests.support.catalogue import CASES
from tests.support.catalogue_graphs.peer_examples import EXAMPLES
from tests.support.catalogue_graphs.serving import factory

globals().update({case.name: factory(case.name, case.build) for case in (CASES | EXAMPLES).values()})
