"""Failing nodes: retries, handlers, time limits, runs that fail."""

import asyncio

from langgraph.errors import NodeError
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, RetryPolicy

from tests.support.catalogue_graphs.case import Log, case, log_graph

SOON = RetryPolicy(max_attempts=3, initial_interval=0.01, jitter=False, retry_on=ConnectionError)


def fails_until(attempt: int):
    def node(state: Log, runtime: Runtime) -> dict:
        now = runtime.execution_info.node_attempt
        if now < attempt:
            raise ConnectionError(f"attempt {now}")
        return {"log": [f"attempt {now}"]}

    return node


def boom(state: Log) -> dict:
    raise ValueError("boom")


@case()
def retry_policy():
    """A node that fails twice and is retried."""
    builder = log_graph("before", "after")
    builder.add_node("flaky", fails_until(3), retry_policy=SOON)
    builder.add_edge(START, "before")
    builder.add_edge("before", "flaky")
    builder.add_edge("flaky", "after")
    return builder.compile()


@case(raises="ConnectionError")
def retries_used_up():
    """A node that fails more often than it may."""
    builder = log_graph("before")
    builder.add_node("flaky", fails_until(9), retry_policy=SOON)
    builder.add_edge(START, "before")
    builder.add_edge("before", "flaky")
    return builder.compile()


@case(raises="ValueError")
def an_error_that_is_not_retried():
    """The policy names other errors than this one."""
    builder = log_graph("before")
    builder.add_node("boom", boom, retry_policy=SOON)
    builder.add_edge(START, "before")
    builder.add_edge("before", "boom")
    return builder.compile()


@case(raises="ValueError")
def failing_node():
    """A node fails; what was committed before stays."""
    builder = log_graph("a", "b", "never")
    builder.add_node("boom", boom)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", "boom")
    builder.add_edge("boom", "never")
    return builder.compile()


@case(raises="ValueError")
def failing_first_node():
    """The first node fails."""
    builder = StateGraph(Log)
    builder.add_node("boom", boom)
    builder.add_edge(START, "boom")
    return builder.compile()


@case(raises="KeyError")
def failing_condition():
    """A condition fails after its node has done its work."""
    builder = log_graph("a", "b")
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", lambda s: s["missing"], ["b"])
    return builder.compile()


@case(raises="ValueError")
def failing_node_in_a_subgraph():
    """A node of a subgraph fails."""
    inner = log_graph("in1")
    inner.add_node("boom", boom)
    inner.add_edge(START, "in1")
    inner.add_edge("in1", "boom")
    builder = log_graph("a")
    builder.add_node("sub", inner.compile())
    builder.add_edge(START, "a")
    builder.add_edge("a", "sub")
    return builder.compile()


def handled(state: Log, error: NodeError) -> dict:
    return {"log": [f"handled {error.node}: {error.error}"]}


@case()
def error_handler():
    """A node's own error handler takes over, and the graph goes on."""
    builder = log_graph("a", "after")
    builder.add_node("boom", boom, error_handler=handled)
    builder.add_edge(START, "a")
    builder.add_edge("a", "boom")
    builder.add_edge("boom", "after")
    return builder.compile()


@case()
def error_handler_that_goes_elsewhere():
    """A handler decides where to go on."""

    def rescue(state: Log, error: NodeError) -> Command:
        return Command(update={"log": [f"rescued {error.node}"]}, goto="elsewhere")

    builder = log_graph("a", "elsewhere")
    builder.add_node("boom", boom, error_handler=rescue, destinations=("elsewhere",))
    builder.add_edge(START, "a")
    builder.add_edge("a", "boom")
    return builder.compile()


@case()
def error_handler_after_retries():
    """Retries first, then the handler."""
    builder = log_graph("after")
    builder.add_node("flaky", fails_until(9), retry_policy=SOON, error_handler=handled)
    builder.add_edge(START, "flaky")
    builder.add_edge("flaky", "after")
    return builder.compile()


@case()
def error_handler_of_the_graph():
    """One handler for all nodes that have none."""
    builder = log_graph("a")
    builder.set_node_defaults(error_handler=handled)
    builder.add_node("boom", boom)
    builder.add_edge(START, "a")
    builder.add_edge("a", "boom")
    return builder.compile()


@case()
def error_handler_beside_a_finished_node():
    """A handled failure and a node that is fine, in one step."""
    builder = log_graph("fine", "after")
    builder.add_node("boom", boom, error_handler=handled)
    builder.add_edge(START, "fine")
    builder.add_edge(START, "boom")
    builder.add_edge(["fine", "boom"], "after")
    return builder.compile()


@case(raises="NodeTimeoutError")
def node_timeout():
    """A node that takes longer than its time limit."""

    async def slow(state: Log) -> dict:
        await asyncio.sleep(30)
        return {"log": ["slow"]}

    builder = log_graph("a")
    builder.add_node("slow", slow, timeout=0.05)
    builder.add_edge(START, "a")
    builder.add_edge("a", "slow")
    return builder.compile()
