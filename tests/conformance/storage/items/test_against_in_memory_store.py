"""ItemStore and LangGraph's InMemoryStore do the same operations and must give the same answers.

Known differences, all deliberate, are in `_Oracle` and `_Pair`: InMemoryStore lists namespaces in which nothing is left
or nothing ever was, and orders a search by namespace first, where ItemStore orders by age alone.
"""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

from durablegraph.storage.items import ItemStore
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.prefixed import PrefixedStore

LABELS = ["a", "b", "a/b", "=a", "A", "*", "ü", "x" * 200]
KEYS = ["k", "K", "", "k/l", "k.l", "\x00", "y" * 1000]
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(["", "red", "1.5"])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner), max_leaves=4
)
VALUES = st.fixed_dictionaries({"n": st.integers(-3, 3)}, optional={"x": JSON, "y": JSON})
NAMESPACES = st.lists(st.sampled_from(LABELS), min_size=1, max_size=4).map(tuple)
FEW_NAMESPACES = st.sampled_from([("a",), ("a", "b"), ("a", "b", "c"), ("b",), ("x" * 200,) * 4, ("x" * 200,) * 5])
PLACES = NAMESPACES | FEW_NAMESPACES
NUMBER_TESTS = st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.integers(-3, 3), min_size=1)
EQUALITY_TESTS = st.dictionaries(st.sampled_from(["$eq", "$ne"]), JSON, min_size=1)
FILTERS = st.fixed_dictionaries({}, optional={"n": NUMBER_TESTS | st.integers(-3, 3), "x": EQUALITY_TESTS | JSON})
PAGE = (st.integers(0, 6), st.integers(0, 4))  # limit, offset
CONDITIONS = st.builds(
    MatchCondition,
    st.sampled_from(["prefix", "suffix"]),
    st.lists(st.sampled_from(["a", "b", "*", "x" * 200]), min_size=1, max_size=3).map(tuple),
)
OPS = st.one_of(
    st.tuples(PLACES, st.sampled_from(KEYS), VALUES).map(lambda one: PutOp(*one)),
    st.tuples(FEW_NAMESPACES, st.sampled_from(["k", "K"]), st.none() | VALUES).map(lambda one: PutOp(*one)),
    st.tuples(PLACES, st.sampled_from(KEYS)).map(lambda one: GetOp(*one)),
    st.tuples(st.just(()) | PLACES, st.none() | FILTERS, *PAGE).map(lambda one: SearchOp(*one)),
    st.tuples(st.none() | st.lists(CONDITIONS, max_size=2).map(tuple), st.none() | st.integers(1, 3), *PAGE).map(
        lambda one: ListNamespacesOp(*one)
    ),
)
BATCHES = st.lists(st.lists(OPS, min_size=1, max_size=6), min_size=1, max_size=8)
SETTINGS = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class _Oracle(InMemoryStore):
    """InMemoryStore without the namespaces that it lists though nothing is in them."""

    def batch(self, ops: Any) -> list[Result]:
        for namespace in [namespace for namespace, items in self._data.items() if not items]:
            del self._data[namespace]
        return super().batch(ops)


class _Pair:
    """What the oracle says, in the order that ItemStore promises."""

    def __init__(self) -> None:
        self._oracle = _Oracle()
        self._age: dict[tuple[tuple[str, ...], str], int] = {}
        self._puts = 0

    def batch(self, ops: Sequence[Op]) -> list[Any]:
        results = [self._answer(op) for op in ops]
        self._oracle.batch([op for op in ops if isinstance(op, PutOp)])
        last = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}
        for place, op in last.items():
            if op.value is None:
                self._age.pop(place, None)
            elif place not in self._age:
                self._age[place] = self._puts = self._puts + 1
        return results

    def _answer(self, op: Op) -> Any:
        match op:
            case PutOp():
                return None
            case SearchOp():
                everything = self._oracle.batch([op._replace(limit=10_000, offset=0)])[0]
                everything.sort(key=lambda item: self._age[item.namespace, item.key])
                return plain(everything[op.offset : op.offset + op.limit])
            case _:
                return plain(self._oracle.batch([op])[0])


def plain(result: Any) -> Any:
    """Results without times."""
    match result:
        case SearchItem():
            return result.namespace, result.key, result.value, result.score
        case Item():
            return result.namespace, result.key, result.value
        case list():
            return [plain(one) for one in result]
        case _:
            return result


def below_anything_else(store: ObjectStore) -> ObjectStore:
    return PrefixedStore(store, uuid.uuid4().hex)


@pytest.mark.parametrize("face", ["sync", "async"])
@SETTINGS
@given(batches=BATCHES)
def test_any_batches_are_answered_as_by_langgraphs_own_store(store, clock, face, batches):
    items, pair = ItemStore(below_anything_else(store), now=clock), _Pair()
    for ops in batches:
        results = items.batch(ops) if face == "sync" else asyncio.run(items.abatch(ops))
        assert [plain(result) for result in results] == pair.batch(ops)


@SETTINGS
@given(batches=BATCHES)
def test_processes_that_take_turns_see_one_store(store, clock, batches):
    shared, pair = below_anything_else(store), _Pair()
    processes = [ItemStore(shared, now=clock), ItemStore(shared, now=clock)]
    for turn, ops in enumerate(batches):
        results = processes[turn % 2].batch(ops)
        assert [plain(result) for result in results] == pair.batch(ops)


def letters(texts: Sequence[str]) -> list[list[float]]:
    """An embedding whose numbers are exact in any float: how often a, b and c occur."""
    return [[float(text.count(letter)) for letter in "abc"] for text in texts]


TEXTS = st.text(alphabet="abc", max_size=6)


@SETTINGS
@given(
    texts=st.lists(st.tuples(TEXTS, TEXTS, st.lists(TEXTS, max_size=2)), min_size=1, max_size=8),
    index=st.lists(st.sampled_from([None, False, ["other"], ["tags[*]"], ["title", "other"]]), min_size=8, max_size=8),
    query=TEXTS,
    limit=st.integers(0, 10),
)
def test_scores_of_a_query_are_those_of_langgraphs_own_store(store, clock, texts, index, query, limit):
    config: Any = {"dims": 3, "embed": letters, "fields": ["title", "tags[*]"]}
    items, oracle = ItemStore(below_anything_else(store), index=config, now=clock), InMemoryStore(index=config)
    for number, (title, other, tags) in enumerate(texts):  # no two texts alike: InMemoryStore cannot embed these
        value = {"title": f"{title} 0", "other": f"{other} 1", "tags": [f"{tag} {n}" for n, tag in enumerate(tags, 2)]}
        for one in (items, oracle):
            one.put(("texts",), str(number), value, index=index[number])
    ours, theirs = items.search((), query=query, limit=limit), oracle.search((), query=query, limit=limit)
    assert [item.key for item in ours] == [item.key for item in theirs]
    assert [item.score for item in ours] == [pytest.approx(item.score) for item in theirs]
