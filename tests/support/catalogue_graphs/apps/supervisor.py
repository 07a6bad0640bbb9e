"""langgraph-supervisor: a supervisor that hands work to two agents and gets it back."""

from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph_supervisor import create_supervisor

from tests.support.catalogue_graphs.apps import models
from tests.support.catalogue_graphs.case import Case
from tests.support.fake_model import Conversation, Reply, ToolUse


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def headcount(company: str) -> str:
    """Find how many people a company employs."""
    return {"Acme": "67317", "Umbrella": "1000"}[company]


def graph():
    """The supervisor and its two agents."""
    model = models.openai()
    research = create_agent(model, [headcount], system_prompt="You are the research expert.", name="research_expert")
    maths = create_agent(model, [add], system_prompt="You are the maths expert.", name="maths_expert")
    return create_supervisor([research, maths], model=model, prompt="You are the supervisor.").compile()


def research(talk: Conversation) -> Reply | None:
    """Two lookups at once, then both numbers."""
    if "You are the research expert." not in talk.system:
        return None
    counts = [turn.text for turn in talk.results if turn.text.isdigit()]
    if counts:
        return Reply(f"Acme has {counts[0]}, Umbrella has {counts[1]}")
    return Reply(uses=(ToolUse("headcount", {"company": "Acme"}), ToolUse("headcount", {"company": "Umbrella"})))


def maths(talk: Conversation) -> Reply | None:
    """One sum."""
    if "You are the maths expert." not in talk.system:
        return None
    if talk.called("add"):
        return Reply(f"together {talk.results[-1].text}")
    return Reply(uses=(ToolUse("add", {"a": 67317, "b": 1000}),))


def supervise(talk: Conversation) -> Reply | None:
    """Research first, then maths, then the answer."""
    if "You are the supervisor." not in talk.system:
        return None
    if not talk.called("transfer_to_research_expert"):
        return Reply(uses=(ToolUse("transfer_to_research_expert", {}),))
    if not talk.called("transfer_to_maths_expert"):
        return Reply(uses=(ToolUse("transfer_to_maths_expert", {}),))
    return Reply("Both companies employ 68317 people.")


RULES = (research, maths, supervise)
QUESTION = {"messages": [{"role": "user", "content": "How many people work at both companies?", "id": "u1"}]}
CASES = (
    Case("supervisor", "A supervisor hands work over and gets it back.", graph, QUESTION),
    Case(
        "supervisor_out_of_steps",
        "The same with too few steps: as many model calls, then LangGraph's own error.",
        graph,
        QUESTION,
        raises="GraphRecursionError",
        config={"recursion_limit": 4},
    ),
)
