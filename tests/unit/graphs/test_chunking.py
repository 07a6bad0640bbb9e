"""A chunk is found from its number alone, and it is the one that the whole super-step divides into."""

import operator
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from durablegraph.graphs import chunking
from durablegraph.graphs.calling import head_of
from durablegraph.graphs.chunking import chunk_at
from durablegraph.graphs.fanout import chunks, run_tasks
from tests.unit.graphs.driving import Driver


class State(TypedDict, total=False):
    seen: Annotated[list[Any], operator.add]


def spread(state: State) -> list[Any]:
    sends = [Send("sent", {"at": at}) for at in range(7)]
    return [*sends[:3], Send("other", {"at": "o"}), *sends[3:], "left", "right"]


def graph() -> Any:
    builder = StateGraph(State)
    builder.add_node("begin", lambda _: {})
    builder.add_node("sent", lambda task: {"seen": [task["at"]]})
    builder.add_node("other", lambda task: {"seen": [task["at"]]})
    builder.add_node("left", lambda _: {"seen": ["left"]})
    builder.add_node("right", lambda _: {"seen": ["right"]})
    builder.add_edge(START, "begin")
    builder.add_conditional_edges("begin", spread, ["sent", "other", "left", "right"])
    return builder.compile()


async def planned() -> Driver:
    driver = Driver(graph(), InMemorySaver())
    await driver.deliver(driver.request("start", input={}))
    assert len(driver.last.tasks) == 10
    return driver


@pytest.mark.parametrize("size", [1, 2, 3, 4, 10, 11])
async def test_every_chunk_is_the_one_that_all_tasks_divide_into(size):
    driver = await planned()
    whole = chunks(driver.last.tasks, size)
    head = await driver.saver.aget_tuple(head_of("t"))

    found = [await chunk_at(driver.graph, driver.saver, head, number, size) for number in range(len(whole))]

    assert [one.chunk for one in found] == list(whole)
    names = {task.id: task.name for task in driver.last.tasks}
    assert [one.names for one in found] == [frozenset(names[task] for task in chunk.ids) for chunk in whole]


async def test_a_chunk_stays_the_same_when_its_tasks_have_finished():
    driver = await planned()
    head = await driver.saver.aget_tuple(head_of("t"))
    before = await chunk_at(driver.graph, driver.saver, head, 1, 4)
    await run_tasks(driver.graph, driver.saver, driver.request("advance"), before.chunk)

    after = await chunk_at(driver.graph, driver.saver, await driver.saver.aget_tuple(head_of("t")), 1, 4)

    assert after == before


async def test_only_the_tasks_of_the_chunk_and_those_of_edges_are_prepared(monkeypatch):
    driver = await planned()
    head = await driver.saver.aget_tuple(head_of("t"))
    prepared = []
    describe = chunking.describe

    async def noting(*arguments: Any, **named: Any) -> Any:
        outcome = await describe(*arguments, **named)
        prepared.extend(task.name for task in outcome.tasks)
        return outcome

    monkeypatch.setattr(chunking, "describe", noting)
    await chunk_at(driver.graph, driver.saver, head, 0, 2)

    assert prepared == ["sent", "sent", "left", "right"]
