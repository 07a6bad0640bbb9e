"""Random programs: the saver, its process restarted again and again, must agree with LangGraph's in-memory saver."""

from typing import Any

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints.sealing import Limits
from tests.conformance.storage.checkpoints.oracle import NAMESPACES, Oracle, Program, PutStep, assert_same
from tests.conformance.storage.checkpoints.savers import SMALL, TINY, Savers, at
from tests.conformance.storage.conftest import Backend

LIMITS = {"tiny": TINY, "small": SMALL, "shipped": Limits()}


async def _compare(oracle: Oracle, saver: BlobCheckpointSaver, program: Program, *, fully: bool) -> None:
    for namespace in NAMESPACES:
        here = at(program.thread, namespace)
        assert_same(oracle.get_tuple(here), await saver.aget_tuple(here))
        ids = program.ids(namespace)
        for id_ in ids if fully else program.dice.sample(ids, min(3, len(ids))):
            there = at(program.thread, namespace, id_)
            assert_same(oracle.get_tuple(there), await saver.aget_tuple(there))
            expected = oracle.get_delta_channel_history(config=there, channels=["m", "e"])
            assert await saver.aget_delta_channel_history(config=there, channels=["m", "e"]) == expected
        options = _listing(program, namespace, fully=fully)
        expected_list = list(oracle.list(here, **options))
        found = [one async for one in saver.alist(here, **options)]
        assert len(found) == len(expected_list)
        for one, other in zip(expected_list, found, strict=True):
            assert_same(one, other)


def _listing(program: Program, namespace: str, *, fully: bool) -> dict[str, Any]:
    ids = program.ids(namespace)
    if fully or not ids:
        return {}
    before = at(program.thread, namespace, program.dice.choice(ids)) if program.dice.random() < 0.5 else None
    wanted = {"even": True} if program.dice.random() < 0.3 else None
    return {"limit": program.dice.choice((None, 1, 5)), "before": before, "filter": wanted}


async def _run(savers: Savers, seed: int, limits: Limits, *, encrypted: bool, steps: int = 120) -> None:
    options: dict[str, Any] = {"limits": limits}
    if encrypted:
        options["serde"] = EncryptedSerializer.from_pycryptodome_aes(key=b"k" * 32)
    program, oracle, saver = Program(seed, f"thread {seed}"), Oracle(), savers(**options)
    for _ in range(steps):
        step = program.step()
        if isinstance(step, PutStep):
            arguments = (step.config, step.checkpoint, step.metadata, step.new)
            oracle.put(*arguments)
            await saver.aput(*arguments)
        else:
            oracle.put_writes(step.config, step.writes, step.task, step.path)
            await saver.aput_writes(step.config, step.writes, step.task, step.path)
        if program.dice.random() < 0.05:
            saver = savers(**options)  # the process was restarted
        if program.dice.random() < 0.1:
            reader = savers(**options) if program.dice.random() < 0.5 else saver
            await _compare(oracle, reader, program, fully=False)
    await _compare(oracle, savers(**options), program, fully=True)


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("seed", range(3))
async def test_random_programs_read_as_in_the_oracle(savers: Savers, backend: Backend, seed: int, limits: str) -> None:
    steps = 40 if backend.name == "blob" else 120  # each request takes its time there
    await _run(savers, seed, LIMITS[limits], encrypted=False, steps=steps)


async def test_random_programs_read_as_in_the_oracle_when_encrypted(savers: Savers) -> None:
    pytest.importorskip("Crypto")
    await _run(savers, 1000, TINY, encrypted=True, steps=60)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
async def test_many_random_programs_read_as_in_the_oracle(savers: Savers, seed: int) -> None:
    await _run(savers, seed, list(LIMITS.values())[seed % 3], encrypted=seed % 5 == 0, steps=200)
