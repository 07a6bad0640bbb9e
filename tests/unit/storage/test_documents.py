"""Documents that are changed from memory: a write shows whether what is remembered is what is stored."""

from collections.abc import Callable

from pydantic import BaseModel

from durablegraph.storage.documents import Documents
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.stores import CountingStore, Kind


class Number(BaseModel):
    n: int


def plus(more: int) -> Callable[[Number], Number]:
    return lambda current: Number(n=current.n + more) if more else current


async def stored() -> tuple[CountingStore, Documents[Number]]:
    store = CountingStore(MemoryObjectStore())
    documents = Documents(store, Number, remembered=2)
    assert await documents.create("a", Number(n=1))
    store.start_anew()
    return store, documents


async def value(store: CountingStore, key: str = "a") -> int:
    found = await Documents(store.inner, Number).load(key)
    assert found is not None
    return found.value.n


async def test_what_was_just_written_is_changed_without_a_read() -> None:
    store, documents = await stored()
    for _ in range(3):
        await documents.change("a", plus(1))
    assert store.tally.requests == {Kind.WRITE: 3}
    assert await value(store) == 4


async def test_what_somebody_else_changed_is_read_before_it_is_changed() -> None:
    store, documents = await stored()
    await Documents(store.inner, Number).change("a", plus(10))
    assert await documents.change("a", plus(1)) == Number(n=12)
    assert await value(store) == 12


async def test_memory_does_not_decide_that_there_is_nothing_to_change() -> None:
    store, documents = await stored()
    await Documents(store.inner, Number).change("a", plus(10))
    assert await documents.change("a", plus(0)) == Number(n=11)
    await store.inner.delete("a")
    assert await documents.change("a", plus(0)) is None


async def test_what_was_deleted_meanwhile_is_not_made_again() -> None:
    store, documents = await stored()
    await store.inner.delete("a")
    assert await documents.change("a", plus(1)) is None
    assert await store.inner.get("a") is None


async def test_each_attempt_is_told_before_it_is_made() -> None:
    store, documents = await stored()
    told = []

    async def before_write(before: Number, after: Number) -> None:
        told.append((before.n, after.n))

    await Documents(store.inner, Number).change("a", plus(10))
    await documents.change("a", plus(1), before_write=before_write)
    assert told == [(1, 2), (11, 12)]


async def test_only_so_many_documents_are_remembered() -> None:
    _, documents = await stored()
    for key in ("b", "c"):
        await documents.create(key, Number(n=1))
    assert [documents.known(key) for key in ("a", "b", "c")] == [None, Number(n=1), Number(n=1)]
    forgetful = Documents(MemoryObjectStore(), Number)
    await forgetful.create("a", Number(n=1))
    assert forgetful.known("a") is None


async def test_what_is_stored_as_it_is_remembered_is_not_parsed_anew() -> None:
    store, documents = await stored()
    first = await documents.load("a")
    assert first is not None
    assert await documents.load("a") is first
    await Documents(store.inner, Number).change("a", plus(10))
    changed = await documents.load("a")
    assert changed is not None
    assert changed.value == Number(n=11)
