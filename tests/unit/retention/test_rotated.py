"""A rotation of keys stores every object anew, and what is due by its age goes when it would have gone without it."""

from datetime import timedelta

from durablegraph.storage.encryption import EncryptedStore
from durablegraph.storage.encryption.rotation import rotate
from durablegraph.storage.retention import erase_thread
from durablegraph.storage.runs import RunStore
from durablegraph.storage.written import note_of, written
from tests.support.retaining import Place
from tests.support.stores import CountingStore, Kind
from tests.unit.encryption.rings import ring
from tests.unit.retention.test_erasing import a_run

OLD, BOTH, NEW = ring("v1"), ring("v2", "v1"), ring("v2")
AGAIN = ring("v3", "v2")
MONTH = timedelta(days=30)


async def rotated(place: Place) -> EncryptedStore:
    """Under the new key, as an app sees it that has no other."""
    assert (await rotate(place.objects, BOTH)).left == 0
    return EncryptedStore(place.objects, NEW)


async def records(place: Place, prefix: str) -> list[str]:
    return [key for key in await place.keys(prefix) if not key.startswith("runs/") or key.endswith("/record")]


async def test_a_run_goes_a_month_after_its_end_though_keys_were_rotated_meanwhile() -> None:
    place = Place()
    await a_run(EncryptedStore(place.objects, OLD), "t", "run")
    place.later(days=29)
    store = await rotated(place)
    assert not (await place.sweep(store, runs=MONTH)).finds["runs"]
    place.later(days=1, hours=1)
    assert (await place.sweep(store, runs=MONTH)).finds["runs"] == 1
    assert await records(place, "runs/") == []
    assert place.purged == ["run"]


async def test_threads_and_idempotency_keys_keep_their_ages_through_several_rotations() -> None:
    place = Place()
    await a_run(EncryptedStore(place.objects, OLD), "t", "run")
    place.later(days=5)
    await rotated(place)
    place.later(days=1)
    assert (await rotate(place.objects, AGAIN)).left == 0
    store = EncryptedStore(place.objects, ring("v3"))
    place.later(days=1, minutes=1)
    report = await place.sweep(store, threads=timedelta(days=7))
    assert report.finds == {"threads": 1, "idempotency keys": 1}


async def test_what_is_changed_after_a_rotation_counts_from_its_change() -> None:
    place = Place()
    await a_run(EncryptedStore(place.objects, OLD), "t", "run")
    place.later(days=20)
    store = await rotated(place)
    await RunStore(store).change_thread("t", lambda thread: thread.model_copy(update={"updated_at": place.now}))
    listed = {entry.key: written(entry) async for entry in store.list("threads/", notes=True)}
    assert set(listed.values()) == {place.now}
    place.later(days=29)
    assert not (await place.sweep(store, threads=MONTH, runs=MONTH)).finds["threads"]


async def test_a_young_record_is_not_read_because_keys_were_rotated() -> None:
    place = Place()
    await a_run(EncryptedStore(place.objects, OLD), "t", "run")
    place.later(days=2)
    counting = CountingStore(place.objects)
    await rotated(place)
    await place.sweep(EncryptedStore(counting, NEW), runs=MONTH, threads=MONTH)
    before = counting.start_anew().requests[Kind.READ]
    place.later(days=1)
    await place.sweep(EncryptedStore(counting, NEW), runs=MONTH, threads=MONTH)
    assert counting.tally.requests[Kind.READ] <= before


async def test_the_keys_of_an_erased_thread_are_found_by_their_notes_after_a_rotation() -> None:
    place = Place()
    await a_run(EncryptedStore(place.objects, OLD), "t", "run")
    store = await rotated(place)
    notes = [note_of(entry) async for entry in store.list("idempotency/", notes=True)]
    assert notes == ["run"]
    await erase_thread(place.retention(store), "t", place.now)
    assert await place.keys("idempotency/") == []
