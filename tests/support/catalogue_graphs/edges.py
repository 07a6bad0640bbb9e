"""Edges: joins, branches, loops, deferred nodes."""

from langgraph.graph import END, START, StateGraph

from tests.support.catalogue_graphs.case import Log, case, chain, log_graph, says


@case()
def three_in_a_row():
    """The simplest graph."""
    return chain("a", "b", "c")


@case()
def builder_not_compiled():
    """A builder is as good as a compiled graph."""
    builder = log_graph("a", "b")
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder


@case()
def diamond():
    """Two branches of one step; the target of both runs once."""
    builder = log_graph("a", "left", "right", "end")
    builder.add_edge(START, "a")
    builder.add_edge("a", "right")
    builder.add_edge("a", "left")
    builder.add_edge("left", "end")
    builder.add_edge("right", "end")
    return builder.compile()


@case()
def uneven_branches_without_a_join():
    """The target of a short and a long branch runs twice."""
    builder = log_graph("a", "b", "b2", "c")
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", "b2")
    builder.add_edge("b2", "c")
    builder.add_edge("a", "c")
    return builder.compile()


@case()
def join_of_uneven_branches():
    """A waiting edge fires when all of its sources have run, however late."""
    builder = log_graph("start", "a", "a2", "b", "c")
    builder.add_edge(START, "start")
    builder.add_edge("start", "a")
    builder.add_edge("start", "b")
    builder.add_edge("a", "a2")
    builder.add_edge(["a2", "b"], "c")
    return builder.compile()


@case()
def join_in_a_loop():
    """A waiting edge is armed again after it has fired."""
    builder = log_graph("start", "a", "b", "join")
    builder.add_edge(START, "start")
    builder.add_edge("start", "a")
    builder.add_edge("start", "b")
    builder.add_edge(["a", "b"], "join")
    builder.add_conditional_edges("join", lambda s: "start" if s["log"].count("join") < 3 else END)
    return builder.compile()


@case()
def several_starts():
    """Every edge from START counts."""
    builder = log_graph("a", "b", "c")
    for name in ("a", "b", "c"):
        builder.add_edge(START, name)
    return builder.compile()


@case(input={"log": ["to b"]})
def conditional_start():
    """The input decides where the run begins."""
    builder = log_graph("a", "b")
    builder.add_conditional_edges(START, lambda s: s["log"][0][-1], {"a": "a", "b": "b"})
    return builder.compile()


@case()
def branch_to_several():
    """A condition may name several targets."""
    builder = log_graph("a", "b", "c", "d")
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", lambda _: ["d", "b"], ["b", "c", "d"])
    return builder.compile()


@case()
def branch_to_the_end():
    """A condition may end the run early."""
    builder = log_graph("a", "b")
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", lambda s: "stop" if s["log"] else "go", {"stop": END, "go": "b"})
    return builder.compile()


@case()
def two_conditions_on_one_node():
    """Each condition is asked."""
    builder = log_graph("a", "b", "c")
    builder.add_edge(START, "a")

    def first(state: Log) -> str:
        return "b"

    def second(state: Log) -> str:
        return "c"

    builder.add_conditional_edges("a", first, ["b"])
    builder.add_conditional_edges("a", second, ["c"])
    return builder.compile()


@case()
def condition_sees_the_reduced_value():
    """A condition reads the channel after the reducer, not the node's own write."""
    builder = log_graph("again")
    builder.add_edge(START, "again")
    builder.add_conditional_edges("again", lambda s: "again" if len(s["log"]) < 3 else END)
    return builder.compile()


@case()
def async_condition():
    """Conditions may be coroutines."""
    builder = log_graph("a", "b")
    builder.add_edge(START, "a")

    async def choose(state: Log) -> str:
        return "b"

    builder.add_conditional_edges("a", choose, ["b"])
    return builder.compile()


@case()
def deferred_node():
    """A deferred node waits for branches of any length and runs once."""
    builder = log_graph("start", "a", "b", "b2", "b3")
    builder.add_node("last", says("last"), defer=True)
    builder.add_edge(START, "start")
    builder.add_edge("start", "a")
    builder.add_edge("start", "b")
    builder.add_edge("b", "b2")
    builder.add_edge("b2", "b3")
    builder.add_edge("a", "last")
    builder.add_edge("b3", "last")
    return builder.compile()


@case()
def two_deferred_nodes():
    """Deferred nodes run when nothing else is left, and what they trigger runs after them."""
    builder = log_graph("a", "b", "after")
    builder.add_node("late1", says("late1"), defer=True)
    builder.add_node("late2", says("late2"), defer=True)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("a", "late1")
    builder.add_edge("b", "late2")
    builder.add_edge("late1", "after")
    return builder.compile()


@case()
def deferred_in_a_loop():
    """A deferred node may start another round."""
    builder = log_graph("start", "a", "b", "b2")
    builder.add_node("gather", says("gather"), defer=True)
    builder.add_edge(START, "start")
    builder.add_edge("start", "a")
    builder.add_edge("start", "b")
    builder.add_edge("b", "b2")
    builder.add_edge("a", "gather")
    builder.add_edge("b2", "gather")
    builder.add_conditional_edges("gather", lambda s: "start" if s["log"].count("gather") < 2 else END)
    return builder.compile()


@case(input={"log": []}, config={"recursion_limit": 100})
def sixty_steps():
    """A loop of sixty super-steps."""
    builder = log_graph("again")
    builder.add_edge(START, "again")
    builder.add_conditional_edges("again", lambda s: "again" if len(s["log"]) < 60 else END)
    return builder.compile()


@case()
def sequence():
    """`add_sequence` is edges."""
    builder = StateGraph(Log)
    builder.add_sequence([("a", says("a")), ("b", says("b")), ("c", says("c"))])
    builder.add_edge(START, "a")
    return builder.compile()


@case(later=({"log": ["second"]}, {"log": ["third"]}))
def three_runs_on_a_thread():
    """Later runs on a thread begin with the state that the earlier ones left."""
    return chain("a", "b")
