from hypothesis import given
from hypothesis import strategies as st

from durablegraph.storage.items.names import (
    ROOT,
    item_key,
    listing_prefix,
    may_be_below,
    namespace_of,
    path_of,
)
from durablegraph.storage.objects import check_key

LABELS = st.one_of(
    st.text(min_size=1, max_size=12),
    st.text(min_size=1, max_size=3, alphabet="ab=~/.% Ä\ud800").map(lambda text: text * 40),
    st.sampled_from(["a", "A", "=a", "~61", "a/b", "..", "*", " ", "\u00e9", "e\u0301"]),
)
NAMESPACES = st.lists(LABELS, max_size=8).map(tuple)
KEYS = st.one_of(st.text(max_size=20), st.just("k" * 3000))


@given(NAMESPACES, KEYS)
def test_every_item_has_a_key_that_every_store_takes_with_room_for_a_prefix(namespace, key):
    object_key = item_key(namespace, key)
    assert check_key(object_key) == object_key
    assert object_key.startswith(ROOT)
    assert len(object_key) <= 646


@given(NAMESPACES, KEYS, NAMESPACES, KEYS)
def test_two_items_never_share_an_object(namespace, key, other_namespace, other_key):
    same = (namespace, key) == (other_namespace, other_key)
    assert (item_key(namespace, key) == item_key(other_namespace, other_key)) == same


@given(NAMESPACES, NAMESPACES, KEYS)
def test_a_listing_of_a_prefix_has_every_item_below_it(prefix, rest, key):
    object_key = item_key(prefix + rest, key)
    assert object_key.startswith(listing_prefix(prefix))
    assert may_be_below(object_key, prefix)


@given(NAMESPACES, NAMESPACES)
def test_a_path_belongs_to_one_namespace(namespace, other):
    same = path_of(item_key(namespace, "k")) == path_of(item_key(other, "another key"))
    assert same == (namespace == other)


@given(NAMESPACES, KEYS)
def test_a_key_tells_its_namespace_or_says_that_it_cannot(namespace, key):
    assert namespace_of(item_key(namespace, key)) in (namespace, None)


@given(st.lists(st.text(min_size=1, max_size=8, alphabet="abcdefgh"), max_size=10).map(tuple), KEYS)
def test_a_key_of_short_labels_tells_its_namespace(namespace, key):
    assert namespace_of(item_key(namespace, key)) == namespace


def test_a_sibling_whose_name_begins_alike_is_not_below():
    assert not item_key(("users", "ann"), "k").startswith(listing_prefix(("users", "an")))
    assert not may_be_below(item_key(("users", "ann"), "k"), ("users", "an"))


def test_a_key_that_looks_like_a_label_is_no_namespace():
    assert namespace_of(item_key(("a",), "b/c")) == ("a",)
    assert item_key(("a",), "b") != item_key(("a", "b"), "")
