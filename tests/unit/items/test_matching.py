import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.store.base import ListNamespacesOp, MatchCondition
from langgraph.store.memory import _compare_values, _does_match

from durablegraph.storage.items.matching import check_filter, common_prefix, matches, select_namespaces

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "1", "2.5"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner), max_leaves=5
)
OPERATORS = st.dictionaries(st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), SCALARS, min_size=1)
FILTERS = st.recursive(
    SCALARS | OPERATORS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner),
    max_leaves=4,
)
LABELS = st.sampled_from(["a", "b", "*"])


@given(st.dictionaries(st.sampled_from("xy"), VALUES), st.dictionaries(st.sampled_from("xy"), FILTERS))
def test_a_filter_lets_through_what_langgraphs_own_does(value, wanted):
    check_filter(wanted)
    ours = matches(value, wanted)
    with contextlib.suppress(TypeError, ValueError):  # LangGraph's raises where there is no order; ours does not match
        assert ours == all(_compare_values(value.get(name), part) for name, part in wanted.items())


@pytest.mark.parametrize("value", [{}, {"n": None}, {"n": [1]}, {"n": "many"}, "a text", 7, [1]])
def test_what_has_no_order_is_neither_above_nor_below(value):
    assert not matches(value, {"n": {"$gt": 1}})
    assert not matches(value, {"n": {"$lte": 1}})


def test_texts_that_are_no_numbers_are_compared_as_texts():
    assert matches({"day": "2026-11-21"}, {"day": {"$gte": "2026-01-01", "$lt": "2027-01-01"}})
    assert not matches({"day": "2025-11-21"}, {"day": {"$gte": "2026-01-01"}})
    assert matches({"n": "10"}, {"n": {"$gt": "9"}})


@pytest.mark.parametrize("wanted", [{"a": {"$regex": "x"}}, {"a": {"b": {"$gt": 1, "c": 2}}}, {"a": [{"$in": [1]}]}])
def test_an_unknown_operator_is_an_error_whatever_is_stored(wanted):
    with pytest.raises(ValueError, match="Unsupported operator"):
        check_filter(wanted)


def test_an_operand_is_compared_and_not_searched_for_operators():
    check_filter({"a": {"$eq": {"$regex": 1}}})
    assert matches({"a": {"$regex": 1}}, {"a": {"$eq": {"$regex": 1}}})


NAMESPACES = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).map(tuple)
CONDITIONS = st.builds(
    MatchCondition, st.sampled_from(["prefix", "suffix"]), st.lists(LABELS, min_size=1, max_size=3).map(tuple)
)


@given(st.sets(NAMESPACES), st.lists(CONDITIONS, max_size=2).map(tuple))
def test_conditions_choose_the_namespaces_langgraphs_own_do(namespaces, conditions):
    expected = sorted(one for one in namespaces if all(_does_match(condition, one) for condition in conditions))
    assert select_namespaces(namespaces, ListNamespacesOp(conditions, limit=1000)) == expected
    prefix = common_prefix(conditions)
    assert all(namespace[: len(prefix)] == prefix for namespace in expected)


def test_an_unknown_kind_of_condition_is_an_error():
    with pytest.raises(ValueError, match="Unsupported match type: 'infix'"):
        select_namespaces({("a",)}, ListNamespacesOp((MatchCondition("infix", ("a",)),)))  # type: ignore[arg-type]
