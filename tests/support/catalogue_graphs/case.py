"""What a case of the catalogue is, and the few words that most of its graphs are written with."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from typing_extensions import TypedDict

Built = StateGraph | CompiledStateGraph | Pregel


class Log(TypedDict):
    """The state of most cases: who did what, in which order."""

    log: Annotated[list, operator.add]


@dataclass(frozen=True, slots=True)
class Case:
    """One small graph, what starts it, and what has to happen on the way.

    `input` is JSON, so that it can be posted; `later` are the inputs of further runs on the same thread. `answer` maps
    an interrupt's value to the answer of it. `asks` is how often the case stops for answers, `stops` how often at a
    static breakpoint, `raises` the type of its error.
    """

    name: str
    about: str
    build: Callable[[], Built]
    input: Any
    answer: Callable[[Any], Any] | None = None
    asks: int = 0
    stops: int = 0
    raises: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] | None = None
    later: tuple[Any, ...] = ()


CASES: dict[str, Case] = {}


def case(input: Any = None, **facts: Any) -> Callable[[Callable[[], Built]], Callable[[], Built]]:  # noqa: A002
    """Put the graph that the decorated function builds into the catalogue, under the function's name."""

    def enter(build: Callable[[], Built]) -> Callable[[], Built]:
        if build.__name__ in CASES:
            raise ValueError(f"found two cases named {build.__name__!r}, expected one: rename the later one")
        start = {"log": []} if input is None else input
        CASES[build.__name__] = Case(build.__name__, (build.__doc__ or "").strip(), build, start, **facts)
        return build

    return enter


def says(word: str) -> Callable[[Any], dict[str, Any]]:
    """A node that puts a word into the log."""

    def node(state: Any) -> dict[str, Any]:
        return {"log": [word]}

    return node


def chain(*words: str, schema: type = Log, **compile_with: Any) -> CompiledStateGraph:
    """Nodes that run one after the other, each saying its name."""
    builder = StateGraph(schema)
    for word in words:
        builder.add_node(word, says(word))
    for before, after in zip((START, *words), words, strict=False):
        builder.add_edge(before, after)
    return builder.compile(**compile_with)


def log_graph(*words: str) -> StateGraph:
    """A builder over the log with a node for every word, and no edges yet."""
    builder = StateGraph(Log)
    for word in words:
        builder.add_node(word, says(word))
    return builder
