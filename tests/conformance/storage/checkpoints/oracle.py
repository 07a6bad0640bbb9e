"""What a saver must do, told by LangGraph's in-memory saver, and random programs to compare the two with."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, Checkpoint, CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from tests.conformance.storage.checkpoints.savers import at

NAMESPACES = ("", "c:1", "a:1|b:2")
CHANNELS = ("a", "b", "m", "big", "e")


class Oracle(InMemorySaver):
    """InMemorySaver, except that a task's output is one record: the first execution's counts as a whole."""

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        named = config["configurable"]
        present = self.writes.get((named["thread_id"], named.get("checkpoint_ns", ""), named["checkpoint_id"]), {})
        if any(task == task_id and index >= 0 for task, index in present):
            # A gap keeps each special channel at the index it has by its name.
            writes = [write for write in writes if write[0] in WRITES_IDX_MAP]
        super().put_writes(config, writes, task_id, task_path)


@dataclass(slots=True)
class PutStep:
    """One checkpoint of a random program."""

    config: RunnableConfig
    checkpoint: Checkpoint
    metadata: Any
    new: dict[str, Any]


@dataclass(slots=True)
class WriteStep:
    """One put_writes of a random program."""

    config: RunnableConfig
    writes: list[tuple[str, Any]]
    task: str
    path: str


@dataclass(slots=True)
class Program:
    """Random steps on one thread: forks, ids out of order, repetitions, writes after and before their checkpoint.

    The same seed gives the same steps, so that a process can go on where another one died.
    """

    seed: int
    thread: str
    known: dict[str, list[tuple[str, dict[str, Any], dict[str, Any]]]] = field(default_factory=dict)
    announced: dict[str, Checkpoint] = field(default_factory=dict)
    dice: random.Random = field(init=False)
    count: int = 0
    past: list[PutStep] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 -- a test's dice

    def ids(self, namespace: str) -> list[str]:
        """The checkpoints put so far."""
        return [id_ for id_, _, _ in self.known.get(namespace, [])]

    def step(self) -> PutStep | WriteStep:
        """The next step."""
        namespace = self.dice.choice((*NAMESPACES[:1] * 4, *NAMESPACES[1:]))
        self.count += 1
        if self.past and self.dice.random() < 0.05:
            return self.dice.choice(self.past)
        if self.dice.random() < 0.65 or not self.known.get(namespace):
            return self._put(namespace)
        return self._write(namespace)

    def _put(self, namespace: str) -> PutStep:
        known = self.known.setdefault(namespace, [])
        parent = None
        if known:
            parent = known[-1] if self.dice.random() < 0.85 else self.dice.choice(known)
        checkpoint = self.announced.pop(namespace, None) or self._identified(namespace, parent)
        versions, values = (dict(parent[1]), dict(parent[2])) if parent else ({}, {})
        new = {}
        for channel in CHANNELS:
            if self.dice.random() < 0.5:
                versions[channel] = new[channel] = self._version(versions.get(channel))
                if self.dice.random() < 0.1:
                    values.pop(channel, None)
                else:
                    values[channel] = self._value(channel, values.get(channel))
        checkpoint["channel_values"], checkpoint["channel_versions"] = dict(values), dict(versions)
        checkpoint["versions_seen"] = {"n": dict(versions)}
        known.append((checkpoint["id"], versions, values))
        metadata = {"source": "loop", "step": self.count, "parents": {}, "even": self.count % 2 == 0}
        self.past.append(PutStep(at(self.thread, namespace, parent[0] if parent else None), checkpoint, metadata, new))
        return self.past[-1]

    def _identified(self, namespace: str, parent: tuple[str, Any, Any] | None) -> Checkpoint:
        checkpoint = empty_checkpoint()
        checkpoint["id"] = f"1f{self.count:06x}-0000-6000-8000-{self.dice.getrandbits(48):012x}"
        checkpoint["ts"] = f"2026-01-01T00:00:00.{self.count:06d}+00:00"
        latest = max(self.ids(namespace), default="")
        # An id out of order; not for a child of the latest, which we rank behind its parent and the oracle does not.
        if parent and parent[0] != latest and self.dice.random() < 0.3:
            older = f"{parent[0][:-4]}{self.dice.randrange(16**4):04x}"
            if older not in self.ids(namespace) and older < latest:
                checkpoint["id"] = older
        return checkpoint

    def _write(self, namespace: str) -> WriteStep:
        ids = self.ids(namespace)
        target = ids[-1] if self.dice.random() < 0.7 else self.dice.choice(ids)
        if self.dice.random() < 0.15 and namespace not in self.announced:
            self.announced[namespace] = self._identified(namespace, None)
            target = self.announced[namespace]["id"]
        writes = [
            (self.dice.choice((*CHANNELS, "__interrupt__", "__error__")), self._value("m", None))
            for _ in range(self.dice.randint(1, 3))
        ]
        if self.dice.random() < 0.2:
            writes = [("big", self.dice.randbytes(20000))]
        task = self.dice.choice(("t1", "t2", "t3", str(uuid.UUID(int=self.dice.getrandbits(128)))))
        return WriteStep(at(self.thread, namespace, target), writes, task, self.dice.choice(("", "a", "~x")))

    def _version(self, current: str | None) -> str:
        number = 0 if current is None else int(current.split(".")[0])
        return f"{number + 1:032}.{self.dice.random():.16f}"

    def _value(self, channel: str, old: Any) -> Any:
        chance = self.dice.random()
        if channel == "m":
            before = old if isinstance(old, list) else []
            added = self.dice.randbytes(self.dice.choice((3, 40, 400))).hex()
            return [*before, added] if chance < 0.9 else [*before[:-1], "edited"] if chance < 0.97 else []
        if channel == "big":
            before_bytes = old if isinstance(old, bytes) else b""
            if chance < 0.3:
                return self.dice.randbytes(self.dice.choice((10, 3000, 20000)))
            return before_bytes + self.dice.randbytes(50)
        return self.dice.choice((None, 1, "x" * self.dice.randint(0, 50), {"k": [1, 2]}, True))


def assert_same(expected: CheckpointTuple | None, found: CheckpointTuple | None) -> None:
    """Both tuples say the same, the order of writes included."""
    assert (expected is None) == (found is None), (expected, found)
    if expected is None or found is None:
        return
    assert found.checkpoint == expected.checkpoint
    assert found.metadata == expected.metadata
    assert found.parent_config == expected.parent_config
    assert found.pending_writes == expected.pending_writes
    assert found.config["configurable"] == expected.config["configurable"]
