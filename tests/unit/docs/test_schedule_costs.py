"""docs/explanation/costs.md says what schedules ask of the object store: it is counted here."""

from collections import Counter

from durablegraph.storage.memory import MemoryObjectStore
from tests.support.stores import CountingStore, Kind
from tests.unit.docs.test_costs import told
from tests.unit.schedules.schedules import create, tick

DUE = ("2026-01-05T09:00:00Z", "2026-01-05T10:00:00Z")


async def test_a_tick_and_a_run_that_it_starts_cost_what_the_page_says() -> None:
    store = CountingStore(MemoryObjectStore())
    await create(store, metadata={})
    store.start_anew()
    assert await tick(store, "2026-01-05T08:59:00Z") == {}
    idle = store.start_anew().requests
    assert idle == told("a tick of the schedules when nothing is due")
    for time in DUE:
        assert await tick(store, time) == {"started": 1}
        fired = store.start_anew().requests
        assert fired - idle - told("a start") == told("a run that a schedule starts, besides")
        assert idle + told("a start") + told("a run that a schedule starts, besides") == fired
    await tick(store, "2026-01-05T14:00:00Z")
    late = store.start_anew().requests
    assert late - fired == told("a run for times that were missed, besides that")


async def test_a_schedule_is_made_at_the_price_that_the_page_says() -> None:
    store = CountingStore(MemoryObjectStore())
    await create(store, metadata={})
    assert store.tally.requests == told("to make a schedule")
    assert Counter(store.tally.requests)[Kind.LIST] == 0
