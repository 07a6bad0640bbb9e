"""Reads LangGraph's stream: keeps what the caller asked for, and learns from it where the graph is.

Beside the caller's modes the mode ``checkpoints`` is always on: its part for the root graph names the tasks that come
next, which saves loading the checkpoint again.
"""

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from typing_extensions import override

from durablegraph.graphs.contract import OnPart, StreamOptions
from durablegraph.graphs.internals import INTERRUPT

CHECKPOINTS = "checkpoints"


class Parts:
    """The parts of one call.

    `last` is the root graph's newest checkpoint; `whole` says that no further part is to show it.
    """

    def __init__(self, options: StreamOptions | None, *, repeated: str | None) -> None:
        """`repeated` is the checkpoint that the call before this one has shown already."""
        self._options = options
        self._repeated = repeated
        self._modes = options.modes if options else ()
        self._many = not isinstance(self._modes, str)
        self.executed: tuple[str, ...] = ()
        self.last: Mapping[str, Any] | None = None
        self.whole = False

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `astream` that make it produce these parts."""
        modes = [self._modes] if isinstance(self._modes, str) else list(self._modes)
        arguments: dict[str, Any] = {"stream_mode": modes if CHECKPOINTS in modes else [*modes, CHECKPOINTS]}
        if self._options is not None:
            arguments |= {
                "subgraphs": self._options.subgraphs,
                "version": self._options.version,
                "output_keys": self._options.output_keys,
                **self._options.extra,
            }
        return arguments

    def name_of(self, task_id: str) -> str | None:
        """The node of a root task."""
        tasks = self.last["tasks"] if self.last else ()
        return next((str(task["name"]) for task in tasks if task["id"] == task_id), None)

    def wanted(self, chunk: Any) -> Iterator[Any]:
        """The part that the caller is to see of a chunk: one or none."""
        inside, mode, payload = self._opened(chunk)
        shown = self._shown(mode, payload) if not inside else None
        if shown is not None:
            self.whole = mode == "debug" or "debug" not in self._modes
        if shown is not None and mode == CHECKPOINTS:
            self._arrived(payload)
        if self._told_before(inside, mode, payload, chunk) or (shown is not None and shown == self._repeated):
            return
        if not inside and not self._keeps(chunk, mode, payload):
            return
        if self._options is None or (mode not in self._modes if self._many else mode != self._modes):
            return
        yield self._shaped(chunk, inside, mode, payload)

    def _keeps(self, chunk: Any, mode: str, payload: Any) -> bool:
        """Whether a part of the root graph is this call's to show."""
        del chunk, mode, payload
        return True

    def _told_before(self, inside: tuple[str, ...], mode: str, payload: Any, chunk: Any) -> bool:
        """Whether the calls before this one have shown a part already."""
        del inside, mode, payload, chunk
        return False

    def _opened(self, chunk: Any) -> tuple[tuple[str, ...], str, Any]:
        if self._options is None:
            mode, payload = chunk
            return (), mode, payload
        if self._options.version == "v2":
            return tuple(chunk["ns"]), chunk["type"], chunk["data"]
        if self._options.subgraphs:
            inside, mode, payload = chunk
            return tuple(inside), mode, payload
        mode, payload = chunk
        return (), mode, payload

    def _shaped(self, chunk: Any, inside: tuple[str, ...], mode: str, payload: Any) -> Any:
        """The chunk as `astream` gives it for the caller's own modes: with one mode its name is left out."""
        del mode
        if self._many or self._options is None or self._options.version == "v2":
            return chunk
        return (inside, payload) if self._options.subgraphs else payload

    @staticmethod
    def _shown(mode: str, payload: Any) -> str | None:
        """The id of the checkpoint that a part of the root graph shows."""
        if mode == "debug" and isinstance(payload, dict) and payload.get("type") == "checkpoint":
            payload = payload["payload"]
        elif mode != CHECKPOINTS:
            return None
        return str(payload["config"]["configurable"]["checkpoint_id"])

    def _arrived(self, payload: Mapping[str, Any]) -> None:
        if self.last is not None and self._shown(CHECKPOINTS, self.last) != self._shown(CHECKPOINTS, payload):
            self.executed = tuple(self.last["next"])
        self.last = payload


class TaskParts(Parts):
    """The parts of a chunk's tasks: none of the super-step as a whole, and none of the tasks shown as finished."""

    def __init__(self, options: StreamOptions | None, *, fenced: frozenset[str]) -> None:
        super().__init__(options, repeated=None)
        self._fenced = fenced

    @override
    def _keeps(self, chunk: Any, mode: str, payload: Any) -> bool:
        if mode == "debug" and payload["type"] != "checkpoint":
            mode, payload = "tasks", payload["payload"]
        match mode:
            case "tasks":
                return payload["id"] not in self._fenced
            case "values":
                asked = chunk.get("interrupts") if isinstance(chunk, dict) else None
                return bool(asked or (isinstance(payload, dict) and payload.get(INTERRUPT)))
            case "updates" if from_cache(payload):
                return any(value is not None for key, value in payload.items() if not key.startswith("__"))
            case "updates":
                return not isinstance(payload, dict) or payload.get(INTERRUPT) != ()
        return mode not in {"checkpoints", "debug"}


class CommitParts(Parts):
    """The parts of a commit: none of the tasks, which have shown theirs where they ran."""

    def __init__(self, options: StreamOptions | None, *, repeated: str | None, executed: Collection[str]) -> None:
        super().__init__(options, repeated=repeated)
        self._executed = executed

    @override
    def _keeps(self, chunk: Any, mode: str, payload: Any) -> bool:
        del chunk
        if mode == "debug" and payload["type"] == "task":
            mode, payload = "tasks", payload["payload"]
        if mode == "tasks":
            return payload["id"] not in self._executed
        return mode != "updates" or not from_cache(payload)


async def handed_out(parts: AsyncGenerator[Any, None], on_part: OnPart | None) -> None:
    """Iterate the parts of a call to their end, and hand each out where somebody wants them."""
    async with aclosing(parts) as each:
        async for part in each:
            if on_part is not None:
                await on_part(part)


def from_cache(payload: Any) -> bool:
    """Whether an update is one that a finished task had stored."""
    return isinstance(payload, dict) and bool((payload.get("__metadata__") or {}).get("cached"))
