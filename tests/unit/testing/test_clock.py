"""The test's clock."""

from datetime import UTC, datetime, timedelta

from durablegraph.testing.clock import Clock, LoopClock

START = datetime(2026, 1, 1, tzinfo=UTC)


async def settled():
    """Nothing to wait for."""


async def test_what_falls_due_happens_in_order_each_at_its_own_moment():
    clock, happened = LoopClock(START, settled), []
    for hours in (3, 1, 2):
        clock.call_at(START + timedelta(hours=hours), lambda: happened.append(clock.now()))
    assert clock.next_due() == START + timedelta(hours=1)
    await clock.advance(timedelta(hours=2))
    assert happened == [START + timedelta(hours=1), START + timedelta(hours=2)]
    assert clock.now() == START + timedelta(hours=2)


async def test_what_was_taken_back_is_not_due():
    clock = LoopClock(START, settled)
    take_back = clock.call_at(START + timedelta(hours=1), lambda: None)
    take_back()
    assert clock.next_due() is None


async def test_a_host_does_not_settle_the_clock_itself():
    calls = []

    async def ours():
        calls.append("ours")

    async def theirs():
        calls.append("theirs")

    clock = LoopClock(START, ours)
    clock.attach(theirs)
    await clock.advance(timedelta(hours=1))
    assert set(calls) == {"ours"}


def test_time_is_added_up_from_all_that_is_given():
    moved = []
    clock = Clock(LoopClock(START, settled), moved.append)
    clock.advance(timedelta(days=1), days=1, hours=2, minutes=3, seconds=4)
    assert moved == [timedelta(days=2, hours=2, minutes=3, seconds=4)]
    assert clock.now == START
