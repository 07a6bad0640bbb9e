"""Runs random programs in child processes that kill themselves (SIGKILL) at a chosen request of their store.

Started by the crash tests. Reads one life a line from standard input (JSON), forks, and tells on standard output which
steps the child acknowledged and that it is gone. Forking spares each child the imports.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.connections import SqliteConnection, string_connection
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.opening import open_store
from tests.conformance.storage.checkpoints.oracle import Program, PutStep, WriteStep
from tests.conformance.storage.checkpoints.savers import SMALL, TINY
from tests.support.stores import FaultStore, When, kill

LIMITS = {"tiny": TINY, "small": SMALL}
TOGETHER = 2


def opened(place: dict[str, str]) -> ObjectStore:
    """The store a life is to be lived on."""
    if "path" in place:
        return open_store(SqliteConnection(Path(place["path"])))
    return open_store(string_connection(place["connection"], container=place["container"]))


async def live(life: dict[str, Any]) -> None:
    """Carry out the steps from `first` on, two at a time, and say which are done, until the store kills us."""
    store = FaultStore(opened(life["place"]), at=life["at"], when=When(life["when"]), fault=kill)
    saver = BlobCheckpointSaver(store, limits=LIMITS[life["limits"]])
    program = Program(life["seed"], life["thread"])
    steps = [program.step() for _ in range(life["steps"])]

    async def carry_out(number: int) -> None:
        await perform(saver, steps[number])
        os.write(1, f"did {number}\n".encode())

    for start in range(life["first"], len(steps), TOGETHER):
        await asyncio.gather(*(carry_out(n) for n in range(start, min(start + TOGETHER, len(steps)))))
    await saver.aclose()


async def perform(saver: BlobCheckpointSaver, step: PutStep | WriteStep) -> None:
    """One step on a saver."""
    if isinstance(step, PutStep):
        await saver.aput(step.config, step.checkpoint, step.metadata, step.new)
    else:
        await saver.aput_writes(step.config, step.writes, step.task, step.path)


def main() -> None:
    """Raise one child a line."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asyncio.run(live(json.loads(line)))
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        os.write(1, f"gone {os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main()
