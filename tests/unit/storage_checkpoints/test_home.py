"""Both faces from every thread and loop there is, and nothing ever waits for itself."""

import asyncio
import gc
import operator
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from durablegraph import BlobCheckpointSaver
from durablegraph.errors import ConfigurationError
from durablegraph.storage.memory import MemoryObjectStore
from tests.conformance.storage.checkpoints.savers import at, made

METADATA: Any = {"source": "loop", "step": 0, "parents": {}}


class Numbers(TypedDict):
    x: Annotated[list[int], operator.add]


def _put(saver: BlobCheckpointSaver, thread: str) -> None:
    checkpoint = made({"n": 1})
    saver.put(at(thread), checkpoint, METADATA, checkpoint["channel_versions"])


def _graph(node: Any, saver: BlobCheckpointSaver) -> Any:
    builder = StateGraph(Numbers)
    builder.add_node("a", node)
    builder.add_edge(START, "a")
    return builder.compile(checkpointer=saver)


def test_a_program_without_a_loop_uses_the_synchronous_face() -> None:
    with BlobCheckpointSaver(MemoryObjectStore()) as saver:
        assert _graph(lambda _: {"x": [1]}, saver).invoke({"x": [0]}, at("t"))["x"] == [0, 1]
        assert len(list(saver.list(at("t")))) == 3
        saver.copy_thread("t", "u")
        saver.prune(["u"])
        assert len(list(saver.list(at("u")))) == 1
        saver.delete_for_runs(["r"])
        saver.delete_thread("t")
        assert saver.get_tuple(at("t")) is None
        assert saver.get_delta_channel_history(config=at("u"), channels=["x"])["x"] == {"writes": []}


def test_many_threads_at_once() -> None:
    with BlobCheckpointSaver(MemoryObjectStore()) as saver, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: _put(saver, f"t{n % 4}"), range(200)))
        assert sum(1 for _ in saver.list(None)) == 200


async def test_a_synchronous_node_reads_its_own_thread_while_the_loop_runs_the_graph() -> None:
    async with BlobCheckpointSaver(MemoryObjectStore()) as saver:
        seen = []

        def node(_: Numbers) -> dict[str, list[int]]:
            seen.append(graph.get_state(at("t")).values)
            _put(saver, "another")
            return {"x": [1]}

        graph = _graph(node, saver)
        async with asyncio.timeout(20):
            result = await graph.ainvoke({"x": [0]}, at("t"), durability="sync")
        assert result["x"] == [0, 1]
        assert seen == [{"x": [0]}]


async def test_a_synchronous_call_on_the_home_loop_is_refused_with_the_method_to_use() -> None:
    async with BlobCheckpointSaver(MemoryObjectStore()) as saver:
        with pytest.raises(ConfigurationError, match="await aget_tuple"):
            saver.get_tuple(at("t"))
        with pytest.raises(ConfigurationError, match="await alist"):
            list(saver.list(at("t")))
        with pytest.raises(ConfigurationError, match="await aput"):
            _put(saver, "t")


async def test_a_saver_with_a_loop_of_its_own_may_be_called_in_any_way_from_any_loop(tmp_path: Path) -> None:
    saver = BlobCheckpointSaver.from_path(tmp_path / "state.db")
    _put(saver, "t")  # on a loop's thread, which waits for another thread's loop
    found = await saver.aget_tuple(at("t"))
    assert found is not None
    assert [one.checkpoint["id"] async for one in saver.alist(at("t"))] == [found.checkpoint["id"]]
    elsewhere = await asyncio.to_thread(lambda: asyncio.run(saver.aget_tuple(at("t"))))
    assert elsewhere == found
    await saver.aclose()


def test_a_saver_moves_to_a_loop_of_its_own_when_the_one_it_lived_on_was_closed() -> None:
    async def make() -> BlobCheckpointSaver:
        saver = BlobCheckpointSaver(MemoryObjectStore())
        checkpoint = made({"n": 1})
        await saver.aput(at("t"), checkpoint, METADATA, checkpoint["channel_versions"])
        return saver

    saver = asyncio.run(make())
    first = saver.get_tuple(at("t"))
    assert first is not None
    assert asyncio.run(saver.aget_tuple(at("t"))) == first
    saver.close()


def test_a_listing_that_is_given_up_leaves_nothing_open() -> None:
    with BlobCheckpointSaver(MemoryObjectStore()) as saver:
        for _ in range(3):
            _put(saver, "t")
        for one in saver.list(at("t")):
            assert one is not None
            break
        assert saver.get_tuple(at("t")) is not None


async def test_a_listing_of_another_thread_may_be_dropped_on_the_home_loop() -> None:
    async with BlobCheckpointSaver(MemoryObjectStore()) as saver:
        for _ in range(3):
            checkpoint = made({"n": 1})
            await saver.aput(at("t"), checkpoint, METADATA, checkpoint["channel_versions"])

        def begin() -> Any:
            listing = saver.list(at("t"))
            next(listing)
            return listing

        listing = await asyncio.to_thread(begin)
        del listing
        gc.collect()
        assert len([one async for one in saver.alist(at("t"))]) == 3


def test_a_saver_nobody_closed_leaves_no_thread_and_lets_the_program_end(tmp_path: Path) -> None:
    def threads() -> int:
        return sum(thread.name == "checkpoints" for thread in threading.enumerate())

    before = threads()
    saver = BlobCheckpointSaver(MemoryObjectStore())
    _put(saver, "t")
    assert threads() == before + 1
    del saver
    gc.collect()
    deadline = time.monotonic() + 10
    while threads() > before and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert threads() == before
    program = (
        "from durablegraph import BlobCheckpointSaver\n"
        f"saver = BlobCheckpointSaver.from_path({str(tmp_path / 's.db')!r})\n"
        "assert saver.get_tuple({'configurable': {'thread_id': 't'}}) is None\n"
    )
    lib = Path(__file__).resolve().parents[3] / "lib"
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(lib)}, timeout=60, check=False, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_importing_the_package_does_not_import_langgraph() -> None:
    program = "import sys, durablegraph; assert not [name for name in sys.modules if name.startswith('langgraph')]"
    lib = Path(__file__).resolve().parents[3] / "lib"
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(lib)}, timeout=60, check=True)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import durablegraph

    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = durablegraph.no_such_thing
