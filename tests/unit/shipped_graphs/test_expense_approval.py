import json
import sqlite3
from contextlib import closing

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graphs import expense_approval

CLAIM = {
    "id": "E-1",
    "employee": "Ada",
    "category": "travel",
    "amount": "612.40",
    "spent_on": "2025-03-01",
    "submitted_on": "2025-03-10",
    "receipt": True,
    "purpose": "a train to Lyon",
}
THREAD = {"configurable": {"thread_id": "t"}}


@pytest.fixture(autouse=True)
def ledger(tmp_path, monkeypatch):
    path = tmp_path / "books" / "ledger.db"
    monkeypatch.setenv("EXPENSE_LEDGER", str(path))
    return path


@pytest.fixture
def graph():
    return expense_approval.builder.compile(checkpointer=InMemorySaver())


def rows(path):
    with closing(sqlite3.connect(path)) as ledger:
        return ledger.execute("SELECT number, claim, employee, amount, currency FROM entries").fetchall()


def question(result):
    (waiting,) = result["__interrupt__"]
    return waiting.value


def test_a_claim_above_the_limit_asks_with_all_that_a_form_needs(graph):
    result = graph.invoke({"claim": CLAIM}, THREAD)

    asked = question(result)
    assert asked["question"] == "Pay Ada 612.40 EUR for a train to Lyon?"
    assert (asked["amount"], asked["currency"]) == ("612.40", "EUR")
    assert asked["allowed"] == ["approve", "edit", "reject"]
    assert asked["findings"] == ["612.40 EUR is above the limit of 500 for travel"]
    assert result["__interrupt__"][0].response_schema == expense_approval.ANSWER_SCHEMA
    json.dumps(asked)


def test_an_approved_claim_is_booked(graph, ledger):
    graph.invoke({"claim": CLAIM}, THREAD)
    result = graph.invoke(Command(resume={"decision": "approve", "by": "kim"}), THREAD)

    assert result["outcome"] == "booked"
    assert result["booking"] == {"entry": 1, "amount": "612.40", "currency": "EUR"}
    assert result["trail"][-2:] == ["approved by kim", "booked as entry 1"]
    assert rows(ledger) == [(1, "E-1", "Ada", "612.40", "EUR")]


def test_a_rejected_claim_is_not_booked(graph, ledger):
    graph.invoke({"claim": CLAIM}, THREAD)
    result = graph.invoke(Command(resume={"decision": "reject", "by": "kim", "reason": "private"}), THREAD)

    assert result["outcome"] == "rejected"
    assert result["trail"][-1] == "rejected by kim: private"
    assert not ledger.exists()


def test_an_edit_goes_through_the_policy_again(graph, ledger):
    graph.invoke({"claim": CLAIM}, THREAD)
    asked_again = graph.invoke(Command(resume={"decision": "edit", "changes": {"amount": "480.00"}}), THREAD)

    assert question(asked_again)["findings"] == []
    assert question(asked_again)["amount"] == "480.00"
    result = graph.invoke(Command(resume={"decision": "approve"}), THREAD)
    assert [row[3] for row in rows(ledger)] == ["480.00"]
    assert result["trail"].count("policy: no findings") == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("yes", "not an answer to this question"),
        ({"decision": "perhaps"}, "not an answer to this question"),
        ({"decision": "approve", "amount": 1}, "not an answer to this question"),
        ({"decision": "edit", "changes": {"amount": "-3"}}, "these changes make no valid claim: amount"),
        ({"decision": "edit", "changes": {"colour": "red"}}, "these changes make no valid claim: colour"),
    ],
    ids=["text", "unknown decision", "surplus field", "negative amount", "unknown field"],
)
def test_an_answer_that_makes_no_sense_is_asked_again(graph, ledger, answer, says):
    graph.invoke({"claim": CLAIM}, THREAD)
    result = graph.invoke(Command(resume=answer), THREAD)

    assert says in question(result)["problem"]
    result = graph.invoke(Command(resume={"decision": "approve"}), THREAD)
    assert result["outcome"] == "booked"


def test_a_small_claim_without_findings_asks_nobody(graph, ledger):
    result = graph.invoke({"claim": {**CLAIM, "amount": "12.50", "receipt": False}}, THREAD)

    assert result["outcome"] == "booked"
    assert len(rows(ledger)) == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "1.234"}, "amount"),
        ({"category": "yacht"}, "category"),
        ({"spent_on": "2025-04-01"}, "is after submitted_on"),
        ({"currency": "euros"}, "currency"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_an_invalid_claim_ends_with_what_is_wrong(graph, ledger, change, problem):
    result = graph.invoke({"claim": {**CLAIM, **change}}, THREAD)

    assert result["outcome"] == "invalid"
    assert any(problem in sentence for sentence in result["problems"])
    assert not ledger.exists()


def test_findings_name_every_broken_rule():
    claim = expense_approval.Claim.model_validate({**CLAIM, "receipt": False, "spent_on": "2024-11-01"})

    assert expense_approval.policy_findings(claim) == [
        "612.40 EUR is above the limit of 500 for travel",
        "no receipt, which is needed above 25",
        "submitted 129 days after it was spent",
    ]


def test_a_booking_that_is_tried_twice_is_booked_once(ledger):
    claim = expense_approval.Claim.model_validate(CLAIM).model_dump(mode="json")

    first = expense_approval.write_to_ledger(ledger, "task-1", claim)
    second = expense_approval.write_to_ledger(ledger, "task-1", claim)
    other = expense_approval.write_to_ledger(ledger, "task-2", claim)

    assert (first, second, other) == (1, 1, 2)
    assert len(rows(ledger)) == 2


def test_the_node_keys_its_booking_by_the_task(graph, ledger):
    graph.invoke({"claim": CLAIM}, THREAD)
    (task,) = graph.get_state(THREAD).tasks
    assert task.name == "ask_approver"
    graph.invoke(Command(resume={"decision": "approve"}), THREAD, interrupt_before=["book"])
    (booking,) = graph.get_state(THREAD).tasks
    graph.invoke(None, THREAD)

    with closing(sqlite3.connect(ledger)) as books:
        assert books.execute("SELECT key FROM entries").fetchall() == [(booking.id,)]
