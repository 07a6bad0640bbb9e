"""Super-steps whose tasks are activities of their own: whether, how many at a time, and what such an activity does."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.errors import InvalidUpdateError

from durablegraph.errors import StaleHead
from durablegraph.execution.apart import Apart, Placed, since_now
from durablegraph.execution.requests import Due
from durablegraph.execution.setting_out import setting_out
from durablegraph.graphs.calling import head_of
from durablegraph.graphs.chunking import Found, chunk_at, divided
from durablegraph.graphs.contract import StepOutcome, StepRequest, StepStatus
from durablegraph.graphs.deadline import CutShort
from durablegraph.graphs.describe import describe, stands_still
from durablegraph.graphs.fanout import may_fan_out
from durablegraph.graphs.internals import ERROR
from durablegraph.graphs.registry import LoadedGraph
from durablegraph.graphs.turns import can_take_turns
from durablegraph.model.fan_out import FanOutPolicy
from durablegraph.model.ids import key_part
from durablegraph.model.messages import Cursor, FanOut, TasksCall
from durablegraph.model.records import RunRecord
from durablegraph.services import Services

MOST_CHUNKS = 50
"""Activities that one super-step is divided into at most: more tasks than that share them, so history stays small."""

SPREAD = 10
"""Activities at least, where many tasks share them and the width allows it: they are what machines share out."""

LOOKS_AGAIN = 1.0
"""Seconds after which an activity of several tasks asks, before the next of them, whether its run still wants them."""

SHOWN_NEXT = 10
"""How many node names a decision carries at most: they are for the custom status, which has a fixed size."""


def shown(outcome: StepOutcome) -> tuple[str, ...]:
    """The next nodes as a decision names them."""
    return tuple(name[:64] for name in outcome.next[:SHOWN_NEXT])


def width_of(policy: FanOutPolicy, most: int | None) -> int:
    """How many tasks may be in flight; `most` is the caller's `max_concurrency`."""
    width = policy.width or MOST_CHUNKS
    return min(width, most) if most else width


def plan(
    services: Services,
    record: RunRecord,
    outcome: StepOutcome,
    cursor: Cursor,
    *,
    policy: FanOutPolicy,
    width: int,
    now: datetime,
) -> FanOut | None:
    """How to fan out the super-step that follows, None to execute it in one activity. `width` tasks run at a time.

    Decided inside an activity and stored in its decision, so a replay never decides otherwise.
    """
    if policy.when == "never" or not may_fan_out(outcome) or cursor.replay is not None:
        return None
    names = {task.name for task in outcome.tasks}
    if policy.when == "auto" and services.paces.all_quick(record.graph, names, now):
        return None
    size, at_once = division(len(outcome.tasks), width)
    return FanOut(
        cursor=cursor,
        next=shown(outcome),
        chunks=math.ceil(len(outcome.tasks) / size),
        size=size,
        at_once=at_once if at_once < size else 0,
        failures=policy.failures or "all",
    )


def division(tasks: int, width: int) -> tuple[int, int]:
    """How many tasks an activity has, and how many of these are in flight at a time when `width` are in all.

    All activities are in flight from the start, each with as many places of the width as another. What is in flight
    together in an activity is executed by one call of the graph: the more, the cheaper.
    """
    shared = math.ceil(tasks / MOST_CHUNKS)
    exact = next((number for number in range(shared, width) if width % number == 0), width)
    at_once = max(1, min(exact, width // SPREAD)) if shared > 1 else 1
    calls = math.ceil(tasks / (width // at_once) / at_once)
    return calls * at_once, at_once


async def asked(
    loaded: LoadedGraph, saver: BaseCheckpointSaver[Any], request: StepRequest, head: CheckpointTuple | None
) -> StepOutcome | None:
    """After a fan-out: the outcome when tasks ask something or stopped, None when the super-step can be committed.

    A commit would execute the tasks that wait for an answer once more. `head` is only looked at.
    """
    if head is None or head.checkpoint["id"] != request.expect or not stands_still(head):
        return None
    try:
        outcome = await describe(loaded.graph, saver, request.thread_id, stop=request.stop or 0)
    except InvalidUpdateError:
        return None  # writes of finished tasks contradict each other, as the commit will tell
    if all(task.done for task in outcome.tasks):
        return None
    return outcome if outcome.status in {StepStatus.INTERRUPTED, StepStatus.BREAKPOINT} else None


class Standing:
    """What a run and its thread look like, for an activity that executes several tasks one after the other."""

    def __init__(
        self, services: Services, saver: BaseCheckpointSaver[Any], record: RunRecord, head: CheckpointTuple
    ) -> None:
        self._services = services
        self._saver = saver
        self._run_id, self._thread_id = record.run_id, record.thread_id
        self._checkpoint: str = head.checkpoint["id"]
        self._passed = since_now(services.time_budget)
        self._looked_at = 0.0
        self._wanted = True

    async def wanted(self) -> bool:
        """Whether the run still wants tasks after that checkpoint, read again `LOOKS_AGAIN` after the last time."""
        if self._wanted and self._passed() - self._looked_at > LOOKS_AGAIN:
            self._looked_at = self._passed()
            record = await self._services.runs.load(self._run_id)
            self._wanted = record is not None and wants(record.value) and await self._is_head()
        return self._wanted

    async def _is_head(self) -> bool:
        head = await self._saver.aget_tuple(head_of(self._thread_id))
        return head is not None and head.checkpoint["id"] == self._checkpoint


def wants(record: RunRecord) -> bool:
    """Whether a run wants its tasks to be executed."""
    return not record.status.ended and not record.cancel_requested


async def run_chunk(services: Services, call: TasksCall, now: datetime) -> dict[str, Any]:
    """Execute the tasks of a chunk and store their writes; what failed is stored beside the run.

    Any number of deliveries execute a finished task once, and none that failed again. A run that has ended or is
    cancelled, or has committed the super-step, begins no task more, a second later at the latest.
    """
    found = await services.runs.load(call.run_id)
    request = await services.request(call.run_id)
    if found is None or request is None or not wants(found.value):
        return {"done": 0}
    loaded = await services.graphs.load(found.value.graph)
    async with setting_out() as begun:
        due = Due(request, call.cursor)
        return await _run(services, loaded, call, found.value, due, now=now, begun=begun)


async def _run(
    services: Services,
    loaded: LoadedGraph,
    call: TasksCall,
    record: RunRecord,
    due: Due,
    *,
    now: datetime,
    begun: Callable[[], None],
) -> dict[str, Any]:
    saver = services.attempt(loaded, record.thread_id, None, shared=True)
    head = await saver.aget_tuple(head_of(record.thread_id))
    if head is None or head.checkpoint["id"] != call.cursor.checkpoint:
        return {"done": 0}
    raised = any(channel == ERROR for _, channel, _ in head.pending_writes or ())
    mine = await _chunk(loaded, saver, head, call)
    if mine is None:
        return {"done": 0}
    ended = await services.runs.failed(call.run_id, call.cursor.checkpoint) if raised else frozenset()
    standing = Standing(services, saver, record, head)
    apart = Apart(services, loaded, saver, due, now, standing.wanted, begun)
    try:
        return {"done": await _execute(apart, mine, call, ended, head)}
    except StaleHead:
        return {"done": 0}  # the super-step was committed meanwhile: this is a late delivery
    except CutShort as cut:  # a chunk that gets no further is left to the commit, which knows when to give up
        return {"done": 0, "left": cut.moved}


async def _execute(apart: Apart, mine: Found, call: TasksCall, ended: frozenset[str], head: CheckpointTuple) -> int:
    """How many tasks have finished; those that `ended` by failing, here before or elsewhere, do not run again."""
    at_once = call.at_once or call.size
    together = call.failures == "all" and _fits_one_call(apart, head)
    if not together:
        apart.begun()
    if call.failures != "all":
        singles = [
            Placed(single, call.chunk * call.size + place, frozenset((node,)))
            for place, (single, node) in enumerate(zip(divided(mine.chunk, 1), mine.nodes, strict=True))
            if key_part(single.ids[0]) not in ended
        ]
        outcomes = await apart.each(singles, at_once, head)
    elif any(key_part(task) in ended for task in mine.chunk.ids):
        return 0
    elif together:
        outcomes = [await apart.by_one_call(Placed(mine.chunk, call.chunk, mine.names), at_once, head)]
    else:
        parts = [
            Placed(part, call.chunk * call.size + place * at_once, mine.names)
            for place, part in enumerate(divided(mine.chunk, at_once))
        ]
        outcomes = await apart.in_turn(parts, head)
    return sum(len(outcome.finished) for outcome in outcomes)


def _fits_one_call(apart: Apart, head: CheckpointTuple) -> bool:
    """Whether one call may execute a chunk; an event log tells repetitions from the rest by the call they belong to."""
    request = apart.due.request
    return not request.stream_mode and can_take_turns(apart.loaded.graph, head, request.config)


async def _chunk(
    loaded: LoadedGraph, saver: BaseCheckpointSaver[Any], head: CheckpointTuple, call: TasksCall
) -> Found | None:
    """The chunk that is asked for; None when its super-step cannot be told as the commit will tell."""
    try:
        return await chunk_at(loaded.graph, saver, head, call.chunk, call.size)
    except InvalidUpdateError:
        return None
