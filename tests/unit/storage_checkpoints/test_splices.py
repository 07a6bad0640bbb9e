from itertools import pairwise

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durablegraph.storage.checkpoints.splices import Splice, apply, splice

VALUES = st.lists(st.integers(0, 300) | st.text(max_size=8), max_size=40).map(ormsgpack.packb) | st.binary(max_size=300)


@given(VALUES, VALUES)
def test_a_splice_makes_the_new_value_out_of_the_old_one(old: bytes, new: bytes) -> None:
    assert apply(old, [splice(old, new)]) == new


@given(st.lists(VALUES, min_size=2, max_size=8))
def test_a_chain_of_splices_makes_the_last_value_out_of_the_first(values: list[bytes]) -> None:
    steps = [splice(old, new) for old, new in pairwise(values)]
    assert apply(values[0], steps) == values[-1]


@pytest.mark.parametrize("length", [14, 15, 16, 17, 65_534, 65_535, 65_536])
def test_appending_to_a_list_costs_the_item_even_where_msgpacks_header_changes_its_form(length: int) -> None:
    old = list(range(length))
    difference = splice(ormsgpack.packb(old), ormsgpack.packb([*old, "new"]))
    assert difference.cost <= len(ormsgpack.packb("new")) + 5


def test_an_edit_in_the_middle_costs_the_edit() -> None:
    old = bytes(range(256)) * 5000
    new = old[:600_000] + b"something else" + old[600_010:]
    assert splice(old, new).cost <= 20


def test_equal_values_cost_nothing() -> None:
    assert splice(b"x" * 200_000, b"x" * 200_000).cost == 0


def test_a_splice_that_reaches_beyond_its_base_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        apply(b"abc", [Splice(b"", 2, 5, b"", 0)])
