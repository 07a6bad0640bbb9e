"""LangChain's create_agent with people in the loop: tool calls approved, edited, refused and answered by hand.

Both ways of asking: all calls of a turn in one question, and a question for each call, which all wait at once.
"""

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, ModelCallLimitMiddleware, TodoListMiddleware
from langchain_core.tools import tool
from pydantic import BaseModel

from tests.support.catalogue_graphs.apps import models
from tests.support.catalogue_graphs.case import Case
from tests.support.fake_model import Conversation, Reply, ToolUse


@tool
def read_data(table: str) -> str:
    """Read a table."""
    return f"{table}: 3 rows"


@tool
def run_sql(query: str) -> str:
    """Run a statement."""
    return f"ran {query}"


@tool
def send_mail(to: str, text: str) -> str:
    """Send a mail."""
    return f"sent to {to}"


@tool
def drop_table(table: str) -> str:
    """Drop a table."""
    return f"dropped {table}"


@tool
def ask_owner(question: str) -> str:
    """Ask the owner of the data."""
    raise AssertionError(f"a person answers for this tool, asked {question!r}")


class Summary(BaseModel):
    """What was done."""

    rows: int
    mails: list[str]


TOOLS = [read_data, run_sql, send_mail, drop_table, ask_owner]
EVERY_DECISION = {
    "run_sql": {"allowed_decisions": ["approve", "edit", "reject"]},
    "send_mail": True,
    "drop_table": {"allowed_decisions": ["approve", "reject"], "description": "There is no way back."},
    "ask_owner": {"allowed_decisions": ["respond"]},
}


def agent(**asking):
    """Reading needs nobody's leave, the other tools do; the answer is structured."""
    return create_agent(
        models.openai(),
        TOOLS,
        system_prompt="You are careful.",
        middleware=[
            TodoListMiddleware(),
            ModelCallLimitMiddleware(run_limit=10),
            HumanInTheLoopMiddleware(interrupt_on=EVERY_DECISION, **asking),
        ],
        response_format=Summary,
        name="careful",
    )


def one_question():
    """All calls of a turn in one question."""
    return agent()


def question_each():
    """A question for each call, asked by the call's own task."""
    return agent(interrupt_mode="per_call")


def work(talk: Conversation) -> Reply | None:
    """Read, then four calls at once, then one more, then sum up."""
    if "You are careful." not in talk.system:
        return None
    if not talk.called("read_data"):
        return Reply(uses=(ToolUse("read_data", {"table": "orders"}),))
    if not talk.called("run_sql"):
        mail = {"to": "all@example.org", "text": "gone"}
        calls = {
            "run_sql": {"query": "DELETE FROM orders"},
            "send_mail": mail,
            "drop_table": {"table": "old_orders"},
            "ask_owner": {"question": "May I?"},
        }
        return Reply(uses=tuple(ToolUse(name, args) for name, args in calls.items()))
    if talk.called("drop_table") == 1:
        return Reply(uses=(ToolUse("drop_table", {"table": "orders"}),))
    return Reply(uses=(ToolUse("Summary", {"rows": 3, "mails": []}),))


def decision(name: str, args: dict) -> dict:
    """Soften the statement, refuse the mail, drop the old table alone, answer for the owner."""
    match name, args:
        case "run_sql", _:
            return {"type": "edit", "edited_action": {"name": "run_sql", "args": {"query": "SELECT 1"}}}
        case "drop_table", {"table": "old_orders"}:
            return {"type": "approve"}
        case "ask_owner", _:
            return {"type": "respond", "message": "the owner agrees"}
        case _:
            return {"type": "reject", "message": f"no {name} today"}


def decide(request: dict) -> dict:
    """The decisions on a question, in either form."""
    if request.get("type") == "tool_approval":
        return decision(request["name"], request["args"])
    return {"decisions": [decision(action["name"], action["args"]) for action in request["action_requests"]]}


RULES = (work,)
QUESTION = {"messages": [{"role": "user", "content": "Clean up the orders.", "id": "u1"}]}
CASES = (
    Case("careful_agent", "Four decisions in one answer, then one more.", one_question, QUESTION, decide, asks=2),
    Case("careful_agent_each", "Four questions at once, then one more.", question_each, QUESTION, decide, asks=2),
)
