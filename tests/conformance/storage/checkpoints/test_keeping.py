"""Keeping the newest checkpoints of a thread: what stays, what goes, and what a crash leaves."""

from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints.reach import reachable
from durablegraph.storage.memory import MemoryObjectStore
from tests.conformance.storage.checkpoints.savers import SMALL, TINY, Savers, at, id_of, put
from tests.conformance.storage.conftest import Backend
from tests.support.stores import CountingStore, Kind

THREAD = "t"


async def _ids(saver: BlobCheckpointSaver, namespace: str = "") -> list[str]:
    return [one.checkpoint["id"] async for one in saver.alist(at(THREAD, namespace))]


async def _steps(saver: BlobCheckpointSaver, count: int, *, run: str = "r", grows: bool = True) -> None:
    found = await saver.aget_tuple(at(THREAD))
    parent = found.checkpoint["id"] if found else None
    values: dict[str, Any] = {"m": list(found.checkpoint["channel_values"]["m"]) if found and grows else []}
    for n in range(count):
        values = {"n": n, "m": [*values["m"], f"{n} " * 20] if grows else [], "b": b"%d" % n * 100}
        config = await put(saver, THREAD, values, parent=parent, metadata={"run_id": run, "step": n})
        await saver.aput_writes(config, [("n", n)], f"task {n}")
        parent = id_of(config)


async def _all(saver: BlobCheckpointSaver) -> dict[str, Any]:
    return {
        one.checkpoint["id"]: (one.checkpoint["channel_values"], one.pending_writes, one.metadata)
        async for one in saver.alist(at(THREAD))
    }


async def _unreachable(backend: Backend) -> set[str]:
    """Objects of the root namespace that its head does not lead to."""
    saver = BlobCheckpointSaver(backend.open())
    log = saver._core.archive.log(THREAD, "")
    head = await log.read(saver._view)
    assert head is not None
    there = {entry.key[len(log.names.objects) :] async for entry in backend.open().list(log.names.objects)}
    return {name for name in there - await reachable(log.objects, head) if not name.startswith("r/")}


@pytest.mark.parametrize("limits", [TINY, SMALL, None], ids=["tiny", "small", "default"])
async def test_the_newest_stay_as_they_were_and_everything_else_goes(
    savers: Savers, backend: Backend, limits: Any
) -> None:
    saver = savers(**({"limits": limits} if limits else {}))
    await _steps(saver, 23)
    before = await _all(savers())
    assert await saver.akeep_last(THREAD, 4)
    after = await _all(savers())
    assert list(after.items()) == list(before.items())[:4]
    assert await _unreachable(backend) == set()
    await _steps(saver, 11)
    assert len(await _ids(savers())) == 15


async def test_keeping_as_many_as_there_are_changes_nothing(savers: Savers) -> None:
    saver = savers(limits=TINY)
    await _steps(saver, 5)
    assert not await saver.akeep_last(THREAD, 5)
    assert not await saver.akeep_last("none", 5)


async def test_the_checkpoint_before_a_run_stays_as_the_ancestor_of_what_is_kept_of_it(savers: Savers) -> None:
    saver = savers(limits=TINY)
    await _steps(saver, 6, run="first")
    base = (await _ids(saver))[0]
    await _steps(saver, 12, run="second")
    newest = (await _ids(saver))[:3]
    await saver.akeep_last(THREAD, 3)
    assert await _ids(savers()) == [*newest, base]
    oldest = await savers().aget_tuple(at(THREAD, "", newest[-1]))
    assert oldest is not None
    assert oldest.parent_config is not None
    assert id_of(oldest.parent_config) == base
    assert not await saver.akeep_last(THREAD, 3)
    await _steps(saver, 5, run="second")
    await saver.akeep_last(THREAD, 3)
    assert (await _ids(savers()))[3:] == [base]


async def test_a_task_s_subgraph_goes_with_the_checkpoint_it_was_executed_on(savers: Savers, backend: Backend) -> None:
    saver = savers(limits=TINY)
    await _steps(saver, 6)
    for root in reversed(await _ids(saver)):
        metadata = {"parents": {"": root}, "run_id": "r"}
        for n in range(3):
            await put(saver, THREAD, {"n": n}, namespace=f"sub:{root}", metadata=metadata)
            await put(saver, THREAD, {"n": n, "b": b"x" * 100}, namespace="lasting", metadata=metadata)
    kept = (await _ids(saver))[:2]
    lasting = await _ids(saver, "lasting")
    await saver.akeep_last(THREAD, 2)
    listed = savers().alist({"configurable": {"thread_id": THREAD}})
    left = {one.config["configurable"]["checkpoint_ns"] async for one in listed}
    assert left == {"", "lasting", *(f"sub:{root}" for root in kept)}
    assert len(lasting) == 18
    assert await _ids(savers(), "lasting") == lasting[:7]
    keys = [entry.key async for entry in backend.open().list("")]
    assert not [key for key in keys if any(f"=sub~3a{root}" in key for root in lasting)]


async def test_a_delta_channel_s_value_survives(savers: Savers) -> None:
    from langgraph.channels.delta import DeltaChannel

    def merged(left: list[str], right: list[list[str]]) -> list[str]:
        return [*left, *(item for part in right for item in part)]

    class State(TypedDict):
        log: Annotated[list, DeltaChannel(merged, snapshot_frequency=1000)]

    builder = StateGraph(State)
    for name in "abcdefgh":
        builder.add_node(name, lambda _, name=name: {"log": [name]})
    builder.add_edge(START, "a")
    for one, other in zip("abcdefg", "bcdefgh", strict=True):
        builder.add_edge(one, other)
    saver = savers(limits=TINY)
    graph = builder.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": THREAD}}
    await graph.ainvoke({"log": ["0"]}, config)
    before = [snapshot.values async for snapshot in graph.aget_state_history(config)]
    await saver.akeep_last(THREAD, 3)
    again = builder.compile(checkpointer=savers())
    after = [snapshot.values async for snapshot in again.aget_state_history(config)]
    assert after == before[:3]
    assert (await again.ainvoke({"log": ["1"]}, config))["log"] == [*"0abcdefgh", "1", *"abcdefgh"]


async def test_writers_in_other_processes_are_refused_once_and_lose_nothing(savers: Savers) -> None:
    saver, other = savers(limits=TINY), savers(limits=TINY, on_conflict="merge")
    await _steps(saver, 10)
    await _steps(other, 3)
    await saver.akeep_last(THREAD, 2)
    await _steps(other, 9)
    found = await savers().aget_tuple(at(THREAD))
    assert found is not None
    assert len(found.checkpoint["channel_values"]["m"]) == 22


async def test_it_costs_a_tenth_of_a_request_a_step_at_most_when_every_hundredth_step_does_it() -> None:
    counting = CountingStore(MemoryObjectStore())
    saver = BlobCheckpointSaver(counting)
    for round_ in range(5):
        await _steps(saver, 100, grows=False)
        counting.start_anew()
        assert await saver.akeep_last(THREAD, 5)
        spent = counting.start_anew()
        assert spent.total - spent.requests[Kind.DELETE] <= 10, round_
    assert len([entry async for entry in counting.inner.list("")]) <= 12
