import base64
import json
import random
from dataclasses import replace

import pytest

from durablegraph.errors import ConfigurationError, InvariantBroken, TooLarge
from durablegraph.storage.encryption import (
    CorruptObject,
    EncryptedStore,
    EncryptionKeyMissingError,
    NotEncryptedError,
    sealing,
)
from durablegraph.storage.encryption.store import KeylessStore
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.objects import ObjectStore
from tests.unit.encryption.rings import V2, LocalKeys, ring

TEXT = json.dumps({"words": ["the same words again"] * 40}).encode()
NOISE = random.Random(3).randbytes(5000)  # noqa: S311 -- any bytes will do

FORMAT_1 = (
    "44474501000228007631"
    "0182733032122adfe875b07fe8a5b68469773eb3534f8bcd7a58a799e4c44b425840d9c64507fd54"
    "1250767468d31d57f16290283e3069d2a200c614df51c8e6af0891f664f3cdfe871a36146f12654288a7af971709c3"
)
"""What the first version stored for a value of the object threads/1 under the key v1."""


async def stored(below: ObjectStore, key: str) -> bytes:
    found = await below.get(key)
    assert found is not None
    return found.data


async def value(store: ObjectStore, key: str) -> bytes:
    return await stored(store, key)


async def notes(store: ObjectStore) -> list[str | None]:
    return [entry.note async for entry in store.list("", notes=True)]


@pytest.fixture
def below() -> MemoryObjectStore:
    return MemoryObjectStore()


@pytest.fixture
def store(below: MemoryObjectStore) -> EncryptedStore:
    return EncryptedStore(below, ring("v1"))


async def test_what_is_stored_begins_with_the_header_that_is_documented(below, store) -> None:
    await store.put("a/b", NOISE)
    data = await stored(below, "a/b")
    assert data[:8] == b"DGE\x01\x00\x02\x28\x00"  # format 1, a value, an id of 2 and a wrapped key of 40 bytes
    assert data[8:10] == b"v1"
    assert len(data) == 8 + 2 + 40 + 12 + len(NOISE) + 16
    assert NOISE[:16] not in data


async def test_what_can_be_compressed_is_and_the_rest_is_not(below, store) -> None:
    await store.put("text", TEXT)
    await store.put("noise", NOISE)
    await store.put("small", b"x" * 63)
    sizes = {entry.key: entry.size async for entry in below.list("")}
    assert sizes["text"] < len(TEXT) / 4
    assert (sizes["noise"], sizes["small"]) == (len(NOISE) + 78, 63 + 78)
    assert (await stored(below, "text"))[4] == 1
    assert [await value(store, key) for key in ("text", "noise", "small")] == [TEXT, NOISE, b"x" * 63]


async def test_the_same_value_is_never_encrypted_twice_to_the_same_bytes(below, store) -> None:
    seen = set()
    for _ in range(10):
        await store.put("a", b"same")
        seen.add(await stored(below, "a"))
    assert len(seen) == 10


async def test_not_one_bit_may_be_changed(below, store) -> None:
    await store.put("a", b"value")
    data = await stored(below, "a")
    assert len(data) == 83
    for bit in range(len(data) * 8):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        await below.put("a", bytes(altered))
        with pytest.raises((CorruptObject, NotEncryptedError, EncryptionKeyMissingError)):
            await store.get("a")


async def test_every_beginning_of_an_object_is_refused(below, store) -> None:
    await store.put("a", b"value")
    data = await stored(below, "a")
    for end in range(len(data)):
        await below.put("a", data[:end])
        with pytest.raises((CorruptObject, NotEncryptedError)):
            await store.get("a")


async def test_an_object_under_another_name_is_refused(below, store) -> None:
    await store.put("threads/mine", b"mine")
    await below.put("threads/yours", await stored(below, "threads/mine"))
    with pytest.raises(CorruptObject, match=r"threads/yours does not authenticate.*moved from another name"):
        await store.get("threads/yours")


async def test_the_data_key_of_another_object_does_not_open_it(below) -> None:
    first, second = EncryptedStore(below, ring("v1")), EncryptedStore(below, ring("v1"))
    await first.put("a", b"value")
    await second.put("b", b"other")
    mine, others = await stored(below, "a"), await stored(below, "b")
    await below.put("a", mine[:10] + others[10:50] + mine[50:])
    with pytest.raises(CorruptObject):
        await first.get("a")


async def test_a_note_in_the_place_of_a_value_is_refused_and_the_reverse(below, store) -> None:
    await store.put("a", b"value", note="note")
    (note,) = await notes(below)
    assert note is not None
    await below.put("a", base64.b64decode(note))
    with pytest.raises(CorruptObject, match="a note lies where a value belongs"):
        await store.get("a")
    await store.put("b", b"value")
    await below.put("a", b"", note=base64.b64encode(await stored(below, "b")).decode())
    with pytest.raises(CorruptObject):
        await notes(store)


async def test_an_altered_note_is_refused(below, store) -> None:
    await store.put("a", b"value", note="note")
    (note,) = await notes(below)
    assert note is not None
    for altered in (note[:-1], note[:40] + ("A" if note[40] != "A" else "B") + note[41:], note[:-4] + "!!!!"):
        await below.put("a", b"", note=altered)
        with pytest.raises((CorruptObject, EncryptionKeyMissingError)):
            await notes(store)


async def test_half_of_a_note_always_fits_and_too_long_a_note_is_refused(store) -> None:
    throw = random.Random(5)  # noqa: S311 -- any text will do
    hard = "".join(chr(throw.randrange(33, 127)) for _ in range(4096))
    await store.put("a", b"", note=hard[:2048])
    assert await notes(store) == [hard[:2048]]
    with pytest.raises(InvariantBroken, match="keep notes to half"):
        await store.put("b", b"", note=hard)
    assert await store.get("b") is None


async def test_a_key_that_is_missing_is_named(below, store) -> None:
    await store.put("a", b"value", note="note")
    later = EncryptedStore(below, ring("v3", "v2"))
    with pytest.raises(EncryptionKeyMissingError, match=r"a is encrypted under the key 'v1'.*active one is 'v3'"):
        await later.get("a")
    with pytest.raises(EncryptionKeyMissingError, match="'v1'"):
        await notes(later)


async def test_another_key_of_the_same_name_is_told(below, store) -> None:
    await store.put("a", b"value")
    with pytest.raises(CorruptObject, match="another key had this id when it was written"):
        await EncryptedStore(below, LocalKeys({"v1": V2})).get("a")


async def test_every_key_of_the_ring_can_be_read_and_new_writes_take_the_active_one(below, store) -> None:
    await store.put("a", b"old", note="old note")
    later = EncryptedStore(below, ring("v2", "v1"))
    await later.put("b", b"new", note="new note")
    assert [await value(later, key) for key in ("a", "b")] == [b"old", b"new"]
    assert await notes(later) == ["old note", "new note"]
    assert (await stored(below, "b"))[8:10] == b"v2"


async def test_plaintext_is_refused_unless_a_migration_reads_it(below, store) -> None:
    await below.put("a", b"from before", note="an old note")
    with pytest.raises(NotEncryptedError, match="DURABLEGRAPH_ENCRYPTION_READ_PLAINTEXT"):
        await store.get("a")
    with pytest.raises(NotEncryptedError):
        await notes(store)
    migrating = EncryptedStore(below, ring("v1"), reads_plaintext=True)
    assert await value(migrating, "a") == b"from before"
    assert await notes(migrating) == ["an old note"]


async def test_a_store_without_keys_says_that_it_met_an_encrypted_object(below, store) -> None:
    await store.put("a", b"value", note="note")
    plain = KeylessStore(below)
    with pytest.raises(EncryptionKeyMissingError, match="a is encrypted under the key 'v1', and this app has no keys"):
        await plain.get("a")
    with pytest.raises(EncryptionKeyMissingError, match="the note of a is encrypted"):
        await notes(plain)
    assert [entry.note async for entry in plain.list("")] == [None]
    etag = await plain.put("b", b"clear", note="a clear note")
    assert await value(below, "b") == await value(plain, "b") == b"clear"
    assert [entry.note async for entry in plain.list("b", notes=True)] == ["a clear note"]
    await plain.put("b", b"again", if_match=etag)


async def test_a_format_of_a_later_version_is_told(below, store) -> None:
    await store.put("a", b"value")
    data = await stored(below, "a")
    await below.put("a", data[:3] + b"\x02" + data[4:])
    with pytest.raises(CorruptObject, match="format 2, this version reads 1; upgrade"):
        await store.get("a")


async def test_too_large_a_value_is_refused(store, monkeypatch) -> None:
    monkeypatch.setattr(sealing, "_LARGEST", 100)
    with pytest.raises(TooLarge, match="a: 5000 bytes"):
        await store.put("a", NOISE)


async def test_large_values_are_worked_on_in_threads_and_come_back(below, store) -> None:
    large = TEXT * 4000
    await store.put("a", large)
    await store.put("b", NOISE * 200)
    assert await value(store, "a") == large
    assert await value(store, "b") == NOISE * 200


async def test_the_bytes_that_were_stored_in_format_1_are_still_read(below) -> None:
    await below.put("threads/1", bytes.fromhex(FORMAT_1))
    assert await value(EncryptedStore(below, ring("v1")), "threads/1") == b"kept since format 1"


async def test_errors_of_encryption_have_codes_and_none_of_them_is_retried() -> None:
    kinds = (CorruptObject, EncryptionKeyMissingError, NotEncryptedError)
    assert [kind.code for kind in kinds] == ["corrupt_object", "encryption_key_missing", "not_encrypted"]
    assert not any(kind.retryable for kind in kinds)
    assert issubclass(EncryptionKeyMissingError, ConfigurationError)


async def test_etags_and_times_pass_through(below, store) -> None:
    etag = await store.put("a", b"value")
    through, real = await store.get("a"), await below.get("a")
    assert through is not None
    assert real is not None
    assert replace(through, data=real.data) == real
    assert through.etag == etag
