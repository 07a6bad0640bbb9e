"""Crashes and faults that are ordered come when they were ordered, once."""

import pytest

from durablegraph.errors import TransientError
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.testing.faults import LivingStore, Storage
from durablegraph.testing.lives import KeptJournal, Life
from durablegraph.testing.moments import (
    Orders,
    What,
    When,
    after_activity,
    after_write,
    before_activity,
    before_commit,
    before_write,
)
from durablegraph.testing.verdicts import ProcessEnded


@pytest.fixture
def storage():
    return Storage(MemoryObjectStore())


async def store_on(storage, *moments):
    orders = Orders()
    for moment in moments:
        orders.add(moment)
    return LivingStore(storage, Life(orders))


def test_a_moment_comes_at_its_number_and_only_then():
    orders = Orders()
    orders.add(after_activity(2, "pay"))
    reached = [orders.reach(What.ACTIVITY, When.AFTER, name) for name in ("pay", "ask", "PAY", "pay")]
    assert [moment is not None for moment in reached] == [False, False, True, False]


def test_a_side_of_a_moment_is_not_the_other():
    orders = Orders()
    orders.add(before_activity())
    assert orders.reach(What.ACTIVITY, When.AFTER, "pay") is None
    assert orders.open() == ["before activity 1 (counted 0)"]
    assert orders.reach(What.ACTIVITY, When.BEFORE, "pay") == before_activity()
    assert orders.open() == []


async def test_a_write_before_which_the_process_dies_is_not_made(storage):
    store = await store_on(storage, before_write(2))
    await store.put("a", b"1")
    with pytest.raises(ProcessEnded):
        await store.put("b", b"1")
    assert await storage.objects.get("b") is None


async def test_a_write_after_which_the_process_dies_is_made(storage):
    store = await store_on(storage, after_write(1))
    with pytest.raises(ProcessEnded):
        await store.put("a", b"1")
    assert (await storage.objects.get("a")).data == b"1"


async def test_the_dead_neither_read_nor_write(storage):
    store = await store_on(storage, before_write(1))
    with pytest.raises(ProcessEnded):
        await store.delete("a")
    for call in (store.get("a"), store.put("a", b"1"), store.delete("a"), store.delete_many(["a"])):
        with pytest.raises(ProcessEnded):
            await call
    with pytest.raises(ProcessEnded):
        await anext(store.list(""))


async def test_a_fault_passes(storage):
    store = await store_on(storage)
    storage.fail("get", at=2, times=2)
    told = []
    for _ in range(5):
        try:
            await store.get("a")
            told.append("read")
        except TransientError:
            told.append("failed")
    assert told == ["read", "failed", "failed", "read", "read"]
    assert storage.unused() == []
    assert storage.requests["get"] == 5


async def test_a_fault_afterwards_comes_when_the_write_is_made(storage):
    store = await store_on(storage)
    storage.fail("put", when="after")
    with pytest.raises(TransientError):
        await store.put("a", b"1")
    assert (await storage.objects.get("a")).data == b"1"


async def test_a_fault_of_a_key_leaves_the_others(storage):
    store = await store_on(storage)
    storage.fail(key="runs/")
    await store.put("threads/1", b"1")
    with pytest.raises(TransientError, match="runs/1"):
        await store.put("runs/1", b"1")
    storage.fail("list", key="runs/")
    with pytest.raises(TransientError):
        await anext(store.list("runs/"))


async def test_a_journal_holds_what_the_life_before_had_committed():
    first = Life(Orders())
    journal = KeptJournal.of("hub", first, None)
    first.end()
    second = Life(Orders())
    again = KeptJournal.of("hub", second, first.left)
    assert again.load().instances == journal.load().instances == {}
    with pytest.raises(ProcessEnded):
        journal.commit([])
    again.commit([])


async def test_a_commit_before_which_the_process_dies_is_not_made():
    orders = Orders()
    orders.add(before_commit(2))
    life = Life(orders)
    journal = KeptJournal.of("hub", life, None)
    journal.commit([])
    with pytest.raises(ProcessEnded):
        journal.commit([])
    assert life.dead
    assert life.left is not None
