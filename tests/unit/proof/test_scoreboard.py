"""The scoreboard tells equal from different, and its page is made of what is stored beside it."""

import ast
import dataclasses

import pytest

from proof.scoreboard.cases import AREAS, NOT_OF_LANGGRAPH, area_of, by_area, chosen
from proof.scoreboard.judging import Outcome, Seen, verdict
from proof.scoreboard.page import PAGE, Results, page
from tests.support.catalogue import CASES
from tests.support.plain import run_plainly

ADAPTERS = PAGE.parents[2] / "proof" / "scoreboard" / "peers"


@pytest.fixture(scope="module")
def stored():
    return Results.read(PAGE.with_suffix(".json"))


def test_the_page_is_made_of_the_stored_results(stored):
    assert PAGE.read_text(encoding="utf-8") == page(stored), "run `make scoreboard`"


def test_the_results_are_of_cases_that_there_still_are_the_same_for_all(stored):
    assert set(stored.cases) <= set(chosen()), "run `make scoreboard`"
    assert {tuple(column.verdicts) for column in stored.columns.values()} == {tuple(stored.cases)}
    assert sum(map(len, by_area(stored.cases).values())) == len(stored.cases)


def test_our_own_column_is_equal_throughout(stored):
    ours = stored.columns["durablegraph"]

    assert {name: each for name, each in ours.verdicts.items() if each.outcome is not Outcome.EQUAL} == {}


def test_every_case_has_an_area_and_is_left_out_only_by_name():
    assert {area_of(case) for case in chosen().values()} <= set(AREAS)
    assert set(CASES) - set(chosen()) == NOT_OF_LANGGRAPH


def test_what_is_not_equal_says_what_was_seen(stored):
    for column in stored.columns.values():
        assert all(bool(each.seen) == (each.outcome is not Outcome.EQUAL) for each in column.verdicts.values())


@pytest.mark.parametrize("path", sorted(ADAPTERS.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_an_adapter_is_short_and_has_no_opinion_of_a_case(path):
    text = path.read_text(encoding="utf-8")
    words = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}

    assert len([line for line in text.splitlines() if line.strip()]) < 100
    assert not words & {name for name in chosen() if "_" in name}


async def seen_plainly(name, folder):
    plain = await run_plainly(chosen()[name], folder / "ran")
    values = plain.state.values if plain.state else None
    return plain, Seen(plain.asked, plain.stops, plain.error and plain.error[0], values, plain.ran)


async def test_the_same_run_is_equal(tmp_path):
    plain, seen = await seen_plainly("parallel_interrupts", tmp_path)

    assert verdict(plain, seen).outcome is Outcome.EQUAL


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": {"log": ["else"]}}, "ended with"),
        ({"asked": []}, "asked []"),
        ({"ran": []}, "ran []"),
        ({"error": "ValueError"}, "fails with ValueError, LangGraph ends well"),
        ({"error": ""}, "fails, LangGraph ends well"),
        ({"stops": [("a",)]}, "stopped before"),
    ],
)
async def test_any_difference_is_seen(change, words, tmp_path):
    plain, seen = await seen_plainly("parallel_interrupts", tmp_path)

    found = verdict(plain, dataclasses.replace(seen, **change))

    assert found.outcome is Outcome.DIFFERS
    assert words in found.seen


async def test_an_error_without_a_type_is_taken_for_the_right_one(tmp_path):
    plain, seen = await seen_plainly("failing_node", tmp_path)

    assert verdict(plain, dataclasses.replace(seen, error="")).outcome is Outcome.EQUAL
    assert verdict(plain, dataclasses.replace(seen, error="KeyError")).outcome is Outcome.DIFFERS
    assert verdict(plain, dataclasses.replace(seen, error=None)).outcome is Outcome.DIFFERS
