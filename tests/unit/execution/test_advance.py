import operator
from datetime import timedelta
from typing import Annotated, TypedDict

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel

from durablegraph.model.status import RunStatus
from durablegraph.storage import lifecycle
from durablegraph.storage.checkpoints.serde import AppSerializer, StrictSerializer, TypeNotAllowedError
from durablegraph.storage.items import ItemStore
from tests.unit.execution.durably import NOW, Durably, services_for


class State(TypedDict, total=False):
    out: Annotated[list, operator.add]


def chain(*nodes):
    builder = StateGraph(State)
    before = START
    for node in nodes:
        builder.add_node(node.__name__, node)
        builder.add_edge(before, node.__name__)
        before = node.__name__
    builder.add_edge(before, END)
    return builder.compile()


class Counted:
    """Nodes that count their executions."""

    def __init__(self):
        self.ran = []

    def node(self, name, act=None):
        def node(state):
            self.ran.append(name)
            return {"out": [act(state) if act else name]}

        node.__name__ = name
        return node


@pytest.fixture
def counted():
    return Counted()


async def test_a_run_ends_completed_with_the_output_of_a_plain_invoke(counted):
    graph = chain(counted.node("a"), counted.node("b"), counted.node("c"))
    run = Durably(services_for(graph))
    await run.start({"out": []})
    record = await run.carry()
    assert record.status is RunStatus.COMPLETED
    assert await run.output() == graph.invoke({"out": []})
    assert [item["do"] for item in run.decisions] == ["advance", "advance", "finish"]


async def test_one_activity_executes_one_super_step(counted):
    run = Durably(services_for(chain(*(counted.node(name) for name in "abcde"))))
    await run.start({"out": []})
    await run.carry()
    assert run.activities == 5
    assert counted.ran == list("abcde")


async def test_activities_delivered_twice_execute_each_node_once(counted):
    ask = counted.node("ask", lambda _: interrupt("ok?"))
    run = Durably(services_for(chain(counted.node("a"), ask, counted.node("c"))), deliveries=2)
    await run.start({"out": []})
    record = await run.carry(lambda _: "yes")
    assert record.status is RunStatus.COMPLETED
    assert await run.output() == {"out": ["a", "yes", "c"]}
    assert counted.ran == ["a", "ask", "ask", "c"]  # an interrupted node runs again from its top, as in a plain run


async def test_an_interrupted_run_says_what_it_waits_for(counted):
    run = Durably(services_for(chain(counted.node("ask", lambda _: interrupt({"question": "ok?"})))))
    await run.start({"out": []})
    record = await run.carry()
    wait = await run.wait()
    assert record.status is RunStatus.INTERRUPTED
    assert [(item.value, item.node) for item in wait.interrupts] == [({"question": "ok?"}, "ask")]


async def test_two_questions_of_one_node_are_answered_one_after_the_other(counted):
    ask = counted.node("ask", lambda _: [interrupt("first?"), interrupt("second?")])
    run = Durably(services_for(chain(ask)), deliveries=2)
    await run.start({"out": []})
    await run.carry(lambda wait: f"to {wait.interrupts[0].value}")
    assert await run.output() == {"out": [["to first?", "to second?"]]}


async def test_a_breakpoint_is_continued_with_null(counted):
    run = Durably(services_for(chain(counted.node("a"), counted.node("b"))))
    await run.start({"out": []}, interrupt_before=["b"])
    record = await run.carry()
    assert (record.status, (await run.wait()).kind, record.next) == (RunStatus.INTERRUPTED, "breakpoint", ("b",))
    assert counted.ran == ["a"]
    record = await run.carry(lambda _: None)
    assert record.status is RunStatus.COMPLETED
    assert counted.ran == ["a", "b"]


async def test_a_failed_node_ends_the_run_with_its_type_message_and_name(counted):
    def boom(_):
        raise ValueError("no such claim")

    run = Durably(services_for(chain(counted.node("a"), counted.node("b", boom))))
    await run.start({"out": []})
    record = await run.carry()
    assert record.status is RunStatus.FAILED
    assert (record.error.type, record.error.message, record.error.node) == ("ValueError", "no such claim", "b")
    assert run.errors == []


async def test_the_recursion_limit_counts_super_steps_of_the_run():
    builder = StateGraph(State)
    builder.add_node("again", lambda _: {"out": [1]})
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    run = Durably(services_for(builder.compile()))
    await run.start({"out": []}, recursion_limit=7)
    record = await run.carry()
    assert (record.status, record.error.type) == (RunStatus.FAILED, "GraphRecursionError")
    assert len((await run.values())["out"]) == 7


async def test_a_cancelled_run_stops_before_its_next_super_step_and_frees_its_thread(counted):
    services = services_for(chain(counted.node("a"), counted.node("b")))
    run = Durably(services)
    await run.start({"out": []}, interrupt_before=["b"])
    await run.carry()
    await lifecycle.request_cancel(services.runs, await run.record(), NOW)
    record = await run.carry()
    assert record.status is RunStatus.CANCELLED
    assert counted.ran == ["a"]
    assert (await services.runs.thread("thread")).value.active_run is None


async def test_a_second_run_continues_the_thread_of_the_first(counted):
    services = services_for(chain(counted.node("a")))
    first = Durably(services, run_id="one")
    await first.start({"out": ["x"]})
    await first.carry()
    second = Durably(services, run_id="two")
    await second.start({"out": ["y"]})
    await second.carry()
    assert await second.output() == {"out": ["x", "a", "y", "a"]}


async def test_a_new_instance_goes_on_from_the_last_commit_and_asks_no_answered_question_again(counted):
    ask = counted.node("ask", lambda _: interrupt("ok?"))
    run = Durably(services_for(chain(counted.node("a"), ask, counted.node("c"))))
    await run.start({"out": []})
    await run.carry()
    await run.give("yes")
    record = await run.carry()  # from a fresh ticket, as the supervisor starts it
    assert record.status is RunStatus.COMPLETED
    assert await run.output() == {"out": ["a", "yes", "c"]}
    assert record.wait == 1


class Verdict(BaseModel):
    fine: bool


async def test_a_data_class_that_no_schema_names_is_found_again_as_it_was():
    def judge(_):
        return {"out": [Verdict(fine=True)]}

    def read(state):
        return {"out": [type(state["out"][0]).__name__]}

    run = Durably(services_for(chain(judge, read)))
    await run.start({"out": []})
    assert (await run.carry()).status is RunStatus.COMPLETED
    assert await run.output() == {"out": [{"fine": True}, "Verdict"]}


def test_what_is_no_data_class_is_refused_when_a_checkpoint_is_read():
    stored = JsonPlusSerializer().dumps_typed(Verdict(fine=True))
    with pytest.raises(TypeNotAllowedError):
        AppSerializer().loads_typed((stored[0], stored[1].replace(b"Verdict", b"Counted")))
    with pytest.raises(TypeNotAllowedError):
        StrictSerializer().loads_typed(stored)


async def test_nodes_remember_in_the_apps_store_across_runs_and_threads():
    async def remember(_, runtime: Runtime):
        await runtime.store.aput(("people",), "ada", {"visits": 1})
        return {"out": ["remembered"]}

    def recall(_, runtime: Runtime):
        return {"out": [runtime.store.get(("people",), "ada").value]}

    services = services_for(chain(remember, recall))
    services.kept.items = ItemStore(services.objects)
    run = Durably(services)
    await run.start({"out": []})
    await run.carry()
    assert await run.output() == {"out": ["remembered", {"visits": 1}]}
    assert (await ItemStore(services.objects).aget(("people",), "ada")).value == {"visits": 1}


async def test_a_new_instance_uses_the_answers_of_one_that_died_while_it_resumed(counted):
    services = services_for(chain(counted.node("ask", lambda _: interrupt("ok?")), counted.node("b")))
    run = Durably(services)
    await run.start({"out": []})
    await run.carry()
    await run.give("yes")
    await lifecycle.begin(services.runs, await run.record(), NOW)
    record = await run.carry()
    assert (record.status, record.wait) == (RunStatus.COMPLETED, 1)
    assert await run.output() == {"out": ["yes", "b"]}


async def test_a_new_instance_in_the_middle_of_a_run_repeats_no_committed_super_step(counted):
    services = services_for(chain(*(counted.node(name) for name in "abcd")))
    run = Durably(services)
    await run.start({"out": []})
    first = await run.attempt("advance_run", {"run_id": "run"})
    await run.attempt("advance_run", {"run_id": "run", "cursor": first["cursor"]})
    assert counted.ran == ["a", "b"]
    record = await run.carry()
    assert record.status is RunStatus.COMPLETED
    assert counted.ran == ["a", "b", "c", "d"]
    assert await run.output() == {"out": ["a", "b", "c", "d"]}


async def test_a_run_ended_when_its_last_super_step_did_not_when_that_began(counted):
    passed = []
    slow = counted.node("slow", lambda _: passed.append("an hour") or "slow")
    run = Durably(services_for(chain(slow)), now=lambda: NOW + timedelta(hours=len(passed)))
    await run.start({"out": []})

    assert (await run.carry()).updated_at == NOW + timedelta(hours=1)
