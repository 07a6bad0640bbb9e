"""How long nodes take, as far as this worker knows: what decides whether their tasks are worth an activity each."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

QUICK = 0.5
"""Seconds. On the real engine twenty tasks as activities cost 0.45 s more than inside one, and win from here on."""

REMEMBERED = 20
FRESH = timedelta(minutes=10)
"""After this a node is measured again, since one that is never fanned out is never timed."""


@dataclass(slots=True)
class _Pace:
    at: datetime
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))


class Paces:
    """Medians of the last executions, by graph and node; of this process alone, so only good for a guess."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, str], _Pace] = {}

    def note(self, graph: str, nodes: Iterable[str], seconds: float, now: datetime) -> None:
        """Tasks of these nodes took so long each."""
        for node in nodes:
            pace = self._paces.setdefault((graph, node), _Pace(now))
            pace.at = now
            pace.seconds.append(seconds)

    def quick(self, graph: str, now: datetime) -> frozenset[str]:
        """The nodes of a graph that are known to take less than `QUICK`."""
        nodes = [node for name, node in self._paces if name == graph]
        return frozenset(node for node in nodes if self.all_quick(graph, (node,), now))

    def all_quick(self, graph: str, nodes: Iterable[str], now: datetime) -> bool:
        """Whether every one of these nodes is known to take less than `QUICK`."""
        found = [self._paces.get((graph, node)) for node in nodes]
        return all(pace is not None and now - pace.at < FRESH and median(pace.seconds) < QUICK for pace in found)
