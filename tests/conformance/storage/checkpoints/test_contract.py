"""What LangGraph relies on and its own suite does not ask; each test runs on every store."""

import operator
import uuid
from itertools import chain
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints import CorruptCheckpoint
from durablegraph.storage.objects import ObjectStore
from tests.conformance.storage.checkpoints.savers import TINY, Savers, at, id_of, put
from tests.conformance.storage.conftest import Backend

THREAD = "t"
ODD_IDS = [
    *("a/b", "../x", "..", ".", "a\\b", "%2e%2e/", "a b", "日本語/スレッド", "x" * 700, "a?b#c", "a%2Fb", "ends."),
    *(
        "ends/",
        "a\u0000b",
        "A",
        "a",
        "é",
        "e\u0301",
        "😀",
        "-1",
        "a|b:c",
        "a//b",
        "~",
        "~~",
        "=",
        "\ud800",
        "",
        "x" * 701,
    ),
]


class Numbers(TypedDict):
    x: Annotated[list[int], operator.add]


async def test_pending_writes_come_in_the_order_of_task_paths(savers: Savers) -> None:
    saver = savers()
    config = await put(saver, THREAD)
    # The ids of the tasks sort against their paths.
    await saver.aput_writes(config, [("a", 1), ("a", 2)], "ffff", "~__pregel_pull, a")
    await saver.aput_writes(config, [("a", 3)], "0000", "~__pregel_pull, b")
    found = await savers().aget_tuple(config)
    assert found is not None
    assert [value for _, _, value in found.pending_writes or []] == [1, 2, 3]


async def test_a_listing_without_a_namespace_shows_all_of_them(savers: Savers) -> None:
    saver = savers()
    for namespace in ("", "child:1", "a:1|b:2"):
        await put(saver, THREAD, namespace=namespace)
    seen = {
        found.config["configurable"]["checkpoint_ns"]
        async for found in saver.alist({"configurable": {"thread_id": THREAD}})
    }
    assert seen == {"", "child:1", "a:1|b:2"}


async def test_a_listing_of_several_namespaces_is_newest_first(savers: Savers) -> None:
    saver = savers(limits=TINY)
    put_ids = [id_of(await put(saver, THREAD, {"n": n}, namespace=f"ns{n % 3}")) for n in range(20)]
    seen = [found.checkpoint["id"] async for found in savers().alist({"configurable": {"thread_id": THREAD}})]
    assert seen == put_ids[::-1]


async def test_a_listing_without_config_shows_all_threads(savers: Savers) -> None:
    saver = savers()
    for thread in ("a", "b", "x" * 700):
        await put(saver, thread)
    assert {found.config["configurable"]["thread_id"] async for found in saver.alist(None)} == {"a", "b", "x" * 700}


async def test_a_limit_of_zero_lists_nothing(savers: Savers) -> None:
    saver = savers()
    await put(saver, THREAD)
    assert [found async for found in saver.alist(at(THREAD), limit=0)] == []


async def test_a_listing_can_start_before_a_checkpoint_and_filter_and_end(savers: Savers) -> None:
    saver = savers(limits=TINY)
    put_ids = [id_of(await put(saver, THREAD, {"n": n}, metadata={"step": n, "even": n % 2 == 0})) for n in range(12)]
    before = at(THREAD, "", put_ids[9])
    seen = [
        found.metadata["step"] async for found in saver.alist(at(THREAD), before=before, filter={"even": True}, limit=3)
    ]
    assert seen == [8, 6, 4]


async def test_special_channels_are_replaced_and_a_tasks_output_is_not(savers: Savers) -> None:
    saver = savers()
    config = await put(saver, THREAD)
    for value in ("i1", "i2"):
        await saver.aput_writes(config, [("__interrupt__", value)], "t1")
    for number in (1, 2):
        await saver.aput_writes(config, [("x", number)], "t2")
    found = await savers().aget_tuple(config)
    assert found is not None
    assert {(task, channel): value for task, channel, value in found.pending_writes or []} == {
        ("t1", "__interrupt__"): "i2",
        ("t2", "x"): 1,
    }


@pytest.mark.parametrize("late", [False, True], ids=["on the latest checkpoint", "on an old checkpoint"])
async def test_two_executions_of_a_task_never_mix_their_branches(savers: Savers, late: bool) -> None:
    saver = savers(limits=TINY)
    config = await put(saver, THREAD, {"n": 0})
    first = [("out", 1), ("branch:to:x", None)]
    await saver.aput_writes(config, first, "t1")
    parent = config
    for n in range(8 if late else 0):
        parent = await put(saver, THREAD, {"n": n}, parent=id_of(parent))
    await saver.aput_writes(config, [("out", 2), ("answer", 3), ("branch:to:y", None)], "t1")
    found = await savers().aget_tuple(config)
    assert found is not None
    assert [(channel, value) for _, channel, value in found.pending_writes or []] == first


class Logs(TypedDict, total=False):
    log: Annotated[list[str], DeltaChannel(lambda seen, more: [*seen, *chain.from_iterable(more)])]
    extra: Annotated[list[str], DeltaChannel(lambda seen, more: [*seen, *chain.from_iterable(more)])]
    again: bool


@pytest.mark.parametrize("steps", [0, 12], ids=["in the head", "sealed"])
async def test_a_fork_that_executes_a_task_once_more_keeps_what_it_writes_to_another_delta_channel(
    savers: Savers, steps: int
) -> None:
    """No checkpoint of the fork holds the channel's value: a state read later is rebuilt from these writes."""
    builder = StateGraph(Logs)
    builder.add_node("done", lambda state: {"log": ["done"], **({"extra": ["new"]} if state.get("again") else {})})
    builder.add_node("ask", lambda _: {"log": [interrupt("?")]})
    builder.add_edge(START, "done").add_edge(START, "ask")
    graph = builder.compile(checkpointer=savers(limits=TINY))
    config = {"configurable": {"thread_id": THREAD}}
    await graph.ainvoke({"log": ["in"]}, config)
    asked = (await graph.aget_state(config)).config
    for _ in range(1 + steps):
        await graph.aupdate_state(config, None)
    live = await graph.ainvoke(Command(resume="yes", update={"again": True}), asked)
    assert live == {"log": ["in", "yes", "done"], "extra": ["new"], "again": True}
    assert (await builder.compile(checkpointer=savers()).aget_state(config)).values == live


async def test_writes_without_a_task_accumulate_as_langgraph_saves_them(savers: Savers) -> None:
    saver, nobody = savers(), "00000000-0000-0000-0000-000000000000"
    config = await put(saver, THREAD)
    await saver.aput_writes(config, [("x", 1)], nobody)
    await saver.aput_writes(config, [("x", 1), ("y", 2), ("__resume__", "r")], nobody)
    found = await savers().aget_tuple(config)
    assert found is not None
    assert sorted((channel, value) for _, channel, value in found.pending_writes or []) == [
        ("__resume__", "r"),
        ("x", 1),
        ("y", 2),
    ]


async def test_a_checkpoint_put_again_replaces_itself(savers: Savers) -> None:
    saver = savers()
    config = await put(saver, THREAD, {"x": 1}, x="00001.1")
    await saver.aput_writes(config, [("x", 5)], "t1")
    await put(saver, THREAD, {"x": 2}, id_=id_of(config), x="00002.1")
    found = await savers().aget_tuple(at(THREAD))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"x": 2}
    assert len([one async for one in saver.alist(at(THREAD))]) == 1


async def test_an_older_id_that_is_no_child_of_the_latest_does_not_become_the_latest(savers: Savers) -> None:
    saver = savers()
    old, _, new = (str(uuid6(clock_seq=n)) for n in range(3))
    await put(saver, THREAD, {"x": "new"}, id_=new)
    await put(saver, THREAD, {"x": "old"}, id_=old, x=9)
    found = await savers().aget_tuple(at(THREAD))
    assert found is not None
    assert (found.checkpoint["id"], found.checkpoint["channel_values"]) == (new, {"x": "new"})
    assert [one.checkpoint["id"] async for one in savers().alist(at(THREAD))] == [new, old]
    by_id = await savers().aget_tuple(at(THREAD, "", old))
    assert by_id is not None
    assert by_id.checkpoint["channel_values"] == {"x": "old"}


async def test_any_thread_id_and_namespace_are_kept_apart(savers: Savers) -> None:
    saver, namespace = savers(), "ns/../..|x:1"
    for thread in ODD_IDS:
        await put(saver, thread, {"v": repr(thread)}, namespace=namespace)
    for thread in ODD_IDS:
        found = await savers().aget_tuple(at(thread, namespace))
        assert found is not None
        assert found.checkpoint["channel_values"]["v"] == repr(thread)
        assert len([one async for one in saver.alist(at(thread, namespace))]) == 1
    assert {one.config["configurable"]["thread_id"] async for one in savers().alist(None)} == set(ODD_IDS)


async def test_deleting_a_thread_spares_those_whose_names_begin_alike(savers: Savers) -> None:
    saver = savers()
    for thread in ("p-1", "p-10", "p-1/x"):
        await put(saver, thread)
    await saver.adelete_thread("p-1")
    assert await saver.aget_tuple(at("p-1")) is None
    assert await savers().aget_tuple(at("p-10")) is not None
    assert await savers().aget_tuple(at("p-1/x")) is not None


async def test_any_channel_name_will_do(savers: Savers) -> None:
    saver = savers()
    values = {"a/b": 1, "__start__": 2, "branch:to:x": 3, "日本": 4, "": 5, "a.b": 6, "c" * 600: 7}
    config = await put(saver, THREAD, values)
    await saver.aput_writes(config, [(channel, 1) for channel in values], "task", "p")
    found = await savers().aget_tuple(at(THREAD))
    assert found is not None
    assert found.checkpoint["channel_values"] == values
    assert {channel for _, channel, _ in found.pending_writes or []} == set(values)


async def test_a_fork_of_an_old_checkpoint_and_its_continuation(savers: Savers) -> None:
    builder = StateGraph(Numbers)
    builder.add_node("a", lambda state: {"x": [len(state["x"])]})
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", lambda state: "a" if len(state["x"]) < 6 else END)
    saver = savers(limits=TINY)
    graph = builder.compile(checkpointer=saver)
    assert (await graph.ainvoke({"x": []}, at(THREAD)))["x"] == list(range(6))
    history = [one async for one in graph.aget_state_history(at(THREAD))]
    forked = await graph.aupdate_state(history[3].config, {"x": [100]})
    assert (await graph.aget_state(forked)).values["x"] == [*history[3].values["x"], 100]
    result = await graph.ainvoke(None, forked)
    elsewhere = builder.compile(checkpointer=savers(limits=TINY))
    assert (await elsewhere.aget_state(at(THREAD))).values == result
    assert (await elsewhere.aget_state(history[0].config)).values["x"] == list(range(6))


async def test_an_interrupt_is_answered_by_another_process(savers: Savers) -> None:
    builder = StateGraph(Numbers)
    builder.add_node("a", lambda _: {"x": [1]})
    builder.add_node("h", lambda _: {"x": [interrupt("q")]})
    builder.add_edge(START, "a")
    builder.add_edge("a", "h")
    stopped = await builder.compile(checkpointer=savers()).ainvoke({"x": []}, at(THREAD))
    assert stopped["__interrupt__"][0].value == "q"
    graph = builder.compile(checkpointer=savers())
    assert (await graph.aget_state(at(THREAD))).next == ("h",)
    assert (await graph.ainvoke(Command(resume=7), at(THREAD)))["x"] == [1, 7]


async def test_an_interrupt_in_a_subgraph_is_answered_by_another_process(savers: Savers) -> None:
    inner = StateGraph(Numbers)
    inner.add_node("i", lambda _: {"x": [interrupt("q")]})
    inner.add_edge(START, "i")
    builder = StateGraph(Numbers)
    builder.add_node("sub", inner.compile())
    builder.add_edge(START, "sub")
    await builder.compile(checkpointer=savers()).ainvoke({"x": []}, at(THREAD))
    graph = builder.compile(checkpointer=savers())
    state = await graph.aget_state(at(THREAD), subgraphs=True)
    assert state.tasks[0].state is not None
    assert state.tasks[0].state.next == ("i",)  # type: ignore[union-attr]
    assert (await graph.ainvoke(Command(resume=3), at(THREAD)))["x"] == [3]


def _delta_graph(rounds: int, frequency: int) -> StateGraph[Any]:
    def add(state: list[str], writes: list[Any]) -> list[str]:
        return state + [one for write in writes for one in (write if isinstance(write, list) else [write])]

    class State(TypedDict):
        m: Annotated[list[str], DeltaChannel(add, list, snapshot_frequency=frequency)]
        i: int

    builder = StateGraph(State)
    builder.add_node("n", lambda state: {"i": state["i"] + 1, "m": [f"n{state['i']}"]})
    for name in "dcba":  # the order of the names is not the order of the tasks' ids
        builder.add_node(name, lambda state, name=name: {"m": [f"{name}{state['i']}"]})  # type: ignore[misc]
        builder.add_edge("n", name)
    builder.add_node("j", lambda _: {})
    builder.add_edge(START, "n")
    builder.add_edge(list("dcba"), "j")
    builder.add_conditional_edges("j", lambda state: "n" if state["i"] < rounds else END)
    return builder


async def test_a_delta_channel_is_rebuilt_as_the_run_left_it(savers: Savers) -> None:
    builder = _delta_graph(rounds=12, frequency=7)
    config = {**at(THREAD), "recursion_limit": 1000}
    result = await builder.compile(checkpointer=savers(limits=TINY)).ainvoke({"m": [], "i": 0}, config)
    graph = builder.compile(checkpointer=savers(limits=TINY))
    assert (await graph.aget_state(at(THREAD))).values["m"] == result["m"]
    further = await graph.ainvoke({"m": ["again"], "i": 10}, config)
    assert further["m"][: len(result["m"])] == result["m"]


@pytest.mark.parametrize("limits", [None, TINY], ids=["as shipped", "tiny segments"])
async def test_a_prune_keeps_what_delta_channels_are_rebuilt_from(savers: Savers, limits: Any) -> None:
    builder = _delta_graph(rounds=6, frequency=500)
    config = {**at(THREAD), "recursion_limit": 1000}
    graph = builder.compile(checkpointer=savers(limits=limits))
    result = await graph.ainvoke({"m": [], "i": 0}, config)
    await savers(limits=limits).aprune([THREAD])
    assert (await builder.compile(checkpointer=savers()).aget_state(at(THREAD))).values["m"] == result["m"]
    assert len([one async for one in savers().alist(at(THREAD))]) == 1
    graph = builder.compile(checkpointer=savers(limits=limits))
    further = await graph.ainvoke({"m": ["again"], "i": 3}, config)
    assert further["m"][: len(result["m"])] == result["m"]
    assert (await builder.compile(checkpointer=savers()).aget_state(at(THREAD))).values["m"] == further["m"]


async def test_metadata_of_any_json_comes_back_and_can_be_filtered_by(savers: Savers) -> None:
    saver = savers()
    await put(saver, THREAD, metadata={"k": "日本\n\u0007", "n": None, "d": {"a": [1, 2]}})
    found = await savers().aget_tuple(at(THREAD))
    assert found is not None
    told: Any = found.metadata
    assert (told["k"], told["d"], told["n"]) == ("日本\n\u0007", {"a": [1, 2]}, None)
    assert len([one async for one in saver.alist(at(THREAD), filter={"d": {"a": [1, 2]}})]) == 1


async def test_a_value_of_forty_megabytes(savers: Savers) -> None:
    value = uuid.uuid4().bytes * (40 * 1024 * 1024 // 16)
    await put(savers(), THREAD, {"b": value, "x": 1})
    found = await savers().aget_tuple(at(THREAD))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"b": value, "x": 1}


async def test_encrypted_checkpoints_leave_no_plaintext(savers: Savers, backend: Backend) -> None:
    pytest.importorskip("Crypto")
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"0" * 32)
    saver = savers(serde=serde, limits=TINY)
    secret = "secret-value-123"  # noqa: S105 -- what must not be found in the store
    config = await put(saver, THREAD, {"x": secret, "y": [secret] * 50, "z": secret * 2000})
    await saver.aput_writes(config, [("x", secret)], "t", "p")
    for _ in range(8):
        config = await put(saver, THREAD, {"x": secret}, parent=id_of(config))
    found = await savers(serde=serde).aget_tuple(at(THREAD))
    assert found is not None
    assert found.checkpoint["channel_values"]["x"] == secret
    await saver.aclose()
    store = backend.open()
    stored = [await store.get(entry.key) async for entry in store.list("")]
    assert len(stored) > 3
    assert not any(secret.encode() in one.data for one in stored if one is not None)


async def _stored_in_all_kinds_of_objects(savers: Savers, store: ObjectStore) -> list[str]:
    """The keys of a thread with a head, segments and values of their own."""
    saver = savers(limits=TINY)
    config = await put(saver, THREAD, {"n": 0, "large": b"x" * 500})
    for n in range(1, 8):
        config = await put(saver, THREAD, {"n": n, "large": b"%d" % n * 500}, parent=id_of(config))
    await saver.aclose()
    keys = [entry.key async for entry in store.list("")]
    assert {key.split("/")[-2] for key in keys} >= {"s", "x"}
    return keys


async def _read_all(saver: BlobCheckpointSaver) -> None:
    await saver.aget_tuple(at(THREAD))
    assert len([one async for one in saver.alist(at(THREAD))]) == 8


async def test_a_missing_value_is_corruption_and_not_a_missing_channel(savers: Savers, backend: Backend) -> None:
    store = backend.open()
    keys = await _stored_in_all_kinds_of_objects(savers, store)
    await _read_all(savers())
    found = await savers().aget_tuple(at(THREAD))
    assert found is not None
    for key in [key for key in keys if "/x/" in key]:
        await store.delete(key)
    with pytest.raises(CorruptCheckpoint, match="missing"):
        await savers().aget_tuple(at(THREAD))


@pytest.mark.parametrize("kind", ["head", "s", "x"])
async def test_a_flipped_bit_is_corruption_and_never_served(savers: Savers, backend: Backend, kind: str) -> None:
    store = backend.open()
    keys = await _stored_in_all_kinds_of_objects(savers, store)
    for key in [key for key in keys if (key.startswith("h/") if kind == "head" else f"/{kind}/" in key)]:
        whole = await store.get(key)
        assert whole is not None
        broken = bytearray(whole.data)
        broken[len(broken) * 2 // 3] ^= 1
        await store.put(key, bytes(broken))
    with pytest.raises(CorruptCheckpoint, match="checksum"):
        await _read_all(savers())


async def test_a_lost_head_is_corruption_and_not_a_new_thread(savers: Savers, backend: Backend) -> None:
    store = backend.open()
    await _stored_in_all_kinds_of_objects(savers, store)
    found = await savers().aget_tuple(at(THREAD))
    assert found is not None
    await store.delete_many([entry.key async for entry in store.list("h/")])
    with pytest.raises(CorruptCheckpoint, match="head was lost"):
        await savers().aget_tuple(found.config)
    with pytest.raises(CorruptCheckpoint, match="head was lost"):
        await put(savers(), THREAD, {"n": 8}, parent=id_of(found.config))


async def test_the_saver_is_a_langgraph_saver_for_both_faces(savers: Savers) -> None:
    saver = savers()
    assert isinstance(saver, BlobCheckpointSaver)
    assert saver.get_next_version(None, None) < saver.get_next_version(saver.get_next_version(None, None), None)
