import dataclasses
import operator
from typing import Annotated

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from tests.support.catalogue import CASES, MODULES
from tests.support.plain import compiled, counting, executions, in_order, run_plainly

ALL = list(CASES.values())


def comparable(run):
    """A time limit's message tells how long it took: of errors only the type is compared."""
    return dataclasses.replace(run, ran=in_order(run.ran), error=run.error and run.error[0])


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
async def test_a_case_ends_as_it_says_and_twice_the_same(case, tmp_path):
    run = await run_plainly(case, tmp_path / "first")
    again = await run_plainly(case, tmp_path / "second")

    assert (run.error and run.error[0]) == case.raises
    assert (len(run.asked), len(run.stops)) == (case.asks, case.stops)
    assert comparable(run) == comparable(again)
    assert run.ran
    assert run.history or run.unreadable


def test_the_catalogue_covers_what_it_promises():
    assert len(CASES) >= 44
    assert {case.build.__module__ for case in ALL} == {module.__name__ for module in MODULES}
    assert all(case.about for case in ALL)


class Sums(TypedDict):
    log: Annotated[list, operator.add]


def looping():
    builder = StateGraph(Sums)
    builder.add_node("a", lambda _: {"log": [1]})
    builder.add_node("b", lambda _: {"log": [2]})
    builder.add_edge(START, "a")
    builder.add_edge(START, "b")
    builder.add_conditional_edges("b", lambda s: "b" if len(s["log"]) < 4 else "__end__")
    return builder


async def test_executions_are_noted_with_their_step(tmp_path):
    graph = counting(compiled(looping(), InMemorySaver()), tmp_path / "ran")
    await graph.ainvoke({"log": []}, {"configurable": {"thread_id": "1"}})

    assert in_order(executions(tmp_path / "ran")) == {"": [[(1, ["a", "b"]), (2, ["b"]), (3, ["b"])]]}


def test_counting_twice_notes_once_and_changes_no_result(tmp_path):
    plain = looping().compile().invoke({"log": []})
    graph = looping().compile()
    counting(counting(graph, tmp_path / "ran"), tmp_path / "ran")

    assert graph.invoke({"log": []}) == plain
    assert len(executions(tmp_path / "ran")) == 4


async def test_nodes_of_a_subgraph_are_noted_under_their_node(tmp_path):
    run = await run_plainly(CASES["three_levels"], tmp_path / "ran")

    assert in_order(run.ran)["middle/inner"] == [[(1, ["i1"]), (2, ["i2"])]]


async def test_a_cached_node_is_noted_only_when_it_ran(tmp_path):
    run = await run_plainly(CASES["cached_node"], tmp_path / "ran")

    assert [e.node for e in run.ran] == ["plan", "work", "plan", "plan", "plan"]


async def test_runs_of_a_subgraph_side_by_side_are_told_apart(tmp_path):
    run = await run_plainly(CASES["sends_into_a_subgraph"], tmp_path / "ran")

    assert in_order(run.ran)["sub"] == [[(1, ["halve"]), (2, ["say"])]] * 3
