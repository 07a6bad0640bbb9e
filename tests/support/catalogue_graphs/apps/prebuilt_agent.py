"""LangGraph's own prebuilt agent, which looks at how many super-steps its run has left and gives up in words."""

import warnings

from langchain_core.tools import tool
from langgraph.prebuilt import create_react_agent

from tests.support.catalogue_graphs.apps import models
from tests.support.catalogue_graphs.case import Case
from tests.support.fake_model import Conversation, Reply, ToolUse


@tool
def dig() -> str:
    """Dig one metre."""
    return "nothing yet"


def graph():
    """It digs for as long as it may."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return create_react_agent(models.openai(), [dig], prompt="You are the digger.")


def digging(talk: Conversation) -> Reply | None:
    """Dig, and dig again."""
    if "You are the digger." not in talk.system:
        return None
    return Reply(f"metre {talk.called('dig')}", uses=(ToolUse("dig", {}),))


RULES = (digging,)
QUESTION = {"messages": [{"role": "user", "content": "Find gold.", "id": "u1"}]}
CASES = (Case("digger", "Gives up in words on its last step.", graph, QUESTION, config={"recursion_limit": 8}),)
