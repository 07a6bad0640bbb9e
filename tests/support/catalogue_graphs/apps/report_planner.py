"""open-deep-research's first graph: a plan that a person may send back, then a subgraph for every section by `Send`."""

import json

from legacy.graph import builder

from tests.support.catalogue_graphs.apps import deep_research
from tests.support.catalogue_graphs.case import Case
from tests.support.fake_model import Conversation, Reply, ToolUse


def graph():
    """The published builder, compiled as its module compiles it."""
    return builder.compile()


def sections(*researched: str) -> dict:
    """A plan: a section for each topic, and a conclusion that needs no research."""
    titles = [*((name, True) for name in researched), ("Conclusion", False)]
    return {
        "sections": [
            {"name": name, "description": f"About {name.lower()}.", "research": research, "content": ""}
            for name, research in titles
        ]
    }


def plan(talk: Conversation) -> Reply | None:
    """Trains and planes; ships too when the person asks for them."""
    if "Sections" not in talk.tools:
        return None
    more = ("Ships",) if "Add ships." in talk.system else ()
    return Reply(uses=(ToolUse("Sections", sections("Trains", "Planes", *more)),))


def ask(talk: Conversation) -> Reply | None:
    """Two queries for whatever is the topic."""
    if "queries" not in deep_research.wanted(talk):
        return None
    topic = next((name for name in ("trains", "planes", "ships") if f"About {name}." in talk.system), "emissions")
    return Reply(json.dumps({"queries": [{"search_query": topic}, {"search_query": f"{topic} today"}]}))


def grade(talk: Conversation) -> Reply | None:
    """Planes need a second search; what was searched in detail will do."""
    if "Feedback" not in talk.tools:
        return None
    if "About planes." in talk.system and "in detail" not in talk.system:
        again = {"grade": "fail", "follow_up_queries": [{"search_query": "planes in detail"}]}
        return Reply(uses=(ToolUse("Feedback", again),))
    return Reply(uses=(ToolUse("Feedback", {"grade": "pass", "follow_up_queries": []}),))


def write(talk: Conversation) -> Reply | None:
    """A section from its sources, or the conclusion."""
    if talk.tools or talk.schema:
        return None
    if "<Section name>" in talk.question or "<Section topic>" in talk.question:
        topic = next(name for name in ("trains", "planes", "ships") if f"About {name}." in talk.question)
        return Reply(f"## {topic}{' in detail' if 'planes in detail' in talk.question else ''}")
    if "Generate a report section" in talk.question:
        return Reply(f"## Conclusion of {talk.system.count('## ')}")
    return None


def review(shown: str) -> str | bool:
    """Send the plan back until it has ships."""
    return True if "Ships" in shown else "Add ships."


RULES = (plan, ask, grade, write)
MODELS = {
    "search_api": "tavily",
    "planner_provider": "anthropic",
    "planner_model": "fake",
    "writer_provider": "openai",
    "writer_model": "fake",
}
CASES = (
    Case(
        "report_planner",
        "A plan sent back once, then subgraphs by Send that search again when their grade is bad.",
        graph,
        {"topic": "emissions of travel"},
        answer=review,
        asks=2,
        config={"configurable": MODELS},
    ),
)
