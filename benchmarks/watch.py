"""Looks at runs of an embedded host from outside: by the files of its hub and its store, and by /proc."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import processes, usage

LOOK_SECONDS = 0.5
_STORED = "SELECT SUM(LENGTH(key) + LENGTH(data) + COALESCE(LENGTH(note), 0)) FROM durablegraph_objects"
_HISTORY = "SELECT COALESCE(SUM(LENGTH(CAST(text AS BLOB))), 0) FROM history WHERE instance = ?"
_INSTANCE = "SELECT status, custom_status FROM instances WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment of the run; times in seconds, memory in MB, the others in bytes."""

    step: int
    wall: float
    host: float
    worker: float
    host_memory: float
    worker_memory: float
    stored: int
    history: int
    load: float
    """The machine's, of the last minute."""


Figure = Callable[[Look], float]


class Watch:
    """Looks at the runs of one host. It sends no request."""

    def __init__(self, url: str, state: Path) -> None:
        self._pids = processes(url)
        (hub,) = state.glob("hub-*.db")
        self._hub = sqlite3.connect(f"file:{hub}?mode=ro", uri=True, isolation_level=None)
        self._objects = sqlite3.connect(f"file:{state / 'objects.db'}?mode=ro", uri=True, isolation_level=None)

    def looks(self, run: str, until: int) -> Iterator[Look]:
        """Look twice a second, until the run has got so far."""
        step = 0
        while step < until:
            step = self._at(run)[1]
            if step:
                yield self._look(run, step)
            time.sleep(LOOK_SECONDS)

    def await_status(self, run: str, status: str) -> None:
        """Wait for a Durable status of the run's instance."""
        while self._at(run)[0] != status:
            time.sleep(0.01)

    def processor_time(self, run: str, after: int, steps: int) -> float:
        """Milliseconds of host and worker a super-step, of so many super-steps after some that are not counted."""
        first, began = self._mark(run, self._at(run)[1] + after)
        last, ended = self._mark(run, first + steps)
        return (ended - began) / (last - first) * 1000

    def _mark(self, run: str, step: int) -> tuple[int, float]:
        """The first seen super-step from that one on, and the seconds of host and worker then."""
        while (at := self._at(run)[1]) < step:
            time.sleep(0.01)
        return at, sum(usage(pid).seconds for pid in self._pids)

    def _at(self, run: str) -> tuple[str | None, int]:
        """The status of a run's instance, which is under way while it is watched, and the super-step it has got to."""
        status, shown = self._hub.execute(_INSTANCE, (run,)).fetchone() or (None, None)
        assert status in {None, "Pending", "Running", "Suspended"}, (status, shown)
        return status, (json.loads(shown)["step"] or 0) if shown else 0

    def _look(self, run: str, step: int) -> Look:
        host_used, worker_used = (usage(pid) for pid in self._pids)
        return Look(
            step=step,
            wall=time.perf_counter(),
            host=host_used.seconds,
            worker=worker_used.seconds,
            host_memory=host_used.megabytes,
            worker_memory=worker_used.megabytes,
            stored=self._objects.execute(_STORED).fetchone()[0],
            history=self._hub.execute(_HISTORY, (run,)).fetchone()[0],
            load=os.getloadavg()[0],
        )


def at(looks: list[Look], step: int, of: Figure) -> float:
    """A figure when the run was at `step`, between the looks before and after by proportion."""
    after = next((i for i, look in enumerate(looks) if look.step >= step and i), len(looks) - 1)
    a, b = looks[after - 1], looks[after]
    share = (step - a.step) / (b.step - a.step) if b.step > a.step else 1
    return of(a) + (of(b) - of(a)) * share


def per_step(looks: list[Look], first: int, last: int, of: Figure) -> float:
    """How much a figure grew a super-step from one super-step to another."""
    return (at(looks, last, of) - at(looks, first, of)) / (last - first)


def greatest(looks: list[Look], first: int, last: int, of: Figure) -> float:
    """The greatest value of a figure between two super-steps."""
    return max(of(look) for look in looks if first <= look.step <= last)
