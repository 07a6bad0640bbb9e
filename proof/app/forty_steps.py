"""A graph of forty super-steps: three ask a person, three run three tasks side by side, and all of them are sealed.

The seal of a super-step is a digest of the one before it, so a super-step that is lost, repeated or exchanged shows in
every later one. Each node notes its begin and its end outside the store, in the file that ``PROOF_NOTES`` names, and
works for ``PROOF_PACE`` seconds.
"""

import asyncio
import hashlib
import json
import operator
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

STEPS = 40
ASKS = {11: "Go on?", 23: "Still go on?", 35: "Finish it?"}
SPREADS = frozenset({6, 18, 30})
PARTS = 3


def later(one: int, other: int) -> int:
    """The higher number."""
    return max(one, other)


class State(TypedDict, total=False):
    """`n` is the last super-step, `seal` what all of them came to, `log` one entry a task, `answers` one a question."""

    n: Annotated[int, later]
    seal: str
    log: Annotated[list[str], operator.add]
    answers: Annotated[list[dict[str, Any]], operator.add]


class Part(TypedDict):
    """What one of the tasks side by side is given."""

    part: int


def note(kind: str, node: str, config: RunnableConfig, **more: Any) -> None:
    """Append a line; it is one write, so no kill leaves half of it."""
    if not (path := os.environ.get("PROOF_NOTES")):
        return
    metadata = config["metadata"]
    task = metadata["langgraph_checkpoint_ns"].split(":")[-1]
    line = {"kind": kind, "node": node, "step": metadata["langgraph_step"], "task": task, "at": time.time(), **more}
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


@asynccontextmanager
async def noted(node: str, config: RunnableConfig) -> AsyncIterator[int]:
    """Note begin and end of a node's work, which takes a while; gives the super-step. A question ends it too."""
    note("begin", node, config)
    try:
        await asyncio.sleep(float(os.environ.get("PROOF_PACE", "0")))
        yield int(config["metadata"]["langgraph_step"])
    finally:
        note("end", node, config)


def sealed(state: State, *facts: Any) -> str:
    """The next seal."""
    return hashlib.sha256(json.dumps([state.get("seal", ""), *facts]).encode()).hexdigest()[:16]


async def work(state: State, config: RunnableConfig) -> State:
    """One task alone in its super-step."""
    async with noted("work", config) as step:
        return {"n": step, "seal": sealed(state, step, state.get("log", [])), "log": [f"work {step}"]}


async def piece(state: Part, config: RunnableConfig) -> State:
    """One of several tasks side by side."""
    async with noted("piece", config) as step:
        return {"n": step, "log": [f"piece {step}.{state['part']}"]}


async def ask(state: State, config: RunnableConfig) -> State:
    """Ask a person; the node runs again with the answer."""
    async with noted("ask", config) as step:
        question = ASKS[step]
        answer = interrupt({"question": question})
        note("used", "ask", config, question=question, answer=answer)
        answered = {"question": question, "answer": answer}
        return {"n": step, "seal": sealed(state, step, answered), "log": [f"ask {step}"], "answers": [answered]}


def after(state: State) -> str | list[Send]:
    """What the next super-step is."""
    step = state.get("n", 0) + 1
    if step > STEPS:
        return END
    if step in SPREADS:
        return [Send("piece", {"part": part}) for part in range(PARTS)]
    return "ask" if step in ASKS else "work"


builder = StateGraph(State)
builder.add_node("work", work)
builder.add_node("piece", piece, input_schema=Part)
builder.add_node("ask", ask)
for source in (START, "work", "piece", "ask"):
    builder.add_conditional_edges(source, after, ["work", "piece", "ask", END])
graph = builder.compile()
