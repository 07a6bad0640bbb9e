"""Command: goto, update, the parent graph."""

from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from tests.support.catalogue_graphs.case import Log, case, log_graph, says


def goes(word: str, *targets: str):
    def node(state: Log) -> Command:
        return Command(update={"log": [word]}, goto=list(targets) if len(targets) != 1 else targets[0])

    return node


@case()
def goto_one():
    """The target of a goto runs once."""
    builder = log_graph("b", "c")
    builder.add_node("a", goes("a", "b"), destinations=("b",))
    builder.add_edge(START, "a")
    builder.add_edge("b", "c")
    return builder.compile()


@case()
def goto_several():
    """A goto may name several targets."""
    builder = log_graph("b", "c", "d")
    builder.add_node("a", goes("a", "c", "b"), destinations=("b", "c"))
    builder.add_edge(START, "a")
    builder.add_edge("b", "d")
    builder.add_edge("c", "d")
    return builder.compile()


@case()
def goto_the_end():
    """A goto to the end, though an edge from another node would go on."""
    builder = log_graph("b")
    builder.add_node("a", goes("a", END), destinations=("b", END))
    builder.add_edge(START, "a")
    return builder.compile()


@case()
def goto_beside_an_edge():
    """A goto does not take away the node's own edge."""
    builder = log_graph("b", "c")
    builder.add_node("a", goes("a", "b"), destinations=("b",))
    builder.add_edge(START, "a")
    builder.add_edge("a", "c")
    return builder.compile()


@case()
def goto_back():
    """A loop made of gotos."""
    builder = log_graph("done")

    def again(state: Log) -> Command[Literal["again", "done"]]:
        return Command(update={"log": [len(state["log"])]}, goto="again" if len(state["log"]) < 4 else "done")

    builder.add_node("again", again)
    builder.add_edge(START, "again")
    return builder.compile()


@case()
def only_an_update():
    """A Command without a goto is an update."""
    builder = log_graph("b")
    builder.add_node("a", lambda _: Command(update={"log": ["a"]}))
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder.compile()


@case()
def update_of_pairs():
    """A Command's update may be a list of pairs."""
    builder = log_graph("b")
    builder.add_node("a", lambda _: Command(update=[("log", ["a1"]), ("log", ["a2"])], goto="b"), destinations=("b",))
    builder.add_edge(START, "a")
    return builder.compile()


@case()
def several_commands():
    """A node may return several updates and commands in a list."""
    builder = log_graph("b", "c")
    builder.add_node(
        "a",
        lambda _: [{"log": ["a1"]}, Command(update={"log": ["a2"]}, goto="b"), Command(goto="c")],
        destinations=("b", "c"),
    )
    builder.add_edge(START, "a")
    return builder.compile()


@case()
def goto_in_the_parent():
    """A node of a subgraph sends the parent somewhere else."""
    inner = StateGraph(Log)
    inner.add_node("in1", says("in1"))
    inner.add_node(
        "in2", lambda _: Command(graph=Command.PARENT, update={"log": ["from inside"]}, goto="c"), destinations=()
    )
    inner.add_edge(START, "in1")
    inner.add_edge("in1", "in2")
    builder = log_graph("b", "c")
    builder.add_node("sub", inner.compile(), destinations=("c",))
    builder.add_edge(START, "sub")
    return builder.compile()


@case()
def goto_in_the_grandparent():
    """A Command reaches the graph two levels up, level by level."""
    innermost = StateGraph(Log)
    innermost.add_node(
        "deep", lambda _: Command(graph=Command.PARENT, update={"log": ["deep"]}, goto="up"), destinations=()
    )
    innermost.add_edge(START, "deep")
    middle = StateGraph(Log)
    middle.add_node("innermost", innermost.compile(), destinations=("up",))
    middle.add_node("up", lambda _: Command(graph=Command.PARENT, update={"log": ["up"]}, goto="end"), destinations=())
    middle.add_edge(START, "innermost")
    builder = log_graph("end", "never")
    builder.add_node("middle", middle.compile(), destinations=("end",))
    builder.add_edge(START, "middle")
    return builder.compile()


@case()
def goto_from_parallel_nodes():
    """Two nodes of one step go to the same node: it runs twice as a task of one step only if sent twice."""
    builder = log_graph("c")
    builder.add_node("a", goes("a", "c"), destinations=("c",))
    builder.add_node("b", goes("b", "c"), destinations=("c",))
    builder.add_edge(START, "a")
    builder.add_edge(START, "b")
    return builder.compile()
