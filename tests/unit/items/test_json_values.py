from collections import UserDict
from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durablegraph.errors import InvalidRequest
from durablegraph.storage.items.json_values import DEEPEST, dumps, loads, to_json_value

ANY_TEXT = st.text(alphabet=st.characters(), max_size=20)  # lone surrogates included
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_every_json_value_is_read_back_as_it_was_put(value):
    assert loads(dumps(to_json_value(value))) == value


def test_a_surrogate_pair_in_two_halves_stays_two_characters():
    assert loads(dumps("\ud83d\ude00")) == "\ud83d\ude00"


def test_mappings_of_other_kinds_and_tuples_become_plain():
    value = MappingProxyType({"a": (1, UserDict(b=2))})
    assert to_json_value(value) == {"a": [1, {"b": 2}]}


def test_the_copy_does_not_follow_its_original():
    original = {"list": [1]}
    copy = to_json_value(original)
    original["list"].append(2)
    assert copy == {"list": [1]}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"when": datetime(2026, 1, 1, tzinfo=UTC)}, "$.when"),
        ({"a": [1, {"b": b"bytes"}]}, "$.a[1].b"),
        ({"n": float("nan")}, "$.n"),
        ([float("inf")], "$[0]"),
        ({"o": object()}, "$.o"),
        ({"s": {1, 2}}, "$.s"),
        ({1: "number as a name"}, "$"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(value, place):
    with pytest.raises(InvalidRequest, match="expected JSON") as caught:
        to_json_value(value)
    assert f" at {place};" in str(caught.value)
    assert caught.value.status == 422


def test_endless_nesting_is_refused():
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidRequest, match=f"more than {DEEPEST} levels"):
        to_json_value(endless)
