"""Graphs in the embedded host, in memory: the whole durable path without a process, a port or a file."""

import operator
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

from durablegraph.graphs.registry import registered
from durablegraph.testing import (
    CrashNeverCame,
    DurableApp,
    Refused,
    Stuck,
    WrongEnd,
    after_activity,
    after_write,
    assert_equals_plain_invoke,
    before_write,
)

ROOT = Path(__file__).parents[3]


class State(TypedDict, total=False):
    amount: int
    log: Annotated[list[str], operator.add]


def note(text):
    return lambda _: {"log": [text]}


def ask(state):
    answer = interrupt({"question": f"Pay {state['amount']}?"})
    return {"log": [f"answered {answer}"]}


def claim():
    builder = StateGraph(State)
    builder.add_node("check", note("checked"))
    builder.add_node("ask", ask)
    builder.add_node("pay", note("paid"))
    builder.add_edge(START, "check")
    builder.add_edge("check", "ask")
    builder.add_edge("ask", "pay")
    return builder.compile()


def fan():
    builder = StateGraph(State)
    builder.add_node("split", note("split"))
    builder.add_node("part", lambda state: {"log": [f"part {state['amount']}"]})
    builder.add_node("ask", ask)
    builder.add_edge(START, "split")
    builder.add_conditional_edges(
        "split", lambda _: [*(Send("part", {"amount": n}) for n in range(3)), Send("ask", {"amount": 9})]
    )
    return builder.compile()


def failing():
    builder = StateGraph(State)
    builder.add_node("boom", lambda _: 1 / 0)
    builder.add_edge(START, "boom")
    return builder.compile()


@pytest.fixture
def app(durable_app):
    return durable_app(graphs={"claim": claim(), "fan": fan(), "failing": failing()})


def test_a_run_waits_is_answered_and_ends(app):
    run = app.start("claim", {"amount": 740}).until_interrupt()
    (question,) = run.interrupts
    assert (question.node, question.value) == ("ask", {"question": "Pay 740?"})
    run.answer("yes")
    assert run.output == {"amount": 740, "log": ["checked", "answered yes", "paid"]}
    assert [item["metadata"]["step"] for item in run.checkpoints] == [-1, 0, 1, 2, 3]


def test_a_run_waits_for_months(app):
    run = app.start("claim", {"amount": 1})
    app.clock.advance(days=100)
    assert run.status == "interrupted"
    assert run.answer("late").until_end().output["log"][1] == "answered late"


def test_a_run_that_waits_for_an_answer_is_not_waited_for(app):
    run = app.start("claim", {"amount": 740})
    with pytest.raises(Stuck, match=r"waits for answers \(run\.answer\(\.\.\.\)\) to .* of node 'ask'.*Pay 740\?"):
        run.until_end()
    with pytest.raises(WrongEnd, match="Found no output"):
        _ = run.output


def test_a_run_that_fails_says_where(app):
    run = app.start("failing", {"amount": 1}).until_end()
    assert (run.status, run.error.type, run.error.node) == ("failed", "ZeroDivisionError", "boom")
    with pytest.raises(WrongEnd, match=r"ended without an interrupt.*ZeroDivisionError in node 'boom'"):
        run.until_interrupt()


def test_a_second_answer_is_refused_and_the_same_one_is_not(app):
    run = app.start("claim", {"amount": 1}).answer("yes")
    run.answer("yes")
    with pytest.raises(Refused, match="run_ended") as refused:
        run.answer("no")
    assert refused.value.status == 410


def test_an_unknown_graph_is_refused(app):
    with pytest.raises(Refused, match="404 graph_not_found"):
        app.start("other")


def test_a_busy_thread_refuses_the_second_run(app):
    app.start("claim", {"amount": 1}, thread_id="t")
    with pytest.raises(Refused, match="409"):
        app.start("claim", {"amount": 2}, thread_id="t")


def test_a_breakpoint_is_passed_with_an_answer_of_nothing(app):
    run = app.start("claim", {"amount": 1}, interrupt_before=["pay"]).answer("yes").until_interrupt()
    assert run.next == ["pay"]
    assert run.answer().until_end().output["log"][-1] == "paid"


def test_the_http_routes_are_there_too(app):
    started = app.request("POST", "/api/graphs/claim/runs", json={"input": {"amount": 3}})
    assert started.status_code == 202
    shown = app.request("GET", f"/api/runs/{started.json()['id']}")
    assert shown.json()["status"] == "interrupted"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_run_outlives_a_crash_after_any_of_its_activities(app, number):
    app.crash(at=after_activity(number))
    run = app.start("claim", {"amount": 1})
    run.answer("yes") if run.until_interrupt() else None
    assert run.until_end().output["log"] == ["checked", "answered yes", "paid"]
    assert app.crashes == 1


@pytest.mark.parametrize("when", [before_write, after_write])
@pytest.mark.parametrize("number", [1, 2, 4, 7])
def test_a_run_outlives_a_crash_at_a_write(app, when, number):
    app.crash(at=when(number))
    run = app.start("claim", {"amount": 1}).until_interrupt().answer("yes").until_end()
    assert run.output["log"] == ["checked", "answered yes", "paid"]
    assert app.crashes == 1


def test_a_run_outlives_a_storage_that_fails_for_a_while(app):
    app.storage.fail("put", at=2, times=3)
    began = app.clock.now
    run = app.start("claim", {"amount": 1}).until_interrupt().answer("yes").until_end()
    assert run.output["log"] == ["checked", "answered yes", "paid"]
    assert app.clock.now - began >= timedelta(seconds=1), "the activity was tried again after a pause"


def test_a_fault_that_never_comes_fails_the_test():
    app = DurableApp(graphs={"claim": claim()})
    app.storage.fail("delete", key="no-such-key")
    with pytest.raises(CrashNeverCame, match="no-such-key"):
        app.close()


def test_a_fault_needs_a_request_that_there_is(app):
    with pytest.raises(ValueError, match="expected one of get, put, delete, list"):
        app.storage.fail("write")


def test_nodes_run_once_however_often_the_activity_is_delivered(durable_app):
    ran = []
    builder = StateGraph(State)
    builder.add_node("pay", lambda state: ran.append(state["amount"]) or {"log": ["paid"]})
    builder.add_edge(START, "pay")
    builder.add_edge("pay", END)
    app = durable_app(graphs={"pay": builder.compile()})
    app.deliver_twice()
    assert app.start("pay", {"amount": 5}).until_end().output["log"] == ["paid"]
    assert ran == [5]
    assert len(app.activities) == 2


def test_settings_are_the_apps(durable_app):
    app = durable_app(graphs={"claim": claim()}, settings={"DURABLEGRAPH_STEPS_PER_EXECUTION": "1"})
    run = app.start("claim", {"amount": 1}).answer("yes").until_end()
    assert run.orchestration.status == "Completed"
    scheduled = [event for event in run.orchestration.history if event["EventType"] == 4]
    assert len(scheduled) == 1, "it continued as new after each activity"


@pytest.mark.parametrize("build", [claim, fan, failing])
def test_a_durable_run_equals_plain_invoke(build):
    assert_equals_plain_invoke(build(), {"amount": 3}, answers=lambda value: f"to {value['question']}")


def test_a_durable_run_equals_plain_invoke_through_crashes_and_repetitions():
    values = assert_equals_plain_invoke(
        claim(), {"amount": 3}, answers=["yes"], crash_at=[after_activity(1), after_write(9)], deliver_twice=True
    )
    assert values["log"] == ["checked", "answered yes", "paid"]


def test_a_graph_whose_runs_differ_is_told_from_plain_invoke():
    ran = []
    builder = StateGraph(State)
    builder.add_node("count", lambda _: ran.append(1) or {"log": [f"run {len(ran)}"]})
    builder.add_edge(START, "count")
    with pytest.raises(AssertionError, match=r"Checkpoint 2: values of plain invoke: .*run 1.*durable run: .*run 2"):
        assert_equals_plain_invoke(builder.compile(), {"amount": 1})


def test_an_interrupt_without_an_answer_is_named():
    with pytest.raises(AssertionError, match=r"Found the interrupt .*Pay 3\?.* after 0 answers"):
        assert_equals_plain_invoke(claim(), {"amount": 3})


async def test_parity_is_checked_in_async_tests_too():
    assert_equals_plain_invoke(claim(), {"amount": 3}, answers=["yes"])


def test_an_apps_own_graphs_run_in_memory_and_leave_nothing_in_its_folder(durable_app, tmp_path):
    before = sorted(ROOT.iterdir())
    app = durable_app(ROOT, settings={"EXPENSE_LEDGER": str(tmp_path / "ledger.db")})
    claim = {
        "id": "c-7",
        "employee": "Ada",
        "category": "travel",
        "amount": "740.00",
        "receipt": True,
        "spent_on": "2026-03-03",
        "submitted_on": "2026-03-10",
        "purpose": "three nights in Zurich",
    }
    run = app.start("expense_approval", {"claim": claim}).until_interrupt()
    app.crash()
    run.answer({"decision": "approve", "by": "kim"}).until_end()
    assert run.output["booking"]
    assert sorted(ROOT.iterdir()) == before


def test_triggers_without_a_langgraph_json_run_the_graphs_of_the_test(durable_app, tmp_path):
    for name in ("function_app.py", "host.json", "orchestrators", "activities", "http_starters"):
        (tmp_path / name).symlink_to(ROOT / name)
    app = durable_app(tmp_path, graphs={"claim": claim()})
    assert app.start("claim", {"amount": 1}).until_interrupt().answer("yes").status == "completed"
    app.close()
    assert registered() == {}
