"""An expense claim: validated, checked against policy, decided by a person, booked exactly once.

Start it with ``{"claim": {...}}``. A small claim that breaks no rule is booked at once. Every other claim waits in
`ask_approver`, for minutes or for months, until somebody answers with one of::

    {"decision": "approve", "by": "kim"}
    {"decision": "edit", "by": "kim", "changes": {"amount": "420.00"}}
    {"decision": "reject", "by": "kim", "reason": "a private trip"}

What to copy from it: the question carries all that a form needs; an answer that makes no sense is asked again
instead of failing the run; an edit goes back through the policy; the booking is keyed, so that a retry books nothing
twice. Amounts travel as strings, because state is serialised between steps and money is no float.
"""

import operator
import os
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from typing_extensions import TypedDict

Category = Literal["travel", "meals", "equipment", "other"]

LIMITS: dict[str, Decimal] = {
    "travel": Decimal(500),
    "meals": Decimal(60),
    "equipment": Decimal(1000),
    "other": Decimal(100),
}
"""Above these amounts, in the claim's currency, a claim breaks the rule of its category."""

BOOKED_UNASKED = Decimal(25)
RECEIPT_ABOVE = Decimal(25)
CLAIM_WITHIN = timedelta(days=90)
DEFAULT_LEDGER = Path(".durablegraph") / "expense-ledger.db"


class Claim(BaseModel):
    """What somebody wants back. `spent_on` and `submitted_on` are dates, so that no rule asks a clock."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=64)
    employee: str = Field(min_length=1, max_length=120)
    category: Category
    amount: Decimal = Field(gt=0, le=100_000, decimal_places=2)
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")
    spent_on: date
    submitted_on: date
    receipt: bool = False
    purpose: str = Field(min_length=1, max_length=500)

    @model_validator(mode="after")
    def spent_before_it_was_submitted(self) -> "Claim":
        """Nobody claims tomorrow's lunch."""
        if self.spent_on > self.submitted_on:
            raise ValueError(f"spent_on {self.spent_on} is after submitted_on {self.submitted_on}")
        return self


class Approve(BaseModel):
    """Book the claim as it stands."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve"]
    by: str | None = None


class Edit(BaseModel):
    """Change fields of the claim, then check it again."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["edit"]
    by: str | None = None
    changes: dict[str, Any] = Field(min_length=1)


class Reject(BaseModel):
    """End here; nothing is booked."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["reject"]
    by: str | None = None
    reason: str = ""


Answer = Annotated[Approve | Edit | Reject, Field(discriminator="decision")]
ANSWER: TypeAdapter[Approve | Edit | Reject] = TypeAdapter(Answer)
ANSWER_SCHEMA = ANSWER.json_schema()

AfterAnswer = Command[Literal["book", "check_policy", "ask_approver", "__end__"]]


class ExpenseInput(TypedDict):
    """What starts a run."""

    claim: dict[str, Any]


class ExpenseOutput(TypedDict, total=False):
    """What a run gives back. `trail` says in order what happened to the claim."""

    claim: dict[str, Any]
    outcome: Literal["booked", "rejected", "invalid"]
    problems: list[str]
    booking: dict[str, Any]
    trail: list[str]


class ExpenseState(TypedDict, total=False):
    """The claim on its way; plain values only, so that a later version of these classes can still read it."""

    claim: dict[str, Any]
    problems: list[str]
    findings: list[str]
    answer_problem: str | None
    outcome: Literal["booked", "rejected", "invalid"]
    booking: dict[str, Any]
    trail: Annotated[list[str], operator.add]


def explain(error: ValidationError) -> list[str]:
    """One sentence a problem, without the text that only a programmer understands."""
    return [f"{'.'.join(map(str, item['loc'])) or 'claim'}: {item['msg']}" for item in error.errors()]


def policy_findings(claim: Claim) -> list[str]:
    """The rules that this claim breaks, as sentences for the approver."""
    findings = []
    limit = LIMITS[claim.category]
    if claim.amount > limit:
        findings.append(f"{claim.amount} {claim.currency} is above the limit of {limit} for {claim.category}")
    if claim.amount > RECEIPT_ABOVE and not claim.receipt:
        findings.append(f"no receipt, which is needed above {RECEIPT_ABOVE}")
    if claim.submitted_on - claim.spent_on > CLAIM_WITHIN:
        findings.append(f"submitted {(claim.submitted_on - claim.spent_on).days} days after it was spent")
    return findings


def validate(state: ExpenseState) -> Command[Literal["check_policy", "__end__"]]:
    """Turn what came in into a claim, or end the run with what is wrong with it."""
    try:
        claim = Claim.model_validate(state["claim"])
    except ValidationError as error:
        problems = explain(error)
        update = {"outcome": "invalid", "problems": problems, "trail": [f"invalid: {'; '.join(problems)}"]}
        return Command(goto="__end__", update=update)
    return Command(goto="check_policy", update={"claim": claim.model_dump(mode="json"), "trail": ["validated"]})


def check_policy(state: ExpenseState) -> Command[Literal["ask_approver", "book"]]:
    """Find the rules that the claim breaks and decide whether a person has to look."""
    claim = Claim.model_validate(state["claim"])
    findings = policy_findings(claim)
    unasked = not findings and claim.amount <= BOOKED_UNASKED
    trail = f"policy: {'; '.join(findings) or 'no findings'}"
    return Command(
        goto="book" if unasked else "ask_approver",
        update={"findings": findings, "answer_problem": None, "trail": [trail]},
    )


def ask_approver(state: ExpenseState) -> AfterAnswer:
    """Wait for a person.

    LangGraph runs a node again from its first line when the answer is there, so nothing before `interrupt` may have
    an effect.
    """
    answer = interrupt(question_for(state), response_schema=ANSWER_SCHEMA)
    try:
        decision = ANSWER.validate_python(answer)
    except ValidationError as error:
        return ask_again(f"not an answer to this question: {'; '.join(explain(error))}")
    who = decision.by or "an approver"
    match decision:
        case Approve():
            return Command(goto="book", update={"answer_problem": None, "trail": [f"approved by {who}"]})
        case Reject():
            trail = f"rejected by {who}" + (f": {decision.reason}" if decision.reason else "")
            return Command(goto="__end__", update={"outcome": "rejected", "answer_problem": None, "trail": [trail]})
        case Edit():
            return edited(state, decision, who)


def question_for(state: ExpenseState) -> dict[str, Any]:
    """All that a page needs to ask the question; it goes into the run's status as it is."""
    claim = state["claim"]
    question = f"Pay {claim['employee']} {claim['amount']} {claim['currency']} for {claim['purpose']}?"
    return {
        "question": question,
        "amount": claim["amount"],
        "currency": claim["currency"],
        "claim": claim,
        "findings": state.get("findings", []),
        "allowed": ["approve", "edit", "reject"],
        "problem": state.get("answer_problem"),
    }


def ask_again(problem: str) -> AfterAnswer:
    """A person's slip is no reason to fail a run that has waited for days."""
    return Command(goto="ask_approver", update={"answer_problem": problem, "trail": [f"asked again: {problem}"]})


def edited(state: ExpenseState, edit: Edit, who: str) -> AfterAnswer:
    """Apply the approver's changes and send the claim back through the policy."""
    try:
        claim = Claim.model_validate({**state["claim"], **edit.changes})
    except ValidationError as error:
        return ask_again(f"these changes make no valid claim: {'; '.join(explain(error))}")
    trail = f"edited by {who}: {', '.join(sorted(edit.changes))}"
    return Command(goto="check_policy", update={"claim": claim.model_dump(mode="json"), "trail": [trail]})


def book(state: ExpenseState, runtime: Runtime) -> dict[str, Any]:
    """Write the claim into the ledger, once.

    A node may run twice: the worker can die after the effect and before the step is committed. The task's id is the
    same in every attempt of it, so it is the key of the row, and the database refuses the second one.
    """
    if runtime.execution_info is None:
        raise RuntimeError("found no execution information, expected to run inside a graph: call it through `graph`")
    claim = state["claim"]
    entry = write_to_ledger(ledger_path(), runtime.execution_info.task_id, claim)
    booking = {"entry": entry, "amount": claim["amount"], "currency": claim["currency"]}
    return {"outcome": "booked", "booking": booking, "trail": [f"booked as entry {entry}"]}


def ledger_path() -> Path:
    """The ledger's file: `EXPENSE_LEDGER`, or one beside the app's state."""
    return Path(os.environ.get("EXPENSE_LEDGER", DEFAULT_LEDGER))


def write_to_ledger(path: Path, key: str, claim: dict[str, Any]) -> int:
    """Add a row under `key` unless there is one, and return its number: the same on every call with this key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=30)) as ledger, ledger:
        ledger.execute(
            "CREATE TABLE IF NOT EXISTS entries"
            " (number INTEGER PRIMARY KEY, key TEXT UNIQUE, claim TEXT, employee TEXT, amount TEXT, currency TEXT)"
        )
        ledger.execute(
            "INSERT INTO entries (key, claim, employee, amount, currency) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO NOTHING",
            (key, claim["id"], claim["employee"], claim["amount"], claim["currency"]),
        )
        (number,) = ledger.execute("SELECT number FROM entries WHERE key = ?", (key,)).fetchone()
    return int(number)


builder = StateGraph(ExpenseState, input_schema=ExpenseInput, output_schema=ExpenseOutput)
builder.add_node(validate)
builder.add_node(check_policy)
builder.add_node(ask_approver)
builder.add_node(book)
builder.add_edge(START, "validate")
builder.add_edge("book", END)

graph = builder.compile()
