"""What the nodes themselves noted, outside the store: the evidence that the judgement rests on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Note:
    """A line of the file: `kind` is begin, end or used; `at` is seconds since the epoch."""

    kind: str
    node: str
    step: int
    task: str
    at: float
    question: str = ""
    answer: Any = None


class Notebook:
    """Reads the notes as they are written, each once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[Note] = []
        self._offset = 0

    def read(self) -> list[Note]:
        """All notes so far, in the order in which they were written."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._offset)
                whole, _, _ = file.read().rpartition(b"\n")
            if whole:
                self._offset += len(whole) + 1
                self.notes += [Note(**json.loads(line)) for line in whole.splitlines()]
        return self.notes


def open_tasks(notes: list[Note]) -> list[Note]:
    """The begins that no end followed: what is being worked on, or was when the host died."""
    begun: dict[str, Note] = {}
    for note in notes:
        if note.kind == "begin":
            begun[note.task] = note
        elif note.kind == "end":
            begun.pop(note.task, None)
    return list(begun.values())
