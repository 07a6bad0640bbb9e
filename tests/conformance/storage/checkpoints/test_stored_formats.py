"""Threads that earlier versions stored are read, and go on, unchanged.

`tests/fixtures/checkpoints-format-1.db` holds threads of the first published layout: random programs with tiny and
with small segments, one of them encrypted, and a list that grows over several sealed segments. The file beside it
has the digest of every checkpoint as that version read it.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints.sealing import Limits
from durablegraph.storage.connections import SqliteConnection
from durablegraph.storage.opening import open_store
from tests.conformance.storage.checkpoints.savers import TINY, at, id_of, put

FIXTURE = Path(__file__).resolve().parents[3] / "fixtures" / "checkpoints-format-1.db"
EXPECTED: dict[str, dict[str, list[list[str]]]] = json.loads(FIXTURE.with_suffix(".json").read_text())
ENCRYPTED = "thread 5"


def _digest(found: CheckpointTuple) -> list[str]:
    checkpoint = found.checkpoint
    parent = found.parent_config and found.parent_config["configurable"]["checkpoint_id"]
    told = [checkpoint["id"], parent, checkpoint["channel_values"], checkpoint["channel_versions"]]
    told += [dict(found.metadata), [list(write) for write in found.pending_writes or []]]
    text = json.dumps(told, sort_keys=True, default=lambda raw: {"bytes": bytes(raw).hex()})
    return [checkpoint["id"], hashlib.sha256(text.encode()).hexdigest()]


def _opened(path: Path, thread: str, limits: Limits | None = None) -> BlobCheckpointSaver:
    serde: Any = None
    if thread == ENCRYPTED:
        pytest.importorskip("Crypto")
        serde = EncryptedSerializer.from_pycryptodome_aes(key=b"k" * 32)
    return BlobCheckpointSaver(open_store(SqliteConnection(path)), serde=serde, limits=limits, owns_store=True)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return Path(shutil.copy(FIXTURE, tmp_path / "state.db"))


@pytest.mark.parametrize("thread", EXPECTED)
async def test_every_checkpoint_of_an_earlier_version_reads_as_it_did(stored: Path, thread: str) -> None:
    async with _opened(stored, thread) as saver:
        for namespace, expected in EXPECTED[thread].items():
            assert [_digest(one) async for one in saver.alist(at(thread, namespace))] == expected
            latest = await saver.aget_tuple(at(thread, namespace))
            assert latest is not None
            assert _digest(latest) == expected[0]
    for namespace, expected in EXPECTED[thread].items():
        async with _opened(stored, thread) as saver:  # cold: straight to the oldest
            oldest = await saver.aget_tuple(at(thread, namespace, expected[-1][0]))
            assert oldest is not None
            assert _digest(oldest) == expected[-1]


@pytest.mark.parametrize("limits", [None, TINY], ids=["as shipped", "tiny segments"])
@pytest.mark.parametrize("thread", EXPECTED)
async def test_a_thread_of_an_earlier_version_goes_on(stored: Path, thread: str, limits: Limits | None) -> None:
    async with _opened(stored, thread, limits) as saver:
        for namespace, expected in EXPECTED[thread].items():
            before = await saver.aget_tuple(at(thread, namespace))
            assert before is not None
            values, parent = before.checkpoint["channel_values"], before.checkpoint["id"]
            grown = [*values.get("m", []), "more"]
            for n in range(12):
                grown = [*grown, f"and more {n}"]
                parent = id_of(await put(saver, thread, {**values, "m": grown}, namespace=namespace, parent=parent))
            history = [_digest(one) async for one in saver.alist(at(thread, namespace))]
            assert history[12:] == expected
    async with _opened(stored, thread) as saver:
        for namespace in EXPECTED[thread]:
            found = await saver.aget_tuple(at(thread, namespace))
            assert found is not None
            assert found.checkpoint["channel_values"]["m"][-1] == "and more 11"
