"""What LangGraph alone makes of the same graph, the same input and the same answers."""

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel
from langgraph.types import Command

from proof.app.forty_steps import builder
from proof.evidence import Outcome


async def plain(given: Mapping[str, Any], answers: Mapping[str, Any]) -> Outcome:
    """Plain `ainvoke` on an in-memory saver; every question gets its answer by its text."""
    graph: Pregel[Any, Any, Any, Any] = builder.compile(checkpointer=InMemorySaver())
    thread: RunnableConfig = {"configurable": {"thread_id": "plain"}}
    values: Any = await graph.ainvoke(dict(given), thread)
    while asked := values.pop("__interrupt__", ()):
        values = await graph.ainvoke(Command(resume=answers.get(asked[0].value["question"])), thread)
    snapshots = [snapshot async for snapshot in graph.aget_state_history(thread)]
    history = tuple(((each.metadata or {}).get("step", 0), each.values) for each in reversed(snapshots))
    return Outcome("completed", values, history)
