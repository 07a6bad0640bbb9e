"""The parts of a call that goes on inside a subgraph, or may: none of those that the calls before it have shown.

A loop that goes on from a checkpoint shows this checkpoint once more, the values in it, the start of its tasks, what
finished tasks had stored, and the questions of tasks that still wait. All of that is over when the loop has come to its
next checkpoint. Where the call before this one did not end as planned, only the checkpoint itself is sure to have been
shown; the tasks are executed again, and tell again.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import override

from durablegraph.graphs.contract import StreamOptions
from durablegraph.graphs.inside import Inside
from durablegraph.graphs.internals import INTERRUPT
from durablegraph.graphs.parts import CHECKPOINTS, Parts, from_cache

Place = tuple[str, ...]


class ContinuedParts(Parts):
    """See the module; `inside` says which subgraphs the call went on with, once it has."""

    def __init__(self, options: StreamOptions | None, *, repeated: str | None, inside: Inside, planned: bool) -> None:
        """`planned`: the call before this one ended inside a subgraph, as it was to."""
        super().__init__(options, repeated=repeated)
        self._planned = planned
        self._inside = inside
        self._first: dict[Place, Mapping[str, Any]] = {}
        self._moved: set[Place] = set()

    @override
    def _told_before(self, inside: Place, mode: str, payload: Any, chunk: Any) -> bool:
        if inside in self._moved or (inside and "|".join(inside) not in self._inside.resumed):
            return False
        if mode == "debug":
            mode, payload = _undebugged(payload)
        if not self._planned:
            return bool(inside) and self._is_loaded(inside, mode, payload)
        told = False
        match mode:
            case "checkpoints" | "values" if self._is_loaded(inside, mode, payload):
                told = True
            case "values":
                told = self._known(_questions(chunk, payload))
            case "tasks" if "interrupts" in payload:
                told = self._known(payload["interrupts"])
            case "tasks":
                told = self._inside.has_begun("|".join(inside), payload["name"], payload["id"])
            case "updates":
                told = from_cache(payload) or self._known(_questions(None, payload))
        return told

    def _is_loaded(self, inside: Place, mode: str, payload: Any) -> bool:
        """Whether this is the checkpoint that a loop went on from, or the values in it."""
        return (
            self._is_first(inside, payload) if mode == CHECKPOINTS else mode == "values" and inside not in self._first
        )

    def _is_first(self, inside: Place, payload: Mapping[str, Any]) -> bool:
        first = self._first.setdefault(inside, payload)
        if _id(first) == _id(payload):
            return True
        self._moved.add(inside)
        return False

    def _known(self, questions: Iterable[Any]) -> bool:
        ids = [question["id"] if isinstance(question, dict) else question.id for question in questions]
        return bool(ids) and self._inside.known.issuperset(ids)


def _id(payload: Mapping[str, Any]) -> str:
    return str(payload["config"]["configurable"]["checkpoint_id"])


def _undebugged(payload: Mapping[str, Any]) -> tuple[str, Any]:
    return (CHECKPOINTS if payload["type"] == "checkpoint" else "tasks"), payload["payload"]


def _questions(chunk: Any, payload: Any) -> Iterable[Any]:
    if isinstance(chunk, dict) and chunk.get("interrupts"):
        return tuple(chunk["interrupts"])
    asked = payload.get(INTERRUPT) if isinstance(payload, dict) else None
    return asked if isinstance(asked, (tuple, list)) else ()
