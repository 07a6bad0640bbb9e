"""What a checkpoint costs: this library's saver on Blob (Azurite) and SQLite beside its peers, in one run.

Run `python -m benchmarks.checkpointers [steps]`. A step is what LangGraph does in one super-step: a task's writes, and
the checkpoint right after. The floor is one bare upload of the head's size, timed right after each put, so that both
meet the same machine at the same time: what is judged are ratios to it. That holds for flatness too: the last fifth of
5,000 steps against the first, each as a multiple of the floors between its own steps, so that a machine that slows
down meanwhile slows both. Takes about five minutes, most of them for the peer on Blob.
"""

import asyncio
import os
import secrets
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint

from benchmarks.checkpointer_places import BLOB, Opener, Place, Saver, human, our_places, places
from benchmarks.report import Report
from durablegraph import BlobCheckpointSaver
from tests.support import postgres
from tests.support.azurite import install, running

THREAD = "bench"
METADATA: Any = {"source": "loop", "step": 1, "parents": {}}
CONSTANT = os.urandom(1_000_000)
PACKAGES = (
    *("langgraph-checkpoint", "langgraph-checkpoint-sqlite", "langgraph-checkpoint-postgres"),
    *("azure-functions-langgraph", "azure-storage-blob"),
)
HEADINGS = ("put, ms", "p95", "floors", "requests a checkpoint", "stored", "latest, cold", "list(10)", "delete")
State = dict[str, Any]


@dataclass
class Run:
    """Milliseconds of each put, and of the bare upload after it."""

    puts: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)

    def ratio(self, part: slice) -> float:
        """The median put of a part of the run in floors of the same part."""
        return statistics.median(self.puts[part]) / statistics.median(self.floors[part])


@dataclass(frozen=True, slots=True)
class Asked:
    """Milliseconds and requests of one call on a cold saver; None where requests are not counted."""

    milliseconds: float
    requests: int | None

    def __str__(self) -> str:
        """As a cell of the table."""
        return f"{self.milliseconds:.1f}" + ("" if self.requests is None else f" ({self.requests})")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a thread of so many steps cost in one place."""

    run: Run
    requests: float | None
    stored: int | None
    objects: int | None
    latest: Asked
    ten: Asked
    delete: Asked

    def cells(self) -> list[str]:
        """The row of the table."""
        puts = sorted(self.run.puts)
        room = "" if self.stored is None else human(self.stored)
        return [
            f"{statistics.median(puts):.2f}",
            f"{puts[int(len(puts) * 0.95)]:.2f}",
            f"{self.run.ratio(slice(None)):.2f}" if self.run.floors else "",
            "" if self.requests is None else f"{self.requests:.3f}",
            room + ("" if self.objects is None else f" ({self.objects})"),
            *(str(asked) for asked in (self.latest, self.ten, self.delete)),
        ]


async def steps(place: Place, saver: Saver, count: int, values: Callable[[int], State]) -> Run:
    versions: dict[str, Any] = {}
    run, parent = Run(), None
    for n in range(count):
        state, checkpoint = values(n), empty_checkpoint()
        new = {
            channel: saver.get_next_version(versions.get(channel), None)
            for channel in state
            if channel != "constant" or n == 0
        }
        versions = {**versions, **new}
        checkpoint["channel_values"], checkpoint["channel_versions"] = state, dict(versions)
        config: Any = {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}
        writes = None
        if parent is not None:
            config["configurable"]["checkpoint_id"] = parent
            writes = asyncio.create_task(saver.aput_writes(config, [("n", n)], str(uuid.uuid4()), "~node"))
            await asyncio.sleep(0)
        begun = time.perf_counter()
        await saver.aput(config, checkpoint, METADATA, new)
        run.puts.append((time.perf_counter() - begun) * 1000)
        if writes is not None:
            await writes
        if place.floor is not None:
            run.floors.append(await place.floor())
        parent = checkpoint["id"]
    return run


def small(n: int) -> State:
    return {"n": n, "note": f"step {n}", "ok": True}


def with_constant(n: int) -> State:
    return {"n": n, "constant": CONSTANT}


def growing() -> Callable[[int], State]:
    messages: list[str] = []

    def values(n: int) -> State:
        messages.append(secrets.token_hex(1024))
        return {"n": n, "messages": list(messages)}

    return values


async def counted(place: Place, act: Callable[[Saver], Awaitable[object]]) -> Asked:
    """What one call on a cold saver takes."""
    saver, before, begun = place.open(), place.requests(), time.perf_counter()
    await act(saver)
    taken, after = (time.perf_counter() - begun) * 1000, place.requests()
    return Asked(taken, None if before is None or after is None else after - before)


async def latest(saver: Saver) -> None:
    found = await saver.aget_tuple({"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}})
    assert found is not None


async def ten(saver: Saver) -> None:
    config: Any = {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}
    assert len([one async for one in saver.alist(config, limit=10)]) == 10


async def delete(saver: Saver) -> None:
    await saver.adelete_thread(THREAD)


async def cost(place: Place, count: int, values: Callable[[int], State]) -> Cost:
    saver, before = place.open(), place.requests()
    run = await steps(place, saver, count, values)
    await settled(saver)
    after = place.requests()
    asked = None if before is None or after is None else (after - before) / count
    room, objects = await place.stored() if place.stored else (None, None)
    looks = [await counted(place, act) for act in (latest, ten, delete)]
    return Cost(run, asked, room, objects, *looks)


async def settled(saver: Saver) -> None:
    """Let what is under way in the background end, so that its requests count as well."""
    if isinstance(saver, BlobCheckpointSaver):
        await saver.aclose()


async def rows(
    report: Report, title: str, openers: list[Opener], count: int, values: Callable[[], Callable[[int], State]]
) -> Cost | None:
    """A row for each place; the result is what ours on Blob cost, if it is among them."""
    ours = None
    for opener in openers:
        async with opener() as place:
            found = await cost(place, count, values())
            report.row(f"{place.name}: {title}, {count} steps", *found.cells())
            print(report.rows[-1], flush=True)
            ours = found if place.name == BLOB else ours
    return ours


async def flatness(opener: Opener, count: int) -> tuple[str, float, float]:
    """The place, and the last fifth's puts against the first's: in floors, and in milliseconds."""
    async with opener() as place:
        saver = place.open()
        run = await steps(place, saver, count, small)
        await settled(saver)
        first, last = slice(count // 5), slice(-(count // 5), None)
        plain = statistics.median(run.puts[last]) / statistics.median(run.puts[first])
        return place.name, run.ratio(last) / run.ratio(first), plain


async def hand_over(opener: Opener, count: int) -> tuple[str, float, float]:
    """The place, the requests and the milliseconds of a step when each is made by a new process."""
    async with opener() as place:
        saver = place.open()
        await steps(place, saver, 1, small)
        before, taken = place.requests(), []
        for n in range(count):
            begun, fresh = time.perf_counter(), place.open()
            found = await fresh.aget_tuple({"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}})
            assert found is not None
            checkpoint = {**empty_checkpoint(), "channel_values": small(n), "channel_versions": {"n": n + 2}}
            writes = asyncio.create_task(fresh.aput_writes(found.config, [("n", n)], str(uuid.uuid4())))
            await asyncio.sleep(0)
            await fresh.aput(found.config, checkpoint, METADATA, {"n": n + 2})  # type: ignore[arg-type]
            await writes
            taken.append((time.perf_counter() - begun) * 1000)
            await settled(fresh)
        after = place.requests()
        assert before is not None
        assert after is not None
        return place.name, (after - before) / count, statistics.median(taken)


async def measure(report: Report, connection: str | None, server: str | None, count: int) -> None:
    """All rows; the goals are those of ours on Blob, where Azurite runs."""
    openers, mine = places(connection, server), our_places(connection)
    plain = await rows(report, "small state", openers, count, lambda: small)
    growing_ = await rows(report, "a list that grows by 2 KB", openers, count, growing)
    longer = await rows(report, "a list that grows by 2 KB", mine, 4 * count, growing)
    await rows(report, "a constant value of 1 MB", openers, min(count, 100), lambda: with_constant)
    if plain and growing_ and longer:
        judge(report, plain, growing_, longer)
    for opener in mine:
        name, floors, milliseconds = await flatness(opener, 10 * count)
        text = f"{name}: put of the last fifth of {10 * count} steps against the first, both in floors"
        report.goal(text, floors, 1.1, unit=" x")
        report.notes.append(
            f"{name}: put of the last fifth of {10 * count} steps, {milliseconds:.2f} x in milliseconds"
        )
    for opener in mine:
        name, requests, milliseconds = await hand_over(opener, count)
        report.goal(f"{name}: requests a step, each step by a new process", requests, 2.1)
        report.notes.append(f"{name}: {milliseconds:.1f} ms a step, each step by a new process")


def judge(report: Report, plain: Cost, growing_: Cost, longer: Cost) -> None:
    """What ours on Blob has to keep to."""
    count = len(plain.run.puts)
    report.goal(f"{BLOB}: requests a checkpoint, {count} small steps", plain.requests or 0, 1.1)
    report.goal(f"{BLOB}: put, in floors", plain.run.ratio(slice(None)), 1.3, unit=" x")
    report.goal(f"{BLOB}: requests for the latest, cold", plain.latest.requests or 0, 1)
    report.goal(f"{BLOB}: requests for the latest with a large value, cold", growing_.latest.requests or 0, 2)
    report.goal(f"{BLOB}: requests of list(10)", plain.ten.requests or 0, 2)
    report.goal(f"{BLOB}: requests of list(10), values that grow", growing_.ten.requests or 0, 2)
    deletes = max(found.delete.requests or 0 for found in (plain, growing_, longer))
    report.goal(f"{BLOB}: requests of a deletion, {count} to {len(longer.run.puts)} steps", deletes, 6)
    report.goal(f"{BLOB}: {count} messages of 2 KB", (growing_.stored or 0) / 1e6, 2 * count / 500, unit=" MB")


def main(count: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    report = Report("checkpointers", "Checkpoint savers", HEADINGS, bars=HEADINGS[3], packages=PACKAGES)
    with ExitStack() as stack:
        connection = server = None
        try:
            install()
            connection = stack.enter_context(running())
        except BaseException as error:  # noqa: BLE001 -- pytest's own outcomes are no Exceptions
            report.notes.append(f"no Azurite: {error}")
        if postgres.why_not() is None:
            server = stack.enter_context(postgres.running())
        asyncio.run(measure(report, connection, server, count))
    report.notes += [
        "a floor is one bare upload (SQLite: one put by the same adapter) of 16 KB right after the put",
        "requests in parentheses; after *stored* the number of objects",
    ]
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
