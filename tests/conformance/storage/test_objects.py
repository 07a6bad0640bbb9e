"""What every object store must do; the port's docstrings, sentence by sentence."""

import asyncio
import random
import threading
from datetime import UTC, datetime, timedelta

import pytest

from durablegraph.errors import InvariantBroken, TransientError
from durablegraph.storage.objects import MAX_NOTE_BYTES, ObjectStore, PreconditionFailed, StoreClosed

from .conftest import Backend

LONGEST_KEY = "k/" + "x" * 898


async def keys(store: ObjectStore, prefix: str = "", **options) -> list[str]:
    return [entry.key async for entry in store.list(prefix, **options)]


async def test_a_key_that_was_never_written_reads_as_none(store: ObjectStore) -> None:
    assert await store.get("nothing/here") is None


async def test_a_value_reads_back_with_the_etag_of_its_write(store: ObjectStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # Blob keeps whole seconds
    etag = await store.put("a/b", b"value")
    stored = await store.get("a/b")
    assert stored is not None
    assert (stored.key, stored.data, stored.etag) == ("a/b", b"value", etag)
    assert before <= stored.modified <= datetime.now(UTC) + timedelta(seconds=2)
    assert stored.modified.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", bytes(range(256)) * 5, "Ünïcödé 🦆 \u0000\ud7ff".encode(), b"--boundary\r\n\r\n<xml/>"],
    ids=["empty", "nul", "every byte", "unicode", "looks like a protocol"],
)
async def test_any_bytes_come_back_as_they_were(backend: Backend, store: ObjectStore, data: bytes) -> None:
    await store.put("v", data)
    await store.put("w", b"longer than the other value, to be replaced by it")
    await store.put("w", data)
    for key in ("v", "w"):
        stored = await store.get(key)
        assert stored is not None
        assert stored.data == data
        assert type(stored.data) is bytes
    sizes = [entry.size async for entry in store.list("")]
    assert sizes == [len(data)] * 2 if backend.tells_sizes else len(sizes) == 2


async def test_a_value_of_twenty_megabytes_comes_back_as_it_was(store: ObjectStore) -> None:
    data = random.Random(1).randbytes(20_000_000)  # noqa: S311 -- any bytes will do
    etag = await store.put("big", data, if_absent=True)
    await store.put("big", data[::-1], if_match=etag)
    stored = await store.get("big")
    assert stored is not None
    assert stored.data == data[::-1]


@pytest.mark.parametrize(
    "key", ["a", "A", "=", "~2f", "a.b", "a..b", "h/0f/=t-1/=", "x=y/~e2~82~ac/z_-", LONGEST_KEY, "a/b/c/d/e/f/g/h/i/j"]
)
async def test_every_key_of_the_rule_is_a_key_of_its_own(store: ObjectStore, key: str) -> None:
    await store.put("other", b"other")
    await store.put(key, b"it")
    assert await keys(store) == sorted(["other", key])
    stored = await store.get(key)
    assert stored is not None
    assert stored.data == b"it"
    assert await store.delete(key)
    assert await keys(store) == ["other"]


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.b", "a./b", "a b", "a%2fb", "ü", "a\n", "a\x00", "?", "x" * 901],
)
async def test_a_key_outside_the_rule_is_refused_by_every_method(store: ObjectStore, key: str) -> None:
    for attempt in (store.get(key), store.put(key, b""), store.delete(key), store.delete_many(["fine", key])):
        with pytest.raises(InvariantBroken, match="object key"):
            await attempt


async def test_upper_and_lower_case_are_different_keys(store: ObjectStore) -> None:
    await store.put("Key", b"upper")
    await store.put("key", b"lower")
    assert await keys(store) == ["Key", "key"]


async def test_if_absent_writes_once(store: ObjectStore) -> None:
    etag = await store.put("claim", b"first", if_absent=True)
    with pytest.raises(PreconditionFailed) as refused:
        await store.put("claim", b"second", if_absent=True)
    assert not refused.value.ambiguous
    stored = await store.get("claim")
    assert stored is not None
    assert (stored.data, stored.etag) == (b"first", etag)


async def test_if_match_replaces_only_what_it_names(store: ObjectStore) -> None:
    first = await store.put("head", b"1")
    second = await store.put("head", b"2", if_match=first)
    assert second != first
    with pytest.raises(PreconditionFailed):
        await store.put("head", b"3", if_match=first)
    stored = await store.get("head")
    assert stored is not None
    assert (stored.data, stored.etag) == (b"2", second)


async def test_if_match_of_a_missing_object_is_refused_and_makes_none(store: ObjectStore) -> None:
    etag = await store.put("head", b"1")
    with pytest.raises(PreconditionFailed):
        await store.put("other", b"2", if_match=etag)
    await store.delete("head")
    with pytest.raises(PreconditionFailed):
        await store.put("head", b"2", if_match=etag)
    assert await keys(store) == []


async def test_both_conditions_at_once_are_refused(store: ObjectStore) -> None:
    with pytest.raises(InvariantBroken, match="at most one"):
        await store.put("a", b"", if_match="e", if_absent=True)


async def test_an_etag_that_no_store_made_matches_nothing(store: ObjectStore) -> None:
    await store.put("a", b"")
    for etag in ("0x8DC0FFEE", "x", "*"):
        with pytest.raises(PreconditionFailed):
            await store.put("a", b"never", if_match=etag)


async def test_an_etag_is_never_used_again_even_after_a_delete(store: ObjectStore) -> None:
    seen = []
    for number in range(20):
        seen.append(await store.put("a", b"same"))
        seen.append(await store.put("a", b"same"))
        if number % 2:
            await store.delete("a")
    assert len(set(seen)) == len(seen)
    await store.delete("a")
    await store.put("a", b"same")
    for etag in seen:
        with pytest.raises(PreconditionFailed):
            await store.put("a", b"zombie", if_match=etag)


async def test_delete_says_whether_there_was_one(store: ObjectStore) -> None:
    await store.put("a", b"1")
    assert await store.delete("a") is True
    assert await store.delete("a") is False
    assert await store.get("a") is None


async def test_delete_with_if_match_removes_only_what_it_names(store: ObjectStore) -> None:
    first = await store.put("a", b"1")
    second = await store.put("a", b"2")
    with pytest.raises(PreconditionFailed):
        await store.delete("a", if_match=first)
    assert await store.delete("a", if_match=second) is True
    assert await store.delete("a", if_match=second) is False


async def test_delete_many_removes_600_keys_and_leaves_the_rest(store: ObjectStore) -> None:
    await asyncio.gather(*(store.put(f"d/{number:04d}", b"x") for number in range(601)), store.put("e", b"x"))
    doomed = [f"d/{number:04d}" for number in range(600)]
    await store.delete_many([*doomed, "d/missing", doomed[0]])
    assert await keys(store) == ["d/0600", "e"]
    await store.delete_many(doomed)
    await store.delete_many([])
    assert await keys(store) == ["d/0600", "e"]


async def test_an_empty_store_lists_and_deletes_nothing(store: ObjectStore) -> None:
    assert await keys(store) == []
    assert await keys(store, "p/", start_after="p/x", limit=3) == []
    assert await store.delete("a") is False
    await store.delete_many(["a", "b"])
    with pytest.raises(PreconditionFailed):
        await store.put("a", b"", if_match="0x1")


async def test_2500_keys_list_in_code_point_order_and_page_by_page(store: ObjectStore) -> None:
    throw = random.Random(7)  # noqa: S311 -- the same order in every run
    alphabet = "ABYZabyz0189_=~-"
    names = {"".join(throw.choices(alphabet, k=4)) + throw.choice(["", "/x", ".y", "-z"]) for _ in range(3000)}
    made = sorted(f"p/{name}" for name in sorted(names)[:2500])
    shuffled = made.copy()
    throw.shuffle(shuffled)
    for start in range(0, len(shuffled), 250):
        await asyncio.gather(*(store.put(key, b"v") for key in shuffled[start : start + 250]))
    await store.put("o", b"before the prefix")
    await store.put("q", b"behind the prefix")
    assert await keys(store, "p/") == made
    assert await keys(store, "p/", limit=7) == made[:7]
    paged: list[str] = []
    while page := await keys(store, "p/", start_after=paged[-1] if paged else None, limit=999):
        paged += page
    assert paged == made
    assert await keys(store, "p/", start_after=made[1200], limit=3) == made[1201:1204]


async def test_start_after_need_not_exist_nor_have_the_prefix(store: ObjectStore) -> None:
    for key in ("a/1", "b/1", "b/2", "b/3", "c/1"):
        await store.put(key, b"v")
    assert await keys(store, "b/", start_after="b/1") == ["b/2", "b/3"]
    assert await keys(store, "b/", start_after="b/15") == ["b/2", "b/3"]
    assert await keys(store, "b/", start_after="b/3") == []
    assert await keys(store, "b/", start_after="a/zzz") == ["b/1", "b/2", "b/3"]
    assert await keys(store, "b/", start_after="b") == ["b/1", "b/2", "b/3"]
    assert await keys(store, "b/", start_after="c") == []
    assert await keys(store, "", start_after="b/2", limit=1) == ["b/3"]
    assert await keys(store, "b", limit=0) == []
    assert await keys(store, "b/2") == ["b/2"]
    assert await keys(store, "ü") == []


async def test_a_prefix_is_a_string_and_not_a_folder(store: ObjectStore) -> None:
    for key in ("run-1", "run-1/a", "run-10", "run-2", "run"):
        await store.put(key, b"v")
    assert await keys(store, "run-1") == ["run-1", "run-1/a", "run-10"]


async def test_a_listing_gives_the_etag_that_a_conditional_write_takes(backend: Backend, store: ObjectStore) -> None:
    written = await store.put("a", b"123")
    (entry,) = [entry async for entry in store.list("a")]
    assert entry.etag == written
    assert not backend.tells_sizes or entry.size == 3
    await store.put("a", b"4", if_match=entry.etag)


NOTES = [
    "x",
    '{"status": "running"}',
    " spaces around ",
    "line\nline\r\n\x00\x7f",
    "<Name>&amp;</Name>",
    "Ünïcödé 🦆 日本",
    "n" * MAX_NOTE_BYTES,
    "🦆" * (MAX_NOTE_BYTES // 4),
]


async def told(store: ObjectStore, prefix: str = "") -> dict[str, str | None]:
    return {entry.key: entry.note async for entry in store.list(prefix, notes=True)}


async def test_a_listing_tells_the_notes_when_it_is_asked_to(backend: Backend, store: ObjectStore) -> None:
    for number, note in enumerate(NOTES):
        await store.put(f"n/{number}", b"value", note=note)
    await store.put("n/none", b"value")
    assert await told(store) == {**{f"n/{number}": note for number, note in enumerate(NOTES)}, "n/none": None}
    assert {entry.note async for entry in store.list("n/")} == {None}
    (entry,) = [entry async for entry in store.list("n/0", limit=1, notes=True)]
    assert entry.note == "x"
    assert not backend.tells_sizes or entry.size == 5


async def test_every_write_replaces_the_note(store: ObjectStore) -> None:
    etag = await store.put("a", b"1", if_absent=True, note="first")
    etag = await store.put("a", b"2", if_match=etag, note="second")
    assert await told(store) == {"a": "second"}
    with pytest.raises(PreconditionFailed):
        await store.put("a", b"3", if_absent=True, note="third")
    with pytest.raises(PreconditionFailed):
        await store.put("a", b"3", if_match=etag + "0", note="third")
    assert await told(store) == {"a": "second"}
    await store.put("a", b"3", note="third")
    assert await told(store) == {"a": "third"}
    await store.put("a", b"4")
    assert await told(store) == {"a": None}
    await store.delete("a")
    await store.put("b", b"", note="of b")
    await store.put("a", b"5")
    assert await told(store) == {"a": None, "b": "of b"}


async def test_notes_are_told_on_every_page_of_a_listing(store: ObjectStore) -> None:
    await asyncio.gather(*(store.put(f"p/{number:04d}", b"", note=f"{number}") for number in range(620)))
    pages = [entry async for entry in store.list("p/", start_after="p/0004", notes=True)]
    assert [entry.note for entry in pages] == [f"{number}" for number in range(5, 620)]
    assert [entry.note async for entry in store.list("p/", start_after="p/0099", limit=2, notes=True)] == ["100", "101"]


@pytest.mark.parametrize("note", ["", "n" * (MAX_NOTE_BYTES + 1), "ü" * (MAX_NOTE_BYTES // 2 + 1), "\ud800"])
async def test_a_note_outside_the_rule_is_refused_and_nothing_written(store: ObjectStore, note: str) -> None:
    with pytest.raises(InvariantBroken, match="a note"):
        await store.put("a", b"", note=note)
    assert await store.get("a") is None


async def test_a_listing_that_is_left_early_harms_nothing(store: ObjectStore) -> None:
    await asyncio.gather(*(store.put(f"a/{number}", b"") for number in range(30)))
    async for entry in store.list("a/"):
        assert entry.key == "a/0"
        break
    assert len(await keys(store, "a/")) == 30


async def test_of_20_racing_creations_exactly_one_wins(backend: Backend) -> None:
    stores = [backend.open(), backend.open()]
    for race in range(5):
        results = await asyncio.gather(
            *(stores[number % 2].put(f"race/{race}", str(number).encode(), if_absent=True) for number in range(20)),
            return_exceptions=True,
        )
        winners = [number for number, result in enumerate(results) if isinstance(result, str)]
        assert len(winners) == 1
        assert all(isinstance(result, PreconditionFailed) for result in results if not isinstance(result, str))
        stored = await stores[0].get(f"race/{race}")
        assert stored is not None
        assert stored.data == str(winners[0]).encode()
        assert stored.etag == results[winners[0]]


async def test_racing_chains_of_if_match_count_exactly(backend: Backend) -> None:
    stores = [backend.open(), backend.open()]
    await stores[0].put("counter", b"0")

    async def add_ten(store: ObjectStore) -> None:
        added = 0
        while added < 10:
            stored = await store.get("counter")
            assert stored is not None
            try:
                await store.put("counter", str(int(stored.data) + 1).encode(), if_match=stored.etag)
            except PreconditionFailed:
                continue
            added += 1

    await asyncio.gather(*(add_ten(stores[number % 2]) for number in range(8)))
    stored = await stores[0].get("counter")
    assert stored is not None
    assert stored.data == b"80"


async def test_of_racing_deletions_exactly_one_removes(store: ObjectStore) -> None:
    await store.put("a", b"")
    assert sum(await asyncio.gather(*(store.delete("a") for _ in range(10)))) == 1


async def test_another_store_on_the_same_place_sees_an_acknowledged_write_at_once(backend: Backend) -> None:
    writer, reader = backend.open(), backend.open()
    for number in range(50):
        await writer.put("a", str(number).encode())
        stored = await reader.get("a")
        assert stored is not None
        assert stored.data == str(number).encode()


async def test_what_was_written_is_there_after_the_store_was_closed_and_opened_again(backend: Backend) -> None:
    if backend.name == "memory":
        pytest.skip("memory lasts as long as the object")
    first = backend.open()
    etag = await first.put("a", b"kept")
    await first.aclose()
    second = backend.open()
    stored = await second.get("a")
    assert stored is not None
    assert (stored.data, stored.etag) == (b"kept", etag)


async def test_a_closed_store_refuses_every_call_and_may_be_closed_again(store: ObjectStore) -> None:
    await store.put("a", b"")
    await store.aclose()
    await store.aclose()
    for attempt in (store.get("a"), store.put("a", b""), store.delete("a"), store.delete_many(["a"]), keys(store)):
        with pytest.raises(StoreClosed) as refused:
            await attempt
        assert isinstance(refused.value, TransientError)


async def test_a_store_that_was_never_used_can_be_closed(store: ObjectStore) -> None:
    await store.aclose()


async def test_closing_carries_out_the_writes_under_way(backend: Backend) -> None:
    store = backend.open()
    writes = [asyncio.ensure_future(store.put(f"a/{number}", b"x")) for number in range(50)]
    await asyncio.sleep(0)
    await store.aclose()
    results = await asyncio.gather(*writes, return_exceptions=True)
    acknowledged = [f"a/{number}" for number, result in enumerate(results) if isinstance(result, str)]
    assert len(acknowledged) == 50
    if backend.name != "memory":
        assert await keys(backend.open()) == sorted(acknowledged)


async def test_several_event_loops_in_several_threads_may_use_one_store(store: ObjectStore) -> None:
    def work(worker: int) -> None:
        async def write() -> None:
            for number in range(10):
                await store.put(f"t/{worker}/{number}", b"x", if_absent=True)
                assert await store.get(f"t/{worker}/{number}") is not None

        asyncio.run(write())

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(lambda: [thread.join(timeout=60) for thread in threads])
    assert len(await keys(store, "t/")) == 40


async def test_a_thread_that_blocks_the_loop_can_still_call_through_a_loop_of_its_own(store: ObjectStore) -> None:
    await store.put("a", b"1")  # the store has been used on this loop before
    found: list[bytes] = []

    def synchronous_face() -> None:
        async def read() -> None:
            stored = await store.get("a")
            assert stored is not None
            found.append(stored.data)

        asyncio.run(read())

    thread = threading.Thread(target=synchronous_face)
    thread.start()
    thread.join(timeout=10)  # blocks this test's event loop, as a synchronous call inside a coroutine does
    assert found == [b"1"]


async def test_a_cancelled_call_leaves_the_store_usable(store: ObjectStore) -> None:
    calls = [asyncio.ensure_future(store.put(f"a/{number}", b"x" * 1000)) for number in range(20)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await store.put("b", b"after")
    stored = await store.get("b")
    assert stored is not None
    assert stored.data == b"after"
