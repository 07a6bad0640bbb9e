"""LangChain's create_agent with people in the loop: two tool calls in one question, one edited, one refused."""

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


class Summary(BaseModel):
    """What was done."""

    rows: int
    mails: list[str]


def graph():
    """Reading needs nobody's leave, the other two tools do; the answer is structured."""
    return create_agent(
        models.openai(),
        [read_data, run_sql, send_mail],
        system_prompt="You are careful.",
        middleware=[
            TodoListMiddleware(),
            ModelCallLimitMiddleware(run_limit=10),
            HumanInTheLoopMiddleware(
                interrupt_on={"run_sql": {"allowed_decisions": ["approve", "edit", "reject"]}, "send_mail": True}
            ),
        ],
        response_format=Summary,
        name="careful",
    )


def work(talk: Conversation) -> Reply | None:
    """Read, then change and mail at once, then sum up."""
    if not talk.called("read_data"):
        return Reply(uses=(ToolUse("read_data", {"table": "orders"}),))
    if not talk.called("run_sql"):
        mail = {"to": "all@example.org", "text": "gone"}
        return Reply(uses=(ToolUse("run_sql", {"query": "DELETE FROM orders"}), ToolUse("send_mail", mail)))
    return Reply(uses=(ToolUse("Summary", {"rows": 3, "mails": []}),))


def decide(request: dict) -> dict:
    """Soften the statement, refuse the mail."""
    decisions = []
    for action in request["action_requests"]:
        if action["name"] == "run_sql":
            softer = {"name": "run_sql", "args": {"query": "SELECT 1"}}
            decisions.append({"type": "edit", "edited_action": softer})
        else:
            decisions.append({"type": "reject", "message": "no mails today"})
    return {"decisions": decisions}


RULES = (work,)
QUESTION = {"messages": [{"role": "user", "content": "Clean up the orders.", "id": "u1"}]}
CASES = (Case("careful_agent", "Edit and reject in one answer.", graph, QUESTION, answer=decide, asks=1),)
