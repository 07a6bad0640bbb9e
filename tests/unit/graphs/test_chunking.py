"""A chunk is found from its number alone, and it is the one that the whole super-step divides into."""

import operator
from typing import Annotated, Any

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send
from typing_extensions import TypedDict

from durablegraph.graphs import chunking
from durablegraph.graphs.calling import head_of
from durablegraph.graphs.chunking import chunk_at
from durablegraph.graphs.fanout import chunks, run_tasks
from durablegraph.graphs.internals import sends_as_tasks
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


async def planned(made: Any = None) -> Driver:
    driver = Driver(made or graph(), InMemorySaver())
    await driver.deliver(driver.request("start", input={}))
    assert len(driver.last.tasks) == 10
    return driver


class Telling(TypedDict, total=False):
    seen: Annotated[
        list[Any], DeltaChannel(lambda found, more: [*(found or []), *(each for one in more for each in one)])
    ]
    last: Any


def ten(_: Any) -> list[Any]:
    return [Send("other" if at % 3 else "sent", {"at": at}) for at in range(10)]


def mapped(state: Any = State, *, begin: Any = lambda _: {}) -> StateGraph[Any, Any, Any, Any]:
    """A graph whose second super-step has ten tasks, all made by `Send`s."""
    builder = StateGraph(state)
    builder.add_node("begin", begin)
    builder.add_node("sent", lambda task: {"seen": [task["at"]]})
    builder.add_node("other", lambda task: {"seen": [task["at"]]})
    builder.add_edge(START, "begin")
    builder.add_conditional_edges("begin", ten, ["sent", "other"])
    return builder


def joining() -> Any:
    """As `mapped`, and one of the nodes that a third waits for has ended."""
    builder = mapped()
    builder.add_node("late", lambda _: {})
    builder.add_node("joined", lambda _: {"seen": ["joined"]})
    builder.add_edge("sent", "late")
    builder.add_edge(["begin", "late"], "joined")
    return builder.compile()


def sending_commands() -> Any:
    """Sends from a node's own `Command`, one to a node that does not exist."""
    sends = [Send("gone", {}), *ten(None)]
    builder = StateGraph(State)
    builder.add_node("begin", lambda _: Command(goto=sends, update={"seen": ["begun"]}), destinations=("sent", "other"))
    builder.add_node("sent", lambda task: {"seen": [task["at"]]})
    builder.add_node("other", lambda task: {"seen": [task["at"]]})
    builder.add_edge(START, "begin")
    return builder.compile()


def inner() -> Any:
    builder = StateGraph(State)
    builder.add_node("deep", lambda task: {"seen": [task["at"]]})
    builder.add_edge(START, "deep")
    return builder.compile()


def nesting() -> Any:
    builder = StateGraph(State)
    builder.add_node("begin", lambda _: {})
    builder.add_node("sent", inner())
    builder.add_node("other", inner())
    builder.add_edge(START, "begin")
    builder.add_conditional_edges("begin", ten, ["sent", "other"])
    return builder.compile()


SENDS_ALONE = {
    "plain": lambda: mapped().compile(),
    "delta channel": lambda: mapped(Telling, begin=lambda _: {"seen": ["b"], "last": 1}).compile(),
    "join": joining,
    "commands": sending_commands,
    "subgraphs": nesting,
}


@pytest.mark.parametrize("shape", SENDS_ALONE)
@pytest.mark.parametrize("size", [1, 3, 10, 11])
async def test_tasks_of_sends_alone_are_told_without_preparing_them(shape, size, monkeypatch):
    driver = await planned(SENDS_ALONE[shape]())
    whole = chunks(driver.last.tasks, size)
    head = await driver.saver.aget_tuple(head_of("t"))
    prepared = (await driver.graph.copy(update={"checkpointer": driver.saver}).aget_state(head_of("t"))).tasks
    monkeypatch.setattr(chunking, "describe", None)  # not to be called unless an edge may make a task too

    if shape == "join":
        monkeypatch.undo()
    found = [await chunk_at(driver.graph, driver.saver, head, number, size) for number in range(len(whole))]

    assert [one.chunk for one in found] == list(whole)
    assert [task for one in found for task in one.chunk.ids] == [task.id for task in prepared]
    assert [node for one in found for node in one.nodes] == [task.name for task in prepared]


async def test_what_an_older_format_calls_its_tasks_is_asked_of_langgraph():
    driver = await planned(mapped().compile())
    head = await driver.saver.aget_tuple(head_of("t"))
    old = head._replace(checkpoint={**head.checkpoint, "v": 1})
    assert sends_as_tasks(driver.graph, head.checkpoint, head.metadata["step"], [0]) is not None
    assert sends_as_tasks(driver.graph, old.checkpoint, old.metadata["step"], [0]) is None


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
