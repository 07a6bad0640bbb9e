"""Random programs in which runs are deleted, at any moment of a seal: what is left reads as in the in-memory saver."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints.sealing import Limits
from tests.conformance.storage.checkpoints.oracle import NAMESPACES, Oracle, Program, PutStep, WriteStep, assert_same
from tests.conformance.storage.checkpoints.savers import SMALL, TINY, Savers, at
from tests.conformance.storage.conftest import Backend

THREAD = "t"
LIMITS = [TINY, SMALL, Limits(seal_records=9, keep=0, linger=0, inline=64), Limits(seal_records=14, keep=2, linger=0)]


@dataclass(slots=True)
class _Story:
    """A program whose checkpoints belong to runs; `gone` are deleted runs and checkpoints, which it leaves alone."""

    seed: int
    oracle: Oracle = field(default_factory=Oracle)
    gone: set[str] = field(default_factory=set)
    run: int = 0
    program: Program = field(init=False)
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.program = Program(self.seed, THREAD)
        self.dice = random.Random(self.seed)  # noqa: S311 -- a test's dice

    async def go_on(self, saver: BlobCheckpointSaver) -> None:
        step = self.program.step()
        if isinstance(step, PutStep):
            await self._put(saver, step)
        elif step.config["configurable"]["checkpoint_id"] not in self.gone:
            await self._write(saver, step)
        self.run += self.dice.random() < 0.15
        if self.dice.random() < 0.08:
            await self._delete(saver, f"r{self.dice.randint(max(0, self.run - 3), self.run)}")

    async def _put(self, saver: BlobCheckpointSaver, step: PutStep) -> None:
        if step.checkpoint["id"] in self.gone:
            return
        step.metadata.setdefault("run_id", f"r{self.run}")
        arguments = (step.config, step.checkpoint, step.metadata, step.new)
        self.oracle.put(*arguments)
        await saver.aput(*arguments)

    async def _write(self, saver: BlobCheckpointSaver, step: WriteStep) -> None:
        self.oracle.put_writes(step.config, step.writes, step.task, step.path)
        await saver.aput_writes(step.config, step.writes, step.task, step.path)

    async def _delete(self, saver: BlobCheckpointSaver, run: str) -> None:
        await saver.adelete_for_runs([run])
        self.run += 1  # a deleted run does not go on
        self.gone.add(run)
        for namespace, stored in self.oracle.storage[THREAD].items():
            for id_, (_, metadata, _) in list(stored.items()):
                if self.oracle.serde.loads_typed(metadata).get("run_id") == run:
                    del stored[id_]
                    self.gone.add(id_)
            known = self.program.known.get(namespace, [])
            self.program.known[namespace] = [one for one in known if one[0] not in self.gone]
        self.program.past = [step for step in self.program.past if step.checkpoint["id"] not in self.gone]

    async def compare(self, saver: BlobCheckpointSaver) -> None:
        for namespace in NAMESPACES:
            here = at(THREAD, namespace)
            assert_same(self.oracle.get_tuple(here), await saver.aget_tuple(here))
            expected, found = list(self.oracle.list(here)), [one async for one in saver.alist(here)]
            assert len(expected) == len(found)
            for one, other in zip(expected, found, strict=True):
                assert_same(one, other)


async def _run(savers: Savers, seed: int, steps: int) -> None:
    story, options = _Story(seed), dict[str, Any](limits=LIMITS[seed % len(LIMITS)])
    saver = savers(**options)
    for _ in range(steps):
        await story.go_on(saver)
        if story.dice.random() < 0.05:
            saver = savers(**options)  # the process was restarted
        if story.dice.random() < 0.2:
            await story.compare(savers(**options) if story.dice.random() < 0.5 else saver)
    await story.compare(savers(**options))


@pytest.mark.parametrize("seed", [5, 6, 20, 23])
async def test_what_deletions_leave_reads_as_in_the_oracle(savers: Savers, backend: Backend, seed: int) -> None:
    await _run(savers, seed, 40 if backend.name == "blob" else 120)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
async def test_what_many_deletions_leave_reads_as_in_the_oracle(savers: Savers, seed: int) -> None:
    await _run(savers, seed, 150)
