import asyncio
import threading

import pytest

from durablegraph.errors import ConfigurationError
from durablegraph.storage.encryption.data_keys import Bounds, DataKeys
from tests.unit.encryption.rings import CountingRing


async def test_one_data_key_serves_many_writes_and_concurrent_first_writes_make_one() -> None:
    ring = CountingRing("v1")
    keys = DataKeys(ring)
    made = await asyncio.gather(*(keys.for_writing(100) for _ in range(200)))
    assert len({key.wrapped for key in made}) == 1
    assert ring.asked == {"wrap": 1}


async def test_a_data_key_is_renewed_after_so_many_texts() -> None:
    keys = DataKeys(CountingRing("v1"), Bounds(texts=10))
    made = [await keys.for_writing(1) for _ in range(35)]
    assert [made.count(key) for key in dict.fromkeys(made)] == [10, 10, 10, 5]


async def test_a_data_key_is_renewed_after_so_many_bytes() -> None:
    keys = DataKeys(CountingRing("v1"), Bounds(text_bytes=1000))
    made = [await keys.for_writing(size) for size in (400, 600, 1, 5000, 1)]
    assert made[0] == made[1]
    assert len(set(made)) == 4  # one that is too large for the rest of a key's bytes gets a fresh one


async def test_concurrent_writers_never_exceed_the_bound() -> None:
    keys = DataKeys(CountingRing("v1"), Bounds(texts=7))
    made = await asyncio.gather(*(keys.for_writing(1) for _ in range(100)))
    assert max(made.count(key) for key in set(made)) <= 7


def test_the_bounds_keep_within_what_the_standard_allows() -> None:
    bounds = Bounds()
    assert bounds.texts**2 / 2**97 < 2**-32  # NIST SP 800-38D, 8.3: the probability of a nonce used twice
    assert (bounds.text_bytes / 16) ** 2 / 2**128 <= 2**-64


async def test_a_new_active_key_is_used_at_the_next_write() -> None:
    ring = CountingRing("v1", "v2")
    keys = DataKeys(ring)
    assert (await keys.for_writing(1)).key_id == "v1"
    ring.active = "v2"
    assert (await keys.for_writing(1)).key_id == "v2"
    ring.active = "v1"
    assert (await keys.for_writing(1)).key_id == "v1"


async def test_what_this_process_wrote_and_what_it_read_before_is_opened_without_the_ring() -> None:
    ring = CountingRing("v1")
    mine, others = DataKeys(ring), DataKeys(ring)
    own, foreign = await mine.for_writing(1), await others.for_writing(1)
    ring.asked.clear()
    assert await mine.for_reading("a", own.key_id, own.wrapped) is own
    opened = await asyncio.gather(*(mine.for_reading("a", "v1", foreign.wrapped) for _ in range(50)))
    assert len(set(map(id, opened))) == 1
    assert ring.asked == {"unwrap": 1}


async def test_no_more_than_so_many_open_data_keys_are_kept() -> None:
    ring = CountingRing("v1")
    made = [await DataKeys(ring).for_writing(1) for _ in range(5)]
    keys = DataKeys(ring, Bounds(kept=3))
    for key in [*made, *made[2:]]:
        await keys.for_reading("a", key.key_id, key.wrapped)
    assert ring.asked["unwrap"] == 5  # the last three were still there
    await keys.for_reading("a", made[0].key_id, made[0].wrapped)
    assert ring.asked["unwrap"] == 6


async def test_a_ring_that_fails_once_is_asked_again() -> None:
    class Failing(CountingRing):
        async def wrap(self, key_id: str, data_key: bytes) -> bytes:
            if not self.asked:
                self.asked["wrap"] += 1
                raise OSError("the vault does not answer")
            return await super().wrap(key_id, data_key)

    keys = DataKeys(Failing("v1"))
    with pytest.raises(OSError, match="vault"):
        await keys.for_writing(1)
    assert (await keys.for_writing(1)).key_id == "v1"


async def test_a_writer_that_is_cancelled_while_the_ring_works_keeps_nobody_waiting() -> None:
    keys = DataKeys(CountingRing("v1"))
    first, second = (asyncio.ensure_future(keys.for_writing(1)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).key_id == "v1"


def test_several_loops_in_several_threads_may_share_it() -> None:
    ring = CountingRing("v1")
    keys = DataKeys(ring)
    seen: list[bytes] = []

    async def work() -> None:
        written = await asyncio.gather(*(keys.for_writing(1) for _ in range(50)))
        for key in written:
            assert (await keys.for_reading("a", key.key_id, key.wrapped)).aead is not None
        seen.extend(key.wrapped for key in written)

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 200


@pytest.mark.parametrize("active", ["", "x" * 201, "schlüssel", "two\nlines"])
async def test_an_id_that_no_header_takes_is_refused(active: str) -> None:
    ring = CountingRing("v1")
    ring.active = active
    with pytest.raises(ConfigurationError, match="printable ASCII"):
        await DataKeys(ring).for_writing(1)


async def test_a_ring_that_wraps_to_nonsense_is_refused() -> None:
    class Broken(CountingRing):
        async def wrap(self, key_id: str, data_key: bytes) -> bytes:
            return b"" if key_id == "v1" else data_key * 129

    for key_id in ("v1", "v2"):
        with pytest.raises(ConfigurationError, match=r"correct its wrap\(\)"):
            await DataKeys(Broken(key_id)).for_writing(1)


async def test_no_repr_shows_a_key() -> None:
    keys = DataKeys(CountingRing("v1"))
    key = await keys.for_writing(1)
    assert "Aead object" in repr(key)
    assert "AESGCM" not in repr(key)
