"""How each peer is driven: by its documented interface alone."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proof.scoreboard.judging import Seen
from tests.support.catalogue import Case


class Running(Protocol):
    """A peer that is up."""

    async def run(self, case: Case) -> Seen:
        """Carry a case to its end; raises Refused where the peer says that it does not do this."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A column: `about` says how it is driven, `start` takes an empty folder and the cases' names."""

    name: str
    packages: tuple[str, ...]
    about: str
    start: Callable[[Path, Iterable[str]], AbstractContextManager[Running]]
    at_once: int = 4
