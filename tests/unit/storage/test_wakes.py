"""Whoever waits for a change is told of it, and is not told what does not concern him."""

import asyncio
import threading

from durablegraph.model.records import RunRecord, RunRequest
from durablegraph.model.status import RunStatus
from durablegraph.storage import lifecycle
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.runs import RunStore
from durablegraph.storage.wakes import Wakes
from tests.unit.execution.durably import NOW

HOURS = 3_600.0


async def test_a_change_ends_the_pause_of_all_who_wait_for_it() -> None:
    wakes = Wakes()
    with wakes.of("a") as one, wakes.of("a") as other:
        pauses = asyncio.gather(one.pause(HOURS), other.pause(HOURS))
        await asyncio.sleep(0)
        wakes.tell("a")
        await asyncio.wait_for(pauses, 5)


async def test_a_change_before_the_pause_is_not_missed() -> None:
    wakes = Wakes()
    with wakes.of("a") as wake:
        wakes.tell("a")
        await asyncio.wait_for(wake.pause(HOURS), 5)


async def test_a_change_is_told_once() -> None:
    wakes = Wakes()
    with wakes.of("a") as wake:
        wakes.tell("a")
        await wake.pause(HOURS)
        again = asyncio.ensure_future(wake.pause(HOURS))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not again.done()
        again.cancel()


async def test_changes_of_others_and_after_the_end_wake_nobody() -> None:
    wakes = Wakes()
    with wakes.of("a") as wake:
        waiting = asyncio.ensure_future(wake.pause(HOURS))
        wakes.tell("b")
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
    wakes.tell("a")


async def test_a_pause_without_a_change_ends_by_itself() -> None:
    with Wakes().of("a") as wake:
        await wake.pause(0)


async def test_a_change_in_another_thread_is_told() -> None:
    wakes = Wakes()
    with wakes.of("a") as wake:
        thread = threading.Thread(target=wakes.tell, args=("a",))
        thread.start()
        await asyncio.wait_for(wake.pause(HOURS), 5)
        thread.join()


async def test_a_run_that_changes_wakes_who_waits_for_it() -> None:
    runs = RunStore(MemoryObjectStore())
    facts = {"run_id": "r", "graph": "g", "thread_id": "t", "created_at": NOW}
    record = RunRecord(**facts, updated_at=NOW)
    assert await runs.create(RunRequest(**facts), record)
    with runs.changes("r") as changed:
        waiting = asyncio.ensure_future(changed.pause(HOURS))
        await lifecycle.end(runs, record, RunStatus.CANCELLED, NOW)
        await asyncio.wait_for(waiting, 5)
    found = await runs.load("r")
    assert found is not None
    assert found.value.status is RunStatus.CANCELLED
