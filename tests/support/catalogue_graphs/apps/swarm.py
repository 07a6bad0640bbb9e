"""langgraph-swarm: agents that hand the conversation over to each other, and stay active for the next question."""

from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph_swarm import create_handoff_tool, create_swarm

from tests.support.catalogue_graphs.apps import models
from tests.support.catalogue_graphs.case import Case
from tests.support.fake_model import Conversation, Reply, ToolUse


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def graph():
    """Alice adds, Bob talks like a pirate."""
    model = models.openai()
    alice = create_agent(
        model,
        [add, create_handoff_tool(agent_name="Bob")],
        system_prompt="You are Alice, an addition expert.",
        name="Alice",
    )
    bob = create_agent(
        model,
        [create_handoff_tool(agent_name="Alice", description="Ask Alice about sums.")],
        system_prompt="You are Bob, you speak like a pirate.",
        name="Bob",
    )
    return create_swarm([alice, bob], default_active_agent="Alice").compile()


def alice(talk: Conversation) -> Reply | None:
    """Add when asked to, hand over when asked for Bob."""
    if "You are Alice" not in talk.system:
        return None
    if "Bob" in talk.question:
        return Reply(uses=(ToolUse("transfer_to_bob", {}),))
    if talk.called("add"):
        return Reply(f"The sum is {talk.results[-1].text}.")
    return Reply(uses=(ToolUse("add", {"a": 5, "b": 7}),))


def bob(talk: Conversation) -> Reply | None:
    """Hand sums over, answer everything else."""
    if "You are Bob" not in talk.system:
        return None
    if "sum" in talk.question:
        return Reply(uses=(ToolUse("transfer_to_alice", {}),))
    return Reply("Arr, matey!")


def says(text: str, number: int) -> dict:
    """A question with a lasting id."""
    return {"messages": [{"role": "user", "content": text, "id": f"u{number}"}]}


RULES = (alice, bob)
CASES = (
    Case(
        "swarm",
        "Agents hand over, and the active one is remembered by the thread.",
        graph,
        says("I want to speak to Bob", 1),
        later=(says("hello again", 2), says("what is the sum of 5 and 7?", 3)),
    ),
)
