"""State: schemas, reducers, private channels, awkward values."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

from langgraph.channels import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.types import Overwrite
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from tests.support.catalogue_graphs.case import Log, case, log_graph, says


class Address(BaseModel):
    street: str
    number: int = 1


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)
    address: Address | None = None
    log: Annotated[list[str], operator.add] = Field(default_factory=list)


@case(input={"name": "Ada", "age": "36"})
def pydantic_state():
    """State as a pydantic model: coerced on the way into a node, nested models included."""
    builder = StateGraph(Person)
    builder.add_node("move", lambda p: {"address": Address(street="Main", number=p.age), "log": [type(p).__name__]})
    builder.add_node("grow", lambda p: {"age": p.age + 1, "log": [p.address.street]})
    builder.add_edge(START, "move")
    builder.add_edge("move", "grow")
    return builder.compile()


@case(input={"name": "Ada", "age": 36}, raises="ValidationError")
def pydantic_state_goes_bad():
    """A node's bad update is found when the next node reads it."""
    builder = StateGraph(Person)
    builder.add_node("a", lambda _: {"age": -1, "log": ["a"]})
    builder.add_node("b", lambda _: {"log": ["b"]})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder.compile()


@dataclass
class Account:
    owner: str
    balance: int = 0
    log: Annotated[list[str], operator.add] = field(default_factory=list)


@case(input={"owner": "Ada", "balance": 5})
def dataclass_state():
    """State as a dataclass."""
    builder = StateGraph(Account)
    builder.add_node("deposit", lambda a: {"balance": a.balance + 10, "log": [a.owner]})
    builder.add_node("fee", lambda a: {"balance": a.balance - 1})
    builder.add_edge(START, "deposit")
    builder.add_edge("deposit", "fee")
    return builder.compile()


class Question(TypedDict):
    question: str


class Reply(TypedDict):
    answer: str


class Whole(Question, Reply, total=False):
    draft: str


class Hidden(TypedDict):
    secret: int


@case(input={"question": "why"})
def input_and_output_schema():
    """What comes in, what goes out and what is between are different schemas."""
    builder = StateGraph(Whole, input_schema=Question, output_schema=Reply)
    builder.add_node("draft_it", lambda s: {"draft": s["question"] + "?"})
    builder.add_node("answer_it", lambda s: {"answer": s["draft"] + "!"})
    builder.add_edge(START, "draft_it")
    builder.add_edge("draft_it", "answer_it")
    return builder.compile()


@case()
def private_channel():
    """Two nodes share a channel that is not in the graph's schema."""

    def hide(state: Log) -> Hidden:
        return {"secret": 42}

    def reveal(state: Hidden) -> dict:
        return {"log": [state["secret"]]}

    builder = log_graph("between")
    builder.add_node("hide", hide)
    builder.add_node("reveal", reveal)
    builder.add_edge(START, "hide")
    builder.add_edge("hide", "between")
    builder.add_edge("between", "reveal")
    return builder.compile()


def keep_largest(old: int, new: int) -> int:
    return max(old, new)


def merge(old: dict | None, new: dict) -> dict:
    return {**(old or {}), **new}


class Reduced(TypedDict, total=False):
    top: Annotated[int, keep_largest]
    seen: Annotated[dict, merge]
    log: Annotated[list, operator.add]


@case(input={"top": 3, "seen": {"x": 0}})
def custom_reducers():
    """Parallel writes meet in reducers, in the order of the nodes' names."""
    builder = StateGraph(Reduced)
    for name, value in (("b", 9), ("a", 5), ("c", 7)):
        builder.add_node(name, lambda _, name=name, value=value: {"top": value, "seen": {"x": name, name: value}})
        builder.add_edge(START, name)
    return builder.compile()


@case(input={"log": ["old"]})
def overwrite():
    """Overwrite goes round the reducer."""
    builder = log_graph("a", "c")
    builder.add_node("b", lambda s: {"log": Overwrite([*reversed(s["log"]), "b"])})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", "c")
    return builder.compile()


class Plain(TypedDict, total=False):
    value: Any
    log: Annotated[list, operator.add]


@case(input={"value": 0}, raises="InvalidUpdateError")
def two_writers_of_one_value():
    """Two writes to a channel without a reducer fail the run, after both nodes ran."""
    builder = StateGraph(Plain)
    builder.add_node("before", lambda _: {"log": ["before"]})
    builder.add_node("a", lambda _: {"value": 1})
    builder.add_node("b", lambda _: {"value": 2})
    builder.add_edge(START, "before")
    builder.add_edge("before", "a")
    builder.add_edge("before", "b")
    return builder.compile()


@case(input={"value": 1})
def nothing_returned():
    """A node may return None."""
    builder = StateGraph(Plain)
    builder.add_node("a", lambda _: None)
    builder.add_node("b", lambda s: {"value": s["value"] + 1})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder.compile()


@case(input={"value": 1})
def falsy_values():
    """None, zero and empty values are values."""
    builder = StateGraph(Plain)
    builder.add_node("a", lambda _: {"value": None})
    builder.add_node("b", lambda s: {"log": [s["value"]], "value": 0})
    builder.add_node("c", lambda s: {"log": [s["value"], "", False, {}, []], "value": ""})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", "c")
    return builder.compile()


class Colour(Enum):
    RED = "red"


class Declared(TypedDict, total=False):
    value: dict[str, Colour | Address | Account | Any]
    log: Annotated[list, operator.add]


@case(input={"value": {"ü": ["☃", "\u0000", "𝄞"]}})
def awkward_values():
    """Values beyond JSON survive every step: times, ids, bytes, sets, and enums, models, dataclasses of the schema."""
    builder = StateGraph(Declared)
    values = {
        "when": datetime(2025, 3, 1, 12, tzinfo=UTC),
        "day": date(2025, 3, 1),
        "long": timedelta(days=3),
        "id": UUID(int=7),
        "bytes": b"\x00\xff",
        "set": {1, 2},
        "colour": Colour.RED,
        "person": Address(street="Main"),
        "account": Account(owner="Ada"),
        "float": 0.1,
        "big": 2**62,
        "nested": {"a": [{"b": [None, True]}]},
    }
    builder.add_node("make", lambda _: {"value": values, "log": ["make"]})
    builder.add_node("look", lambda s: {"log": sorted(f"{k}={type(v).__name__}" for k, v in s["value"].items())})
    builder.add_node("reduce", lambda _: {"value": {}})
    builder.add_edge(START, "make")
    builder.add_edge("make", "look")
    builder.add_edge("look", "reduce")
    return builder.compile()


@case(input={"value": ""})
def large_value():
    """200 KB of state, untouched over several steps, then changed."""
    builder = StateGraph(Plain)
    builder.add_node("make", lambda _: {"value": "0123456789" * 20_000})
    for name in ("a", "b", "c"):
        builder.add_node(name, lambda s, name=name: {"log": [f"{name} {len(s['value'])}"]})
    builder.add_node("end", lambda s: {"value": s["value"][::-1] + "x"})
    for before, after in ((START, "make"), ("make", "a"), ("a", "b"), ("b", "c"), ("c", "end")):
        builder.add_edge(before, after)
    return builder.compile()


def extend(state: list, writes: Sequence[list]) -> list:
    return [*state, *(item for write in writes for item in write)]


class Delta(TypedDict):
    log: Annotated[list, DeltaChannel(extend, snapshot_frequency=3)]


@case(input={"log": ["start"]})
def delta_channel():
    """A channel that is stored as differences, with a snapshot now and then."""
    builder = StateGraph(Delta)
    builder.add_node("again", lambda s: {"log": [len(s["log"])]})
    builder.add_edge(START, "again")
    builder.add_conditional_edges("again", lambda s: "again" if len(s["log"]) < 12 else END)
    return builder.compile()


@case(input={"log": ["start"]})
def delta_channel_in_parallel():
    """Parallel writes of one step to a channel of differences."""
    builder = StateGraph(Delta)
    for name in ("b", "a", "c"):
        builder.add_node(name, says(name))
        builder.add_edge(START, name)
        builder.add_edge(name, "end")
    builder.add_node("end", says("end"))
    return builder.compile()
