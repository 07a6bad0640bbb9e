"""Each private name of LangGraph that we lean on still means what we think it means.

When one of these fails after an upgrade of LangGraph, `durablegraph.graphs.internals` has to change first.
"""

import inspect
import operator
from typing import Annotated, Any

import pytest
from langgraph.channels.last_value import LastValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained, NodeError
from langgraph.graph import START, StateGraph
from langgraph.managed import IsLastStep, RemainingSteps
from langgraph.pregel import Pregel, _loop
from langgraph.pregel._call import identifier
from langgraph.runtime import RunControl, Runtime
from langgraph.types import Command, Interrupt, Send, interrupt
from typing_extensions import TypedDict, override

from durablegraph.graphs import internals
from durablegraph.graphs.limits import count_over_the_run
from durablegraph.graphs.saver_view import Watch, watched
from tests.unit.graphs.driving import Words, chain

AT: Any = {"configurable": {"thread_id": "t"}}


def says(word: str) -> Any:
    return lambda _: {"out": [word]}


async def drained_after_first(graph: Any, saver: Any, value: Any, config: Any = AT) -> None:
    """Run until the first super-step after `__start__` is committed."""
    control = RunControl()

    class Ending(Watch):
        @override
        def saved(self, config: Any, checkpoint: Any, metadata: Any) -> None:
            if not internals.namespace(config) and metadata["step"] >= 1:
                control.request_drain()

    bound = graph.copy(update={"checkpointer": watched(saver, Ending())})
    with pytest.raises(GraphDrained):
        await bound.ainvoke(value, config, control=control, durability="sync")


def test_constants_are_what_is_stored_and_sent() -> None:
    assert internals.RESUMING == "__pregel_resuming"
    assert internals.TASKS == "__pregel_tasks"
    assert internals.INTERRUPT == "__interrupt__"
    assert internals.ERROR == "__error__"
    assert internals.PUSH == "__pregel_push"
    assert internals.NULL_TASK_ID == "00000000-0000-0000-0000-000000000000"


async def test_a_false_resuming_flag_continues_as_if_the_loop_had_never_stopped() -> None:
    graph, saver = chain(("a", says("a")), ("b", says("b"))), InMemorySaver()
    await drained_after_first(graph, saver, {"out": []})
    bound = graph.copy(update={"checkpointer": saver})
    going_on: Any = {"configurable": {"thread_id": "t", internals.RESUMING: False}}
    assert await bound.ainvoke(None, going_on) == {"out": ["a", "b"]}
    seen = (await saver.aget_tuple(AT)).checkpoint["versions_seen"]  # type: ignore[union-attr]
    assert internals.INTERRUPT not in seen


async def test_the_drain_is_asked_after_the_commit_and_before_the_next_super_step() -> None:
    ran: list[str] = []

    def b(state: Words) -> Words:
        ran.append("b")
        return {}

    graph, saver = chain(("a", says("a")), ("b", b)), InMemorySaver()
    await drained_after_first(graph, saver, {"out": []})
    assert not ran
    assert (await saver.aget_tuple(AT)).metadata["step"] == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("inner_is_sync", [True, False])
async def test_a_nested_loop_reads_its_flag_from_the_config_that_it_loads_with(inner_is_sync: bool) -> None:
    """The flag of a subgraph is set while it loads; a subgraph that found its checkpoint then drops its new input."""
    graph_inner = chain(("i", says("i")), checkpointer=True)

    def call_sync(state: Words) -> Words:
        return {"out": [len(graph_inner.invoke({"out": ["new"]})["out"])]}

    async def call_async(state: Words) -> Words:
        return {"out": [len((await graph_inner.ainvoke({"out": ["new"]}))["out"])]}

    class Flagging(Watch):
        @override
        def loaded(self, config: Any, found: Any) -> Any:
            if internals.namespace(config):
                internals.set_resuming(config, resuming)
            return found

    saver = InMemorySaver()
    graph = chain(("call", call_sync if inner_is_sync else call_async))
    bound = graph.copy(update={"checkpointer": watched(saver, Flagging())})
    resuming = False
    assert (await bound.ainvoke({"out": []}, AT))["out"] == [2]
    assert (await bound.ainvoke({"out": []}, AT))["out"] == [2, 4]
    resuming = True
    assert (await bound.ainvoke({"out": []}, AT))["out"] == [2, 4, 4]


async def test_checkpoints_of_subgraphs_name_the_checkpoints_of_their_parents() -> None:
    begun: list[bool] = []

    class Looking(Watch):
        @override
        def loaded(self, config: Any, found: Any) -> Any:
            if internals.namespace(config) and found:
                begun.append(internals.begun_in_this_step(config, found))
            return found

    inner = chain(("i", says("i")), checkpointer=True)

    async def call(state: Words) -> Words:
        await inner.ainvoke({"out": []})
        return {"out": ["x"]}

    builder = StateGraph(Words).add_node("call", call).add_edge(START, "call")
    builder.add_conditional_edges("call", lambda s: "call" if len(s["out"]) < 3 else "__end__")
    bound = builder.compile().copy(update={"checkpointer": watched(InMemorySaver(), Looking())})
    await bound.ainvoke({"out": []}, AT)
    assert begun == [False, False]


async def test_a_breakpoint_may_stop_where_channels_moved_since_the_last_one() -> None:
    saver = InMemorySaver()
    graph = chain(("a", says("a")), ("b", says("b")), checkpointer=saver, interrupt_before=["b"])
    await graph.ainvoke({"out": []}, AT)
    found = await saver.aget_tuple(AT)
    assert found is not None
    assert internals.moved_since_interrupt(found.checkpoint)
    await graph.ainvoke(None, AT)


async def test_statuses_tell_finished_asking_and_failed_tasks() -> None:
    saver = InMemorySaver()

    def fails(state: Words) -> Words:
        raise ValueError("no")

    builder = StateGraph(Words).add_node("fine", says("fine")).add_node("asks", lambda _: {"out": [interrupt("q")]})
    builder.add_edge(START, "fine").add_edge(START, "asks")
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"out": []}, AT)
    found = await saver.aget_tuple(AT)
    assert found is not None
    by_name = {task.name: task.id for task in (await graph.aget_state(AT)).tasks}
    told = internals.statuses(found.pending_writes)
    assert told[by_name["fine"]].finished
    assert not told[by_name["asks"]].finished
    assert [question.value for question in told[by_name["asks"]].pending_interrupts] == ["q"]


async def test_sends_come_first_in_their_order_and_unknown_nodes_are_left_out() -> None:
    saver = InMemorySaver()
    builder = StateGraph(Words).add_node("plan", lambda _: {}).add_node("work", says("w")).add_node("side", says("s"))
    builder.add_edge(START, "plan").add_edge("plan", "side")
    builder.add_conditional_edges("plan", lambda _: [Send("work", {}), Send("work", {})], ["work"])
    graph = builder.compile()
    await drained_after_first(graph, saver, {"out": []})
    found = await saver.aget_tuple(AT)
    assert found is not None
    state = await graph.copy(update={"checkpointer": saver}).aget_state(AT)
    names = [task.name for task in state.tasks]
    expected = [task.path[1] if task.path[0] == internals.PUSH else None for task in state.tasks]
    assert internals.send_positions(graph, found.checkpoint, names) == expected == [0, 1, None]
    assert len(internals.upcoming(graph, found.checkpoint)) >= 3


async def test_the_ids_of_tasks_that_sends_make_are_told_as_langgraph_makes_them() -> None:
    saver = InMemorySaver()
    builder = StateGraph(Words).add_node("plan", lambda _: {}).add_node("work", says("w")).add_node("side", says("s"))
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda _: [Send("work", {}), Send("side", {})], ["work", "side"])
    graph = builder.compile()
    await drained_after_first(graph, saver, {"out": []})
    found = await saver.aget_tuple(AT)
    assert found is not None
    state = await graph.copy(update={"checkpointer": saver}).aget_state(AT)
    expected = [(task.id, task.name) for task in state.tasks]
    assert internals.sends_as_tasks(graph, found.checkpoint, found.metadata["step"], [0, 1]) == expected
    assert internals.sends_as_tasks(graph, found.checkpoint, found.metadata["step"], [1]) == expected[1:]


async def test_a_blanked_send_makes_no_task_and_keeps_the_others_ids(caplog: pytest.LogCaptureFixture) -> None:
    saver = InMemorySaver()
    builder = StateGraph(Words).add_node("plan", lambda _: {}).add_node("work", lambda s: {"out": [s["i"]]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda _: [Send("work", {"i": i}) for i in range(3)], ["work"])
    graph = builder.compile()
    await drained_after_first(graph, saver, {"out": []})
    found = await saver.aget_tuple(AT)
    assert found is not None
    whole = await graph.copy(update={"checkpointer": saver}).aget_state(AT)
    blanked, shown = internals.with_sends_blanked(graph, found, {1})

    class Showing(Watch):
        @override
        def loaded(self, config: Any, found: Any) -> Any:
            return shown

    partly = await blanked.copy(update={"checkpointer": watched(saver, Showing())}).aget_state(AT)
    assert [task.id for task in partly.tasks] == [whole.tasks[1].id]
    assert not caplog.records


async def test_a_task_shown_as_done_is_not_executed_and_writes_nothing() -> None:
    saver = InMemorySaver()
    ran: list[str] = []

    def node(name: str) -> Any:
        def run(state: Words) -> Words:
            ran.append(name)
            return {"out": [name]}

        return run

    builder = StateGraph(Words).add_node("first", says("f")).add_node("x", node("x")).add_node("y", node("y"))
    builder.add_edge(START, "first").add_edge("first", "x").add_edge("first", "y")
    graph = builder.compile()
    await drained_after_first(graph, saver, {"out": []})
    state = await graph.copy(update={"checkpointer": saver}).aget_state(AT)
    done = next(task.id for task in state.tasks if task.name == "x")

    class Showing(Watch):
        @override
        def loaded(self, config: Any, found: Any) -> Any:
            return internals.with_tasks_done(found, [done])

    bound = graph.copy(update={"checkpointer": watched(saver, Showing())})
    going_on: Any = {"configurable": {"thread_id": "t", internals.RESUMING: False}}
    assert (await bound.ainvoke(None, going_on))["out"] == ["f", "y"]
    assert ran == ["y"]


async def test_the_task_of_an_error_handler_is_found_by_its_id() -> None:
    saver = InMemorySaver()
    ran: list[str] = []

    def fails(state: Words) -> Words:
        raise ValueError("no")

    def handler(state: Words, error: NodeError) -> Words:
        ran.append("handler")
        return {"out": ["handled"]}

    builder = StateGraph(Words).add_node("fails", fails, error_handler=handler)
    builder.add_node("asks", lambda _: {"out": [interrupt("q")]})
    builder.add_edge(START, "fails").add_edge(START, "asks")
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"out": []}, AT)
    found = await saver.aget_tuple(AT)
    assert found is not None
    failed = next(task.id for task in (await graph.aget_state(AT)).tasks if task.name == "fails")
    shown = internals.with_handlers_done(graph, found)
    assert [value for task, channel, value in shown.pending_writes or () if (task, channel) == (failed, "out")] == [
        ["handled"]
    ]
    assert internals.statuses(shown.pending_writes)[failed].finished


async def test_a_stored_command_is_seen() -> None:
    saver = InMemorySaver()
    graph = chain(("a", says("a")), ("asks", lambda _: {"out": [interrupt("q")]}), checkpointer=saver)
    await graph.ainvoke({"out": []}, AT)
    before = await saver.aget_tuple(AT)
    await graph.ainvoke(Command(update={"out": ["u"]}), AT)
    after = await saver.aget_tuple(AT)
    assert before is not None
    assert after is not None
    assert not internals.has_command(before)
    assert internals.has_command(after)


def test_a_map_of_answers_is_told_from_a_bare_answer() -> None:
    question = Interrupt.from_ns("q", ns="node:id")
    assert internals.is_resume_map({question.id: 1})
    assert not internals.is_resume_map({"approved": True})
    assert not internals.is_resume_map("yes")


async def test_managed_values_count_towards_the_stop_they_are_given() -> None:
    class Managed(TypedDict, total=False):
        out: Annotated[list[Any], operator.add]
        remaining: RemainingSteps
        last: IsLastStep

    def node(state: Managed) -> Managed:
        return {"out": [state["remaining"], state["last"]]}

    graph = chain(("a", node), state=Managed)
    graph.channels = count_over_the_run(graph, 2)
    assert await graph.ainvoke({"out": []}) == {"out": [1, True]}


@pytest.mark.parametrize("loop", [_loop.SyncPregelLoop, _loop.AsyncPregelLoop])
def test_a_loop_without_a_saver_has_something_to_wait_for(loop: Any) -> None:
    assert loop._put_checkpoint_fut.result() is None
    assert "_put_checkpoint_fut" in inspect.getsource(_loop)


def test_astream_takes_what_we_give_it() -> None:
    wanted = {"control", "context", "durability", "interrupt_before", "interrupt_after", "stream_mode", "subgraphs"}
    assert wanted | {"version", "output_keys"} <= set(inspect.signature(Pregel.astream).parameters)


def test_a_graph_has_the_attributes_that_a_copy_of_it_changes() -> None:
    graph = chain(("a", says("a")))
    for name in ("checkpointer", "store", "cache", "channels", "nodes", "trigger_to_nodes", "node_error_handler_map"):
        assert hasattr(graph, name), name
    assert isinstance(graph.channels["out"], LastValue) is False


async def test_a_listener_is_told_what_a_commit_makes_before_it_is_saved_and_what_subgraphs_make_never() -> None:
    told: list[Any] = []

    class Saving(Watch):
        @override
        def saving(self, config: Any, metadata: Any) -> Any:
            if not internals.namespace(config):
                told.append(f"saving {metadata['step']}")
            return metadata, None

    inner = chain(("x", says("x"))).copy(update={"checkpointer": None})
    graph = chain(("a", says("a")), ("b", inner)).copy(update={"checkpointer": watched(InMemorySaver(), Saving())})
    listener = internals.listening(lambda inside, mode, payload: told.append((inside, mode, payload)))
    config: Any = {"configurable": {"thread_id": "t", internals.STREAM: listener}}
    modes: Any = ["custom"]
    async for part in graph.astream({"out": []}, config, stream_mode=modes, subgraphs=True, durability="sync"):
        raise AssertionError(f"the listener's modes are nobody else's: {part}")
    assert all(entry[0] == () and entry[1] in {"values", "checkpoints"} for entry in told if isinstance(entry, tuple))
    ours = [entry if isinstance(entry, str) else entry[2]["out"] for entry in told if entry[1] != "checkpoints"]
    assert ours == ["saving -1", [], "saving 0", ["a"], "saving 1", ["a", "a", "x"], "saving 2"]


async def test_a_loop_s_tasks_get_the_control_that_is_set_while_it_loads_and_the_loop_keeps_its_own() -> None:
    seen: list[Any] = []
    inner_control, outer = RunControl(), RunControl()

    class Setting(Watch):
        @override
        def loaded(self, config: Any, found: Any) -> Any:
            if internals.namespace(config):
                internals.set_control(config, outer)
            return found

    def first(_: Words, runtime: Runtime) -> Words:
        seen.append(runtime.control)
        inner_control.request_drain()
        return {"out": ["first"]}

    inner = chain(("first", first), ("second", says("second")))

    async def call(_: Words) -> Words:
        await inner.ainvoke({"out": []}, control=inner_control)
        return {}

    bound = chain(("call", call)).copy(update={"checkpointer": watched(InMemorySaver(), Setting())})
    with pytest.raises(GraphDrained):
        await bound.ainvoke({"out": []}, AT, durability="sync")
    assert seen == [outer]
    assert not outer.drain_requested


def test_a_wrapped_node_is_looked_up_in_the_cache_under_the_name_of_its_own() -> None:
    class Wrapper:
        pass

    for bound in (chain(("a", says("a"))).nodes["a"].bound, chain(("s", chain(("x", says("x"))))).nodes["s"].bound):
        wrapper = Wrapper()
        internals.same_identity(wrapper, bound)
        assert identifier(wrapper) == identifier(bound)


async def test_the_handler_of_a_subgraph_s_task_is_found_by_its_id_in_the_subgraph_s_namespace() -> None:
    def fails(_: Any) -> Any:
        raise ValueError("no")

    def handler(_: Any, error: NodeError) -> Any:
        return {"out": ["handled"]}

    builder = StateGraph(Words)
    builder.add_node("fails", fails, error_handler=handler)
    builder.add_node("asks", lambda _: {"out": [interrupt("q")]})
    builder.add_edge(START, "fails").add_edge(START, "asks")
    inner: Any = builder.compile()
    saver = InMemorySaver()
    await chain(("sub", inner), checkpointer=saver).ainvoke({"out": []}, AT)
    nested = [each for each in saver.list(AT) if internals.namespace(each.config)]
    (found,) = [each for each in nested if any(write[1] == internals.ERROR for write in each.pending_writes or ())]
    shown = internals.with_handlers_done(inner, found)
    assert shown != found
    assert [value for _, channel, value in shown.pending_writes or () if channel == "out"] == [["handled"]]
    assert all(status.error is None for status in internals.statuses(shown.pending_writes).values())
