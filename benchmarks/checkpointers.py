"""What a checkpoint costs: this library's saver on Blob (Azurite) and SQLite beside its peers, in one run.

Run `python -m benchmarks.checkpointers [steps]`. A step is what LangGraph does in one super-step: a task's writes, and
the checkpoint right after. The floor is one bare upload of the head's size, timed right after each put, so that both
meet the same machine at the same time: what is judged are ratios to it. That holds for flatness too: the last fifth of
5,000 steps against the first, each as a multiple of the floors between its own steps, so that a machine that slows
down meanwhile slows both.

Targets: at most 1.1 requests a checkpoint, put at most 1.3 floors, latest cold 1 request (2 with a large value),
list(10) at most 2, delete at most 6, 500 messages of 2 KB in at most 2 MB, 5,000 steps flat (1.1), hand-over 2.1.
"""

import asyncio
import os
import platform
import secrets
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint

from benchmarks.checkpointer_places import Opener, Place, Saver, our_places, places  # sets the path for what follows
from durablegraph import BlobCheckpointSaver
from tests.support import postgres
from tests.support.azurite import install, running

THREAD = "bench"
METADATA: Any = {"source": "loop", "step": 1, "parents": {}}
CONSTANT = os.urandom(1_000_000)
VERSIONS = (
    *("langgraph", "langgraph-checkpoint", "langgraph-checkpoint-sqlite", "langgraph-checkpoint-postgres"),
    *("azure-functions-langgraph", "azure-storage-blob"),
)
State = dict[str, Any]


@dataclass
class Run:
    """Milliseconds of each put, and of the bare upload after it."""

    puts: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)

    def ratio(self, part: slice) -> float:
        """The median put of a part of the run in floors of the same part."""
        return statistics.median(self.puts[part]) / statistics.median(self.floors[part])


async def steps(place: Place, saver: Saver, count: int, values: Callable[[int], State]) -> Run:
    run, parent, versions = Run(), None, {}
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


async def counted(place: Place, act: Callable[[Saver], Awaitable[object]]) -> str:
    """Requests and milliseconds of one call on a cold saver."""
    saver, before, begun = place.open(), place.requests(), time.perf_counter()
    await act(saver)
    taken, after = (time.perf_counter() - begun) * 1000, place.requests()
    asked = "" if before is None or after is None else f" ({after - before})"
    return f"{taken:.1f}{asked}"


async def latest(saver: Saver) -> None:
    found = await saver.aget_tuple({"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}})
    assert found is not None


async def ten(saver: Saver) -> None:
    config: Any = {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}
    assert len([one async for one in saver.alist(config, limit=10)]) == 10


async def delete(saver: Saver) -> None:
    await saver.adelete_thread(THREAD)


async def row(place: Place, count: int, values: Callable[[int], State]) -> None:
    saver, before = place.open(), place.requests()
    run = await steps(place, saver, count, values)
    await settled(saver)
    after = place.requests()
    puts = sorted(run.puts)
    p50, p95 = statistics.median(puts), puts[int(len(puts) * 0.95)]
    ratio = f"{run.ratio(slice(None)):.2f}" if run.floors else ""
    asked = "" if before is None or after is None else f"{(after - before) / count:.3f}"
    stored = await place.stored() if place.stored else ""
    cells = [f"{p50:.2f} / {p95:.2f}", ratio, asked, stored, await counted(place, latest), await counted(place, ten)]
    print("|", place.name, "|", " | ".join([*cells, await counted(place, delete)]), "|", flush=True)


async def settled(saver: Saver) -> None:
    """Let what is under way in the background end, so that its requests count as well."""
    if isinstance(saver, BlobCheckpointSaver):
        await saver.aclose()


async def table(title: str, openers: list[Opener], count: int, values: Callable[[], Callable[[int], State]]) -> None:
    print(f"\n{title}, {count} steps; milliseconds (requests)\n")
    print("| saver | put p50 / p95 | floors | req/checkpoint | stored (objects) | latest cold | list(10) | delete |")
    print("|---|---|---|---|---|---|---|---|")
    for opener in openers:
        async with opener() as place:
            await row(place, count, values())


async def length(opener: Opener, count: int) -> None:
    async with opener() as place:
        saver = place.open()
        run = await steps(place, saver, count, small)
        await settled(saver)
        first, last = slice(count // 5), slice(-(count // 5), None)
        times = [statistics.median(run.puts[part]) for part in (first, last)]
        floors = [statistics.median(run.floors[part]) for part in (first, last)]
        cells = [f"{times[0]:.2f}", f"{times[1]:.2f}", f"{times[1] / times[0]:.2f}", f"{floors[1] / floors[0]:.2f}"]
        print(
            f"| {place.name} | {count} | {' | '.join(cells)} | {run.ratio(last) / run.ratio(first):.2f} |", flush=True
        )


async def hand_over(opener: Opener, count: int) -> None:
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
        asked = f"{(after - before) / count:.3f}" if before is not None and after is not None else ""
        print(f"| {place.name} | {statistics.median(taken):.2f} | {asked} |", flush=True)


async def measure(connection: str | None, server: str | None, count: int) -> None:
    print(told(), "\n")
    openers, mine = places(connection, server), our_places(connection)
    await table("Small state", openers, count, lambda: small)
    await table("A list that grows by 2 KB a step", openers, count, growing)
    await table("A list that grows by 2 KB a step", mine, 4 * count, growing)
    await table("A constant value of 1 MB", openers, min(count, 100), lambda: with_constant)
    print("\nLength: put p50 of the first and the last fifth, and the floor's meanwhile\n")
    print("| saver | steps | first | last | ratio | the floor's ratio | ratio of the ratios |")
    print("|---|---|---|---|---|---|---|")
    for opener in mine:
        await length(opener, 10 * count)
    print("\nEach step by a new process\n\n| saver | ms a step | req/step |\n|---|---|---|")
    for opener in mine:
        await hand_over(opener, count)
    print("\n", told(), sep="")


def told() -> str:
    """Where and when this was measured."""
    found = []
    for name in VERSIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {load}; {machine}; {', '.join(found)}"


def main(arguments: list[str]) -> None:
    count = int(arguments[0]) if arguments else 500
    with ExitStack() as stack:
        connection = server = None
        try:
            install()
            connection = stack.enter_context(running())
        except BaseException as error:  # noqa: BLE001 -- pytest's own outcomes are no Exceptions
            print(f"(no Azurite: {error})")
        if postgres.why_not() is None:
            server = stack.enter_context(postgres.running())
        asyncio.run(measure(connection, server, count))


if __name__ == "__main__":
    main(sys.argv[1:])
