"""open-deep-research: a supervisor whose researchers are graphs of their own, called from inside one of its nodes.

The call stands in a `try` that takes every exception for a failed research and goes on with less: whoever ends a
super-step by an exception from inside loses findings here, silently. The package is used as it is published.
"""

import functools
import json
import os

from open_deep_research.deep_researcher import deep_researcher_builder
from tavily import AsyncTavilyClient

from tests.support.catalogue_graphs.case import Case
from tests.support.fake_model import Conversation, Reply, ToolUse

# The search client takes its address from its caller alone, and the package's calls give none.
_PLAIN_INIT = AsyncTavilyClient.__init__


@functools.wraps(_PLAIN_INIT)
def _at_the_fake_address(self: AsyncTavilyClient, *args: object, **kwargs: object) -> None:
    _PLAIN_INIT(self, *args, **{"api_base_url": os.environ["FAKE_MODEL_URL"], **kwargs})


AsyncTavilyClient.__init__ = _at_the_fake_address


def graph():
    """The published builder, compiled as its module compiles it."""
    return deep_researcher_builder.compile()


def wanted(talk: Conversation) -> set[str]:
    """The fields of the structured answer that is asked for."""
    return set((talk.schema or {}).get("properties", ()))


def scope(talk: Conversation) -> Reply | None:
    """No question back, and a brief."""
    if "need_clarification" in wanted(talk):
        return Reply(json.dumps({"need_clarification": False, "question": "", "verification": "I begin."}))
    if "research_brief" in wanted(talk):
        return Reply(json.dumps({"research_brief": "Compare how much trains, planes and ships emit."}))
    return None


def lead(talk: Conversation) -> Reply | None:
    """Two researches at once, then a third, then done."""
    if "ConductResearch" not in talk.tools:
        return None
    rounds = (("trains", "planes"), ("ships",))
    done = talk.called("ConductResearch")
    if done == 0:
        return Reply(uses=tuple(ToolUse("ConductResearch", {"research_topic": topic}) for topic in rounds[0]))
    if done == len(rounds[0]):
        return Reply(uses=(ToolUse("ConductResearch", {"research_topic": rounds[1][0]}),))
    return Reply(uses=(ToolUse("ResearchComplete", {}),))


def research(talk: Conversation) -> Reply | None:
    """One search, then enough."""
    if "tavily_search" not in talk.tools:
        return None
    if talk.called("tavily_search"):
        return Reply(uses=(ToolUse("ResearchComplete", {}),))
    return Reply(uses=(ToolUse("tavily_search", {"queries": [f"{talk.question} emissions", talk.question]}),))


def digest(talk: Conversation) -> Reply | None:
    """The summary of a page, the findings of a researcher, the report."""
    if "key_excerpts" in wanted(talk):
        return Reply(json.dumps({"summary": talk.question[-40:].strip(), "key_excerpts": "none"}))
    if "conducted research on a topic" in talk.system:
        return Reply(f"findings: {len([turn for turn in talk.turns if turn.role == 'tool'])} results")
    if talk.question.startswith("Based on all the research conducted"):
        return Reply(f"# Emissions\n{talk.question.count('findings:')} findings")
    return None


RULES = (scope, lead, research, digest)
QUESTION = {"messages": [{"role": "user", "content": "What emits most?", "id": "u1"}]}
CASES = (Case("deep_research", "Researchers called from inside a node that takes any error.", graph, QUESTION),)
