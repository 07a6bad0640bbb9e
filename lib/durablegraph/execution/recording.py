"""What a super-step tells, written into the run's event log while it is executed.

The order is: what a task told is in the log before the task's writes are stored, and what a super-step told is in the
log before its checkpoint is. So no part of a committed super-step is lost, wherever the worker dies; what an execution
told that came to nothing stays in the log and is told from the rest by its `step`, `attempt` and `commits`.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from durablegraph.errors import RunError
from durablegraph.execution.requests import Due
from durablegraph.graphs.contract import StreamMode, StreamOptions
from durablegraph.graphs.internals import INTERRUPT
from durablegraph.graphs.jsonable import jsonable
from durablegraph.model.messages import Decision, Finish, Wait
from durablegraph.model.records import RunRecord
from durablegraph.services import Services
from durablegraph.storage.events import Event, EventLogs, ended, interrupted, resumed, running

log = logging.getLogger(__name__)

_TURNS: Final = 10
"""Turns of the event loop that LangGraph needs to hand out what a task told before it ended (two; a test counts)."""


class Recorder:
    """Collects the parts of one execution and appends them."""

    def __init__(self, logs: EventLogs, due: Due, *, chunk: int | None, delay: float) -> None:
        """`delay` is in seconds: what was told that long ago is appended though nothing is saved; 0: never."""
        request = due.request
        self._logs = logs
        self._run_id = request.run_id
        self._modes = frozenset(request.stream_mode)
        self._subgraphs = request.stream_subgraphs
        self._chunk = chunk
        self._delay = delay
        self._base = due.at.checkpoint
        self._step = _step(due, chunk, _inside(due))
        self._around = _step(due, chunk)
        self._within = _inside(due) if self._base is None else ""  # of the head that LangGraph will tell first
        self._places: dict[str, str] = {}
        self._commits = ""
        self._by = uuid.uuid4().hex[:12]
        self._told = 0
        self._pending: list[Event] = []
        self._lock = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None

    @property
    def options(self) -> StreamOptions:
        """What makes a super-step tell this recorder its parts."""
        modes: list[StreamMode] = [mode for mode in _ORDER if mode in self._modes or mode == "custom"]
        at_once = self.at_once if self._chunk is None else None
        return StreamOptions(
            modes=modes, subgraphs=True, before_save=self.before_save, at_once=at_once, goes_on=self.goes_on
        )

    def begin(self, events: Sequence[Event]) -> None:
        """Put events of the run's life before the first part."""
        self._pending = [*events, *self._pending]

    async def on_part(self, part: tuple[tuple[str, ...], StreamMode, Any]) -> None:
        """A part as LangGraph hands it out."""
        inside, mode, payload = part
        if inside or self._chunk is not None or mode != "values" or _asks(payload):
            self._note(inside, mode, payload)

    def at_once(self, inside: tuple[str, ...], mode: str, payload: Any) -> None:
        """The root graph's values before they are saved; its checkpoints, which say where a step begins."""
        if inside:
            return
        if mode == "values" and not _asks(payload):
            self._note(inside, mode, payload)
        elif mode == "checkpoints" and payload["metadata"].get("source") != "input":
            at = str(payload["config"]["configurable"]["checkpoint_id"])
            if at != self._base:
                self._base, self._around = at, at
                self._step, self._within = at + self._within, ""

    def goes_on(self, inside: str, place: str) -> None:
        """What a declared subgraph tells from now on is told there."""
        self._places[inside] = place

    async def before_save(self, checkpoint: str | None) -> None:
        """Append what was told until now; `checkpoint` is the one that is saved next.

        The writes of a super-step's last task and its checkpoint are saved within the same turns: they share an append.
        """
        if self._chunk is None:
            self._commits = checkpoint or self._commits
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await self.settle()
        if checkpoint == self._commits:
            self._commits = ""

    async def settle(self) -> None:
        """Append what was told until now."""
        async with self._lock:
            events, self._pending = self._pending, []
            if events and events[-1].by and not events[-1].step.startswith(self._commits or "\0"):
                events[-1] = replace(events[-1], commits=self._commits)
            try:
                await self._logs.append(self._run_id, events)
            except BaseException:
                self._pending = [*events, *self._pending]
                raise

    def stop(self) -> None:
        """Append nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, inside: tuple[str, ...], mode: str, payload: Any) -> None:
        if mode not in self._modes or (inside and not self._subgraphs):
            return
        self._told += 1
        name = "|".join((mode, *inside))
        event = Event(f"{self._by}-{self._told}", name, _json(payload), step=self._step_of(inside), by=self._by)
        self._pending.append(event)
        if self._delay and self._timer is None:
            self._timer = asyncio.create_task(self._append_later())

    def _step_of(self, inside: tuple[str, ...]) -> str:
        """What a part was told in: of the innermost subgraph that commits by itself, else of the root graph."""
        for depth in range(len(inside), 0, -1):
            if place := self._places.get("|".join(inside[:depth])):
                return f"{self._around}|{place}"
        return self._step

    async def _append_later(self) -> None:
        await asyncio.sleep(self._delay)
        self._timer = None
        try:
            await self.settle()
        except Exception:  # what is pending is appended before the next save, which fails then if it must
            log.warning("run %s: its event log could not be written yet", self._run_id, exc_info=True)


_ORDER: Final[tuple[StreamMode, ...]] = ("values", "updates", "messages", "custom", "checkpoints", "tasks", "debug")


def _inside(due: Due) -> str:
    """How far the subgraphs of the running super-step have come, for a call that begins there."""
    return f":{due.at.inside}" if due.at.inside else ""


def _step(due: Due, chunk: int | None, inside: str = "") -> str:
    """The name of what is executed: the same for its repetitions, another one for everything else in the run."""
    at = due.at.checkpoint or "start"
    wait = f"@{due.wait.wait}" if due.wait is not None else ""
    return f"{at}{inside}{wait}" + (f"/{chunk}" if chunk is not None else "")


def _asks(values: Any) -> bool:
    """Whether these are the values of a super-step that waits: nothing is saved after them, they come in their turn."""
    return isinstance(values, dict) and INTERRUPT in values


def _json(payload: Any) -> Any:
    try:
        return jsonable(payload)
    except (ValueError, RecursionError):  # a part may be anything, one that holds itself too
        return repr(payload)


@asynccontextmanager
async def recording(services: Services, due: Due, *, chunk: int | None = None) -> AsyncIterator[Recorder | None]:
    """The recorder of an execution, None for a run without an event log; when it is left, everything is appended."""
    if not due.request.stream_mode:
        yield None
        return
    recorder = Recorder(services.events, due, chunk=chunk, delay=services.settings.stream_flush_seconds)
    if due.wait is not None:
        recorder.begin([resumed(due.wait)])
    elif due.at.stop is None:
        recorder.begin([running()])
    try:
        yield recorder
    except RunError:
        await recorder.settle()
        raise
    except Exception:
        with contextlib.suppress(Exception):  # it is executed again: the first failure is the one to tell
            await recorder.settle()
        raise
    else:
        await recorder.settle()
    finally:
        recorder.stop()


async def tell(services: Services, run_id: str, decision: Decision) -> None:
    """Append that the run waits or has ended, if it has an event log. Any number of calls append it once."""
    if not isinstance(decision, Wait | Finish):
        return
    request = await services.request(run_id)  # it never changes, and is in memory
    if request is None or not request.stream_mode or (found := await services.runs.load(run_id)) is None:
        return
    if isinstance(decision, Finish):
        await tell_end(services, found.value)
    elif wait := await services.runs.wait(run_id, decision.wait):
        await services.events.append(run_id, [interrupted(wait)])


async def tell_end(services: Services, record: RunRecord) -> None:
    """Close the event log of a run that has ended."""
    await services.events.append(record.run_id, ended(record))
