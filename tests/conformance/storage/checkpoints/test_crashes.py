"""Processes that die at any request: nothing that was acknowledged is lost, nothing is served that was not written."""

import copy
import itertools
import json
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.memory import MemoryObjectStore
from tests.conformance.storage.checkpoints.crash_nursery import LIMITS, TOGETHER, opened
from tests.conformance.storage.checkpoints.oracle import (
    NAMESPACES,
    Oracle,
    Program,
    PutStep,
    WriteStep,
    assert_same,
)
from tests.conformance.storage.checkpoints.savers import TINY, at, put
from tests.support.stores import FaultStore, SimulatedCrash, When, crash

ROOT = Path(__file__).resolve().parents[4]
Step = PutStep | WriteStep


class Nursery:
    """The process that raises the children, and what they were heard to say."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.conformance.storage.checkpoints.crash_nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}", "PATH": ""},
        )

    def raise_child(self, life: dict[str, Any]) -> tuple[list[int], int]:
        """The steps that a child acknowledged before it was gone, and its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(life) + "\n")
        self._process.stdin.flush()
        done: list[int] = []
        for line in self._process.stdout:
            what, number = line.split()
            if what == "gone":
                return done, int(number)
            done.append(int(number))
        raise AssertionError("the nursery died")

    def close(self) -> None:
        """Send it home."""
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    started = Nursery()
    yield started
    started.close()


@pytest.fixture(params=["sqlite", pytest.param("blob", marks=pytest.mark.azurite)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Where the children's checkpoints are; it outlives them."""
    if request.param == "sqlite":
        return {"path": str(tmp_path / "state.db")}
    return {"connection": request.getfixturevalue("azurite"), "container": f"c-{uuid.uuid4().hex}"}


def _apply(oracle: Oracle, steps: Sequence[Step]) -> None:
    for step in steps:
        if isinstance(step, PutStep):
            oracle.put(step.config, step.checkpoint, step.metadata, step.new)
        else:
            oracle.put_writes(step.config, step.writes, step.task, step.path)


Read = dict[str, tuple[CheckpointTuple | None, list[CheckpointTuple]]]
"""By namespace: the latest checkpoint and the listing."""


def _read(saver: BaseCheckpointSaver[Any], thread: str) -> Read:
    return {name: (saver.get_tuple(at(thread, name)), list(saver.list(at(thread, name)))) for name in NAMESPACES}


def _assert_reads_as(expected: Read, found: Read) -> None:
    for namespace, (latest, history) in expected.items():
        assert_same(latest, found[namespace][0])
        assert len(history) == len(found[namespace][1])
        for one, other in zip(history, found[namespace][1], strict=True):
            assert_same(one, other)


def _assert_explained(oracle: Oracle, in_flight: Sequence[Step], saver: BlobCheckpointSaver, thread: str) -> None:
    """All that was acknowledged is there, and besides it nothing but steps that were under way, each whole."""
    found, complaints = _read(saver, thread), []
    for count in range(len(in_flight) + 1):
        for landed in itertools.combinations(in_flight, count):
            possible = copy.deepcopy(oracle)
            _apply(possible, landed)
            try:
                _assert_reads_as(_read(possible, thread), found)
            except AssertionError as error:
                complaints.append(error)
            else:
                return
    raise complaints[0]


def _crash_until_done(nursery: Nursery, place: dict[str, str], seed: int, steps: int) -> int:
    """Live one program through as many deaths as it takes; the number of deaths."""
    dice = random.Random(seed)  # noqa: S311 -- a test's dice
    thread, limits = f"thread {seed}", ("tiny", "small")[seed % 2]
    program, oracle = Program(seed, thread), Oracle()
    planned = [program.step() for _ in range(steps)]
    first = deaths = fruitless = 0
    while first < steps:
        life = {"place": place, "seed": seed, "thread": thread, "limits": limits, "first": first, "steps": steps}
        # A step may need more requests than that, to seal an overdue head: then the next one lives a little longer.
        life |= {"at": dice.randint(1, 12 + fruitless), "when": dice.choice(list(When))}
        done, code = nursery.raise_child(life)
        assert code in {0, -signal.SIGKILL}
        deaths += code != 0
        fruitless = 0 if first in done else fruitless + 1
        # Steps are carried out in pairs, and the second of a pair may be acknowledged without the first.
        reached = max(done, default=first - 1)
        pair_end = first + ((reached - first) // TOGETHER + 1) * TOGETHER if done else first
        for number in sorted(done):
            _apply(oracle, [planned[number]])
        under_way = [n for n in range(first, min(pair_end + TOGETHER, steps)) if n not in done]
        with BlobCheckpointSaver(opened(place), limits=LIMITS[limits], owns_store=True) as saver:
            _assert_explained(oracle, [planned[n] for n in under_way], saver, thread)
        # Steps may be repeated, so the next process begins at the first one that nobody saw done.
        first = next(n for n in range(first, steps + 1) if n not in done)
    return deaths


def test_what_was_acknowledged_outlives_a_sigkill_at_any_request(nursery: Nursery, place: dict[str, str]) -> None:
    deaths = sum(_crash_until_done(nursery, place, seed, 24) for seed in range(2))
    assert deaths > 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_processes_die_and_nothing_is_lost(nursery: Nursery, place: dict[str, str]) -> None:
    deaths = seed = 0
    while deaths < 500:  # on each of the two stores
        deaths += _crash_until_done(nursery, place, 1000 + seed, 60)
        seed += 1


async def _story(saver: BlobCheckpointSaver, told: dict[str, Any]) -> None:
    """A little of everything; `told` is what was acknowledged."""
    for n in range(4):
        config = await put(
            saver, "t", {"n": n, "big": b"%d" % n * 300}, parent=told.get("t"), metadata={"run_id": f"r{n}"}
        )
        told["t"] = config["configurable"]["checkpoint_id"]
        await saver.aput_writes(config, [("x", n)], "task")
        told["writes"] = n
    await saver.acopy_thread("t", "copy")
    told["copy"] = True
    await saver.aprune(["copy"])
    told["pruned"] = True
    await saver.adelete_for_runs(["r3"])
    told["without"] = "r3"
    await saver.adelete_thread("copy")
    told["deleted"] = True


async def _assert_story_holds(saver: BlobCheckpointSaver, told: dict[str, Any]) -> None:
    history = [one async for one in saver.alist(at("t"))]
    steps = [one.checkpoint["channel_values"]["n"] for one in history]
    # What was under way at the crash may be there or not: one more checkpoint, or one deletion more.
    assert steps == sorted(steps, reverse=True)
    if "t" in told and "pruned" not in told:
        assert told["t"] in {one.checkpoint["id"] for one in history}
    if told.get("without"):
        assert steps == [2, 1, 0]
    written = {one.checkpoint["channel_values"]["n"]: one.pending_writes for one in history}
    for n in range(min(told.get("writes", -1), 2) + 1):
        assert written[n] == [("task", "x", n)]
    copied = [one.checkpoint["channel_values"]["n"] async for one in saver.alist(at("copy"))]
    if told.get("deleted"):
        assert copied == []
    elif told.get("without"):
        assert copied in ([3], [])
    elif told.get("pruned"):
        assert copied in ([3], [])  # the copy's run may be deleted already, the thread's not yet
    elif told.get("copy"):
        assert copied in ([3, 2, 1, 0], [3])


@pytest.mark.parametrize("when", list(When))
async def test_a_crash_at_every_single_request_of_a_thread_s_life(when: When) -> None:
    points = 0
    while True:
        points += 1
        inner, told = MemoryObjectStore(), dict[str, Any]()
        faulty = FaultStore(inner, at=points, when=when, fault=crash)
        victim = BlobCheckpointSaver(faulty, limits=TINY)
        try:
            await _story(victim, told)
        except SimulatedCrash:
            pass
        else:
            break
        await _assert_story_holds(BlobCheckpointSaver(inner), told)
        # Whatever was cut off can be carried out again, by a process that knows nothing of it.
        survivor = BlobCheckpointSaver(inner, limits=TINY)
        found = await survivor.aget_tuple(at("t"))
        await put(survivor, "t", {"n": 9}, parent=found.checkpoint["id"] if found else None)
        await survivor.aprune(["t", "copy"])
        assert len([one async for one in survivor.alist(at("t"))]) == 1
        for thread in ("t", "copy"):
            await survivor.adelete_thread(thread)
        left = [entry.key async for entry in inner.list("") if not entry.key.startswith("r/")]
        assert left == []
    assert points > 40
