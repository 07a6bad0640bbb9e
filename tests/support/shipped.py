"""The graphs that ship, as cases: a claim that is edited and approved, a folder of documents, a question in stages."""

from graphs import document_pipeline, expense_approval, tool_agent
from tests.support.catalogue_graphs.case import Case

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
QUESTION = "How many days between 2025-01-31 and 2025-03-01? And what is 2 * 3?, then multiply that by 12.5"


def decide(question: dict) -> dict:
    """The first amount is too high; the lower one is fine."""
    if question["amount"] == CLAIM["amount"]:
        return {"decision": "edit", "by": "kim", "changes": {"amount": "480.00"}}
    return {"decision": "approve", "by": "kim"}


SHIPPED = {
    case.name: case
    for case in (
        Case(
            "expense_approval",
            "Asked, edited, asked again, booked.",
            expense_approval.builder.compile,
            {"claim": CLAIM},
            answer=decide,
            asks=2,
        ),
        Case("document_pipeline", "Five documents at once.", document_pipeline.builder.compile, {"folder": "."}),
        Case(
            "tool_agent",
            "Two tools at once, then one with their result.",
            tool_agent.graph,
            {"messages": [{"role": "user", "content": QUESTION, "id": "u1"}]},
        ),
    )
}
