"""Activities set out one after the other, and none that fails or has begun keeps its place."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from durablegraph.execution import setting_out as module
from durablegraph.execution.setting_out import TOGETHER, setting_out


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_set_out_together_than_there_are_places():
    under_way: list[int] = []
    leave = [asyncio.Event() for _ in range(TOGETHER + 2)]

    async def activity(number: int) -> None:
        async with setting_out() as begun:
            under_way.append(number)
            await leave[number].wait()
            begun()
            begun()  # a second task of the same activity frees no second place
            await asyncio.Event().wait()

    activities = [asyncio.create_task(activity(number)) for number in range(TOGETHER + 2)]
    await settled()
    assert under_way == list(range(TOGETHER))

    leave[0].set()
    await settled()
    assert under_way == list(range(TOGETHER + 1))

    activities[1].cancel()  # it had not begun a task
    await settled()
    assert under_way == list(range(TOGETHER + 2))
    for each in activities:
        each.cancel()
    await asyncio.gather(*activities, return_exceptions=True)


async def test_who_waits_too_long_sets_out_without_a_place(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 0.001)
    async with AsyncExitStack() as others:
        for _ in range(TOGETHER):
            await others.enter_async_context(setting_out())
        async with asyncio.timeout(5), setting_out() as begun:
            begun()
        monkeypatch.setattr(module, "LONGEST", 60)
        waiting = asyncio.create_task(_one_more())
        await settled()
        assert not waiting.done()  # it gave up no place of the others
    await waiting


async def _one_more() -> None:
    async with setting_out():
        pass


async def test_what_fails_before_a_task_begins_gives_its_place_up():
    for _ in range(TOGETHER + 1):
        with pytest.raises(LookupError):
            async with setting_out():
                raise LookupError
    async with asyncio.timeout(5), setting_out():
        pass


def test_each_event_loop_has_places_of_its_own():
    async def taken() -> None:
        async with setting_out(), asyncio.timeout(5):
            await settled()

    for _ in range(TOGETHER + 1):
        asyncio.run(taken())
