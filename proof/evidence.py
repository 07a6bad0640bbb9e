"""What a trial leaves behind: values only, so that they can be judged, printed and drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proof.notes import Note
from proof.plan import Planned

TAKEN = 202
"""The status of an answer that was accepted."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A death of the host. `begun` counts the notes before it; times are seconds, `at` since the epoch.

    `committed` is the last super-step in the store when the host was dead (-2 before the first), `stored` the tasks of
    the next one whose writes were there, `back` until the host answered, `recovered` until the run gave a sign of life.
    """

    number: int
    planned: Planned
    at: float
    where: str
    inside: bool
    committed: int
    stored: frozenset[str]
    begun: int
    back: float
    recovered: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What a terminal was told. `broken` counts its requests that a kill cut off; status 0 means no reply at all."""

    terminal: str
    question: str
    body: Any
    status: int
    code: str
    broken: int
    at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: its output, and the values of its checkpoints by super-step, oldest first."""

    status: str
    values: Mapping[str, Any]
    history: tuple[tuple[int, Mapping[str, Any]], ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was seen of one trial."""

    seed: int
    began: float
    ended: float
    planned: int
    inside: int
    kills: tuple[Kill, ...]
    notes: tuple[Note, ...]
    questions: Mapping[str, frozenset[str]]
    replies: tuple[Reply, ...]
    outcome: Outcome
    plain: Outcome
