"""deepagents: a research agent with two subagents at once, files, and a person who must agree before it publishes."""

from deepagents import create_deep_agent
from langchain_core.tools import tool

from tests.support.catalogue_graphs.apps import models
from tests.support.catalogue_graphs.case import Case
from tests.support.fake_model import Conversation, Reply, ToolUse

FACTS = {"trains": "a train emits 35 g a kilometre", "planes": "a plane emits 255 g a kilometre"}


@tool
def lookup(topic: str) -> str:
    """Look a topic up in the encyclopedia."""
    return FACTS[topic]


@tool
def publish(title: str) -> str:
    """Publish the report."""
    return f"published {title}"


def researcher(**more):
    return {
        "name": "researcher",
        "description": "Researches one topic.",
        "system_prompt": "You are the researcher.",
        "tools": [lookup],
        **more,
    }


def publishing():
    """Two researchers at once; publishing is asked for."""
    return create_deep_agent(
        model=models.openai(),
        tools=[publish],
        system_prompt="You are the editor.",
        subagents=[researcher()],
        interrupt_on={"publish": True},
    )


def researching():
    """The researchers themselves ask before they look anything up, both at once, from inside the subagents."""
    return create_deep_agent(
        model=models.anthropic(),
        tools=[publish],
        system_prompt="You are the editor.",
        subagents=[researcher(interrupt_on={"lookup": True})],
    )


def research(talk: Conversation) -> Reply | None:
    """What a researcher's model says."""
    if "You are the researcher." not in talk.system:
        return None
    topic = talk.question.rsplit(" ", 1)[-1]
    return Reply(talk.results[-1].text) if talk.results else Reply(uses=(ToolUse("lookup", {"topic": topic}),))


def edit(talk: Conversation) -> Reply | None:
    """What the editor's model says."""
    if "You are the editor." not in talk.system:
        return None
    if not talk.called("write_todos"):
        todos = [{"content": "compare", "status": "in_progress"}]
        return Reply("first a plan", uses=(ToolUse("write_todos", {"todos": todos}),))
    if not talk.called("task"):
        tasks = ({"description": f"research {topic}", "subagent_type": "researcher"} for topic in ("trains", "planes"))
        return Reply(uses=tuple(ToolUse("task", task) for task in tasks))
    if not talk.called("write_file"):
        found = "\n".join(turn.text for turn in talk.results if "emits" in turn.text)
        return Reply(uses=(ToolUse("write_file", {"file_path": "/report.md", "content": found}),))
    if not talk.called("publish"):
        return Reply(uses=(ToolUse("publish", {"title": "Trains or planes"}),))
    return Reply(f"done: {talk.results[-1].text}")


RULES = (research, edit)
QUESTION = {"messages": [{"role": "user", "content": "Compare trains and planes.", "id": "u1"}]}


def approve(request: dict) -> dict:
    """Yes to every action of a request."""
    return {"decisions": [{"type": "approve"} for _ in request["action_requests"]]}


CASES = (
    Case("deep_agent_publishing", "Parallel subagents, then a question.", publishing, QUESTION, answer=approve, asks=1),
    Case("deep_agent_researching", "Questions in parallel subagents.", researching, QUESTION, answer=approve, asks=1),
)
