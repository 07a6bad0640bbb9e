"""Graphs whose every value is a marked text, so that a search of the storage tells what is kept in the clear."""

import json
import operator
import os
from typing import Annotated, TypedDict

from langgraph.cache.memory import InMemoryCache
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import CachePolicy, interrupt

MARKS = json.loads(os.environ.get("MARKS", "{}"))


class Given(TypedDict):
    word: str


class Told(TypedDict):
    result: str


class State(TypedDict, total=False):
    word: str
    kept: str
    cached: str
    answer: str
    trail: Annotated[list[str], operator.add]
    result: str


def keep(state):
    return {"kept": MARKS["state"] + "." * 20_000, "trail": [MARKS["node"]]}  # a value large enough for its own object


def remember(state):
    return {"cached": MARKS["cached"]}


async def note(state, runtime: Runtime):
    await runtime.store.aput(("notes",), "one", {"text": MARKS["item"]})
    return {"trail": ["noted"]}


def ask(state):
    return {"answer": interrupt({"question": MARKS["interrupt"]})}


def finish(state, runtime: Runtime):
    runtime.stream_writer({"told": MARKS["event"]})
    return {"result": MARKS["output"]}


def _built():
    builder = StateGraph(State, input_schema=Given, output_schema=Told)
    builder.add_node("keep", keep)
    builder.add_node("remember", remember, cache_policy=CachePolicy())
    builder.add_node("note", note)
    builder.add_node("ask", ask)
    builder.add_node("finish", finish)
    builder.add_edge(START, "keep")
    for before, after in (("keep", "remember"), ("keep", "note"), ("ask", "finish")):
        builder.add_edge(before, after)
    builder.add_edge(["remember", "note"], "ask")
    builder.add_edge("finish", END)
    return builder.compile(cache=InMemoryCache())


def _failing():
    def fail(state):
        raise ValueError(MARKS["failure"])

    builder = StateGraph(State)
    builder.add_node("fail", fail)
    builder.add_edge(START, "fail")
    return builder.compile()


graph = _built()
failing = _failing()
