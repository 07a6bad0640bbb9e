"""Our own columns of the scoreboard, run: some of every area here, all of them by `make scoreboard`."""

import pytest

from proof.scoreboard.__main__ import OURS, run
from proof.scoreboard.cases import by_area, chosen
from proof.scoreboard.judging import Outcome

EACH = 2
"""Cases of an area that are run here; `test_catalogue.py` runs every one by another way."""


def some():
    """The first cases of each area."""
    cases = chosen()
    return {name: cases[name] for names in by_area(cases).values() for name in names[:EACH]}


@pytest.mark.xdist_group("scoreboard")
@pytest.mark.parametrize("name", [peer.name for peer in OURS])
def test_our_columns_are_equal(name, tmp_path):
    column = run([name], some(), tmp_path).columns[name]

    assert len(column.verdicts) >= EACH * 10
    assert {name: each for name, each in column.verdicts.items() if each.outcome is not Outcome.EQUAL} == {}
