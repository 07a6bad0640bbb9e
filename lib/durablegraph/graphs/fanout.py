"""Executes single tasks of a super-step, each wherever it is called, and leaves the commit to a call of its own.

The tasks of the next super-step follow from the checkpoint alone, ids included, so every worker finds the same ones. A
call for some of them loads the checkpoint, is shown the others as finished, stores the writes of its own under that
checkpoint as LangGraph's pending writes, and commits nothing. When all have finished, an ordinary `run_superstep` with
``kind="advance"`` finds nothing left to execute, applies the writes in LangGraph's order, and commits.

Not for a super-step that a `Command` enters: its tasks cannot be told beforehand. `may_fan_out` knows.
"""

from asyncio import CancelledError
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.store.base import BaseStore
from langgraph.types import Command

from durablegraph.errors import InvariantBroken, RunError, StaleHead
from durablegraph.graphs.calling import call_config, head_of, prepared
from durablegraph.graphs.contract import (
    Chunk,
    ChunkOutcome,
    OnPart,
    PendingTask,
    StepOutcome,
    StepRequest,
    StepStatus,
    TaskFailure,
)
from durablegraph.graphs.control import StepControl
from durablegraph.graphs.deadline import CutShort, TimeBudget, within
from durablegraph.graphs.faults import raise_fault
from durablegraph.graphs.internals import (
    Graph,
    statuses,
    with_sends_blanked,
    with_tasks_done,
)
from durablegraph.graphs.journal import STOPPED, mark_task
from durablegraph.graphs.parts import Parts, TaskParts, handed_out
from durablegraph.graphs.task_watch import TaskWatch
from durablegraph.graphs.turns import Turns

NOWHERE = ("\0nowhere",)
"""Static breakpoints that match no node; an empty list would mean the graph's own, which the commit looks at."""


def chunks(tasks: Sequence[PendingTask], size: int = 1) -> tuple[Chunk, ...]:
    """The tasks that are not finished, `size` at a time, in LangGraph's order."""
    waiting = [task for task in tasks if not task.done]
    edges = [task.id for task in tasks if task.send is None]
    return tuple(chunk_of(waiting[at : at + size], edges) for at in range(0, len(waiting), size))


def chunk_of(ours: Sequence[PendingTask], edges: Sequence[str]) -> Chunk:
    """The chunk of these tasks; `edges` are the ids of all tasks of the super-step that edges made."""
    ids = tuple(task.id for task in ours)
    return Chunk(
        ids=ids,
        sends=tuple(task.send for task in ours if task.send is not None),
        fence=tuple(edge for edge in edges if edge not in ids),
    )


def may_fan_out(outcome: StepOutcome) -> bool:
    """Whether the next super-step can be executed task by task, and has tasks enough that it matters."""
    return outcome.status is StepStatus.ADVANCE and len(outcome.tasks) > 1 and not outcome.commanded


async def run_tasks(
    graph: Graph,
    saver: BaseCheckpointSaver[Any],
    request: StepRequest,
    chunk: Chunk,
    *,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    control: RunControl | None = None,
    on_part: OnPart | None = None,
    time_budget: TimeBudget | None = None,
    head: CheckpointTuple | None = None,
    turns: Turns | None = None,
) -> ChunkOutcome:
    """Execute the tasks of a chunk and store their writes. Safe to deliver any number of times.

    `request` is the one that would execute the whole super-step: `expect` is its checkpoint; `resume` answers what the
    chunk's tasks ask. `head` is the thread's head where it is loaded already; it must not be used afterwards. With
    `turns` not all tasks are in flight together, and those that get none are left as they are.

    A finished task is not executed again, nor one that waits for an answer which is not given; one that failed is.
    Subgraphs are executed whole. Raises `StaleHead` where the super-step is committed already, and `CutShort` at the
    end of `time_budget`; what tasks raise is in the outcome.
    """
    step = TaskStep(graph, saver, request, chunk, store=store, cache=cache, control=control, head=head, turns=turns)
    if not await within(time_budget, handed_out(step.parts(), on_part), stopping=step.stopping):
        raise step.cut_short()
    return step.outcome


class TaskStep:
    """One call for a chunk: iterate `parts()` to its end, then read `outcome`."""

    def __init__(
        self,
        graph: Graph,
        saver: BaseCheckpointSaver[Any],
        request: StepRequest,
        chunk: Chunk,
        *,
        store: BaseStore | None = None,
        cache: BaseCache[Any] | None = None,
        control: RunControl | None = None,
        head: CheckpointTuple | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._graph = graph
        self._saver = saver
        self._request = request
        self._chunk = chunk
        self._store = store
        self._cache = cache
        self._control = StepControl(control)
        self._head = head
        self._turns = turns
        self._opened: Sequence[str] = ()
        self._outcome: ChunkOutcome | None = None
        self._watching: TaskWatch | None = None

    def stopping(self) -> None:
        """The call is about to be cancelled."""
        if self._watching is not None:
            self._watching.stopping = True

    def cut_short(self) -> CutShort:
        """What a call came to that was cancelled; it saves nothing any more."""
        moved = False
        if self._watching is not None:
            self._watching.over = True
            moved = not {*self._opened}.issubset(self._watching.unfinished())
        return CutShort((), moved=moved, inside=self._request.inside)

    @property
    def outcome(self) -> ChunkOutcome:
        """What the call came to."""
        if self._outcome is None:
            raise InvariantBroken("A chunk's outcome was read before its parts were iterated to their end.")
        return self._outcome

    async def parts(self) -> AsyncGenerator[Any, None]:
        """Do it, yielding the stream parts of these tasks. To be iterated once."""
        found = self._head or await self._saver.aget_tuple(head_of(self._request.thread_id))
        head = _without_others(self._graph, _planned(self._request, found), self._chunk)
        watching = TaskWatch(self._graph, head, self._control, self._chunk, replay=self._request.replay)
        watching.before_save = self._request.stream.before_save if self._request.stream else None
        watching.turns = self._turns
        self._watching = watching
        self._opened = opened = watching.open_tasks(self._request)
        if not opened:
            self._outcome = watching.outcome((), executed=False)
            return
        seen = TaskParts(self._request.stream, fenced=frozenset(self._chunk.fence))
        async with aclosing(self._run(head, watching, seen, opened)) as wanted:
            async for part in wanted:
                yield part

    async def _run(
        self, head: CheckpointTuple, watching: TaskWatch, seen: Parts, opened: Sequence[str]
    ) -> AsyncGenerator[Any, None]:
        own = self._turns.within(self._graph) if self._turns else self._graph
        graph, shown = with_sends_blanked(own, head, frozenset(self._chunk.sends))
        others = {*self._chunk.fence, *self._chunk.ids} - {*opened}
        watching.show(with_tasks_done(shown, others))
        waiting = statuses(head.pending_writes)
        asked = {question.id for task in opened if task in waiting for question in waiting[task].pending_interrupts}
        answers = {key: value for key, value in self._request.resume.items() if key in asked}
        graph = prepared(graph, self._saver, watching, stop=self._request.stop, store=self._store, cache=self._cache)
        config = call_config(self._request, resuming=None if answers else False)
        stream = graph.astream(Command(resume=answers) if answers else None, config, **self._options(seen))
        failures: tuple[TaskFailure, ...] = ()
        try:
            async with aclosing(stream) as chunks_:  # type: ignore[type-var]  # it is an asynchronous generator
                async for chunk in chunks_:
                    for part in seen.wanted(chunk):
                        yield part
        except GraphDrained as error:
            if not self._control.step_done and self._control.drained_by_caller is None:
                failures = _failures(error, watching, seen)
        except Exception as error:  # noqa: BLE001 -- sorted into the graph's faults and everybody else's
            failures = _failures(error, watching, seen)
        else:
            await self._mark_stopped(head, watching)
        self._outcome = watching.outcome(failures, executed=True)

    async def _mark_stopped(self, head: CheckpointTuple, watching: TaskWatch) -> None:
        """The graph returned without having come to its commit: what does not ask stopped inside a subgraph."""
        if self._control.step_done:
            return
        known = {*watching.outcome((), executed=True).asking, *(self._turns.refused if self._turns else ())}
        for task in watching.unfinished():
            if task not in known:
                await self._saver.aput_writes(head.config, [(STOPPED, task)], mark_task(STOPPED, task))
                watching.stopped.add(task)

    def _options(self, seen: Parts) -> dict[str, Any]:
        return {
            **seen.arguments(),
            "durability": "sync",
            "control": self._control,
            "context": self._request.context,
            "interrupt_before": NOWHERE,
            "interrupt_after": NOWHERE,
        }


def _planned(request: StepRequest, found: CheckpointTuple | None) -> CheckpointTuple:
    if found is not None and found.checkpoint["id"] == request.expect:
        return found
    raise StaleHead(
        f"Thread {request.thread_id!r} is at checkpoint {found.checkpoint['id'] if found else None}, but the tasks "
        f"belong to {request.expect}: the super-step is committed, or the thread was changed. Nothing was executed."
    )


def _without_others(graph: Graph, head: CheckpointTuple, chunk: Chunk) -> CheckpointTuple:
    """The checkpoint without what the tasks of other chunks put into the state: a thousand tasks' writes sort slowly.

    Everything special stays: what tasks returned that ours have called, what they asked, our marks. So does everything
    where an error handler may be among the others: it acts for the task that failed.
    """
    if graph.node_error_handler_map:
        return head
    known = {*chunk.ids, *chunk.fence}
    kept = [write for write in head.pending_writes or () if write[0] in known or write[1].startswith("__")]
    return head._replace(pending_writes=kept)


def _failures(error: Exception, watching: TaskWatch, seen: Parts) -> tuple[TaskFailure, ...]:
    """What our tasks raised; nothing where all of them finished, for then the commit raises what there is to raise."""
    try:
        raise_fault(error, watching, seen)
    except RunError as fault:
        cause = fault.__cause__ or fault
    unfinished = watching.unfinished()
    raised = {
        task: failure
        for task, failure in watching.failures
        if task in unfinished and not isinstance(failure, CancelledError)
    }
    if unfinished and not raised:  # a task's error handler raised, or nobody said which task it was
        raised = {unfinished[0]: cause}
    return tuple(
        TaskFailure(
            id=task,
            node=seen.name_of(task),
            type=type(failure).__name__,
            message=str(failure) or repr(failure),
            cause=failure,
        )
        for task, failure in raised.items()
    )
