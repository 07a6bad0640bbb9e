"""Chat messages: adding, replacing, removing, tool calls."""

from typing import Annotated

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.prebuilt import InjectedState, ToolNode, tools_condition
from langgraph.types import Command

from tests.support.catalogue_graphs.case import case

HELLO = {"messages": [{"role": "user", "content": "hello", "id": "u1"}]}


@case(input=HELLO)
def messages_are_added():
    """Dicts, tuples and messages all become messages."""
    builder = StateGraph(MessagesState)
    builder.add_node("reply", lambda s: {"messages": AIMessage(s["messages"][-1].text.upper(), id="a1")})
    builder.add_node("more", lambda _: {"messages": [{"role": "system", "content": "be brief", "id": "s1"}]})
    builder.add_edge(START, "reply")
    builder.add_edge("reply", "more")
    return builder.compile()


@case(input=HELLO)
def a_message_is_replaced_by_its_id():
    """A message with a known id takes the old one's place."""
    builder = StateGraph(MessagesState)
    builder.add_node("reply", lambda _: {"messages": [AIMessage("draft", id="a1"), AIMessage("other", id="a2")]})
    builder.add_node("redraft", lambda _: {"messages": [AIMessage("final", id="a1")]})
    builder.add_edge(START, "reply")
    builder.add_edge("reply", "redraft")
    return builder.compile()


@case(input=HELLO)
def messages_are_removed():
    """One message is removed, then all of them."""
    builder = StateGraph(MessagesState)
    builder.add_node("reply", lambda _: {"messages": [AIMessage("one", id="a1"), AIMessage("two", id="a2")]})
    builder.add_node("forget_one", lambda _: {"messages": [RemoveMessage(id="a1")]})
    builder.add_node(
        "forget_all", lambda _: {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), SystemMessage("anew", id="s1")]}
    )
    builder.add_edge(START, "reply")
    builder.add_edge("reply", "forget_one")
    builder.add_edge("forget_one", "forget_all")
    return builder.compile()


@tool
def double(number: int) -> int:
    """Double a number."""
    return number * 2


@tool
def fails(number: int) -> int:
    """Fail."""
    raise ValueError(f"cannot take {number}")


@tool
def count_messages(state: Annotated[dict, InjectedState]) -> str:
    """Count the conversation's messages."""
    return str(len(state["messages"]))


@tool
def jump(tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
    """Go to the node `elsewhere`."""
    return Command(update={"messages": [ToolMessage("jumped", tool_call_id=tool_call_id, id="t9")]}, goto="elsewhere")


def calling(*calls: tuple[str, dict]):
    """A model that calls these tools once and then ends."""

    def model(state: MessagesState) -> dict:
        if isinstance(state["messages"][-1], HumanMessage):
            made = [{"name": name, "args": args, "id": f"c{n}"} for n, (name, args) in enumerate(calls)]
            return {"messages": [AIMessage("", tool_calls=made, id="a1")]}
        return {"messages": [AIMessage(f"done after {len(state['messages'])}", id="a2")]}

    return model


@case(input=HELLO)
def tool_node():
    """LangGraph's own ToolNode: several calls at once, injected state, an error turned into a message."""
    builder = StateGraph(MessagesState)
    builder.add_node("model", calling(("double", {"number": 4}), ("count_messages", {}), ("fails", {"number": 1})))
    builder.add_node("tools", ToolNode([double, count_messages, fails], handle_tool_errors=True))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile()


@case(input=HELLO)
def tool_that_returns_a_command():
    """A tool decides where the graph goes."""
    builder = StateGraph(MessagesState)
    builder.add_node("model", calling(("jump", {})))
    builder.add_node("tools", ToolNode([jump]), destinations=("elsewhere",))
    builder.add_node("elsewhere", lambda s: {"messages": [AIMessage(s["messages"][-1].text, id="a9")]})
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    return builder.compile()
