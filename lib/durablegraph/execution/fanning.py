"""Super-steps whose tasks are activities of their own: whether, how many at a time, and what such an activity does."""

import math
import time
from dataclasses import replace
from datetime import datetime
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import InvalidUpdateError

from durablegraph.errors import StaleHead
from durablegraph.execution.recording import recording
from durablegraph.execution.requests import Due, step_request
from durablegraph.graphs.calling import head_of
from durablegraph.graphs.chunking import Found, chunk_at
from durablegraph.graphs.contract import Chunk, ChunkOutcome, StepOutcome, StepRequest, StepStatus
from durablegraph.graphs.deadline import CutShort
from durablegraph.graphs.describe import describe, stands_still
from durablegraph.graphs.fanout import may_fan_out, run_tasks
from durablegraph.graphs.registry import LoadedGraph
from durablegraph.model.messages import Cursor, FanOut, TasksCall
from durablegraph.model.records import RunFailure, RunRecord
from durablegraph.services import Services

MOST_CHUNKS = 50
"""Activities that one super-step is divided into at most: more tasks than that share them, so history stays small."""

SHOWN_NEXT = 10
"""How many node names a decision carries at most: they are for the custom status, which has a fixed size."""


def shown(outcome: StepOutcome) -> tuple[str, ...]:
    """The next nodes as a decision names them."""
    return tuple(name[:64] for name in outcome.next[:SHOWN_NEXT])


def plan(
    services: Services, record: RunRecord, outcome: StepOutcome, cursor: Cursor, *, most: int | None, now: datetime
) -> FanOut | None:
    """How to fan out the super-step that follows, None to execute it in one activity. `most` tasks run at a time.

    Decided inside an activity and stored in its decision, so a replay never decides otherwise.
    """
    policy = services.settings.fan_out
    if policy == "never" or not may_fan_out(outcome) or cursor.replay is not None:
        return None
    names = {task.name for task in outcome.tasks}
    if policy == "auto" and services.paces.all_quick(record.graph, names, now):
        return None
    size = math.ceil(len(outcome.tasks) / MOST_CHUNKS)
    width = services.settings.fan_out_width
    if most:
        size, width = min(size, most), max(1, min(width, most // min(size, most)))
    return FanOut(
        cursor=cursor,
        next=shown(outcome),
        chunks=math.ceil(len(outcome.tasks) / size),
        size=size,
        width=width,
    )


async def asked(loaded: LoadedGraph, saver: BaseCheckpointSaver[Any], request: StepRequest) -> StepOutcome | None:
    """After a fan-out: the outcome when tasks ask something or stopped, None when the super-step can be committed.

    A commit would execute the tasks that wait for an answer once more.
    """
    head = await saver.aget_tuple(head_of(request.thread_id))
    if head is None or head.checkpoint["id"] != request.expect or not stands_still(head):
        return None
    try:
        outcome = await describe(loaded.graph, saver, request.thread_id, stop=request.stop or 0)
    except InvalidUpdateError:
        return None  # writes of finished tasks contradict each other, as the commit will tell
    return outcome if outcome.status in {StepStatus.INTERRUPTED, StepStatus.BREAKPOINT} else None


async def _execute(
    services: Services,
    loaded: LoadedGraph,
    saver: BaseCheckpointSaver[Any],
    due: Due,
    chunk: Chunk,
    *,
    number: int,
) -> ChunkOutcome:
    request = step_request(due, loaded.graph.config or {}, services.settings)
    async with recording(services, due, chunk=number) as recorder:
        if recorder is not None:
            request = replace(request, stream=recorder.options)
        return await run_tasks(
            loaded.graph,
            saver,
            request,
            chunk,
            store=services.items_for(loaded),
            cache=services.cache_for(loaded),
            on_part=recorder.on_part if recorder is not None else None,
            time_budget=services.time_budget,
        )


async def run_chunk(services: Services, call: TasksCall, now: datetime) -> dict[str, Any]:
    """Execute the tasks of a chunk and store their writes; what failed is stored beside the run.

    Any number of deliveries execute a finished task once. A run that has ended or is cancelled executes nothing.
    """
    found = await services.runs.load(call.run_id)
    request = await services.request(call.run_id)
    if found is None or request is None or found.value.status.ended or found.value.cancel_requested:
        return {"done": 0}
    record = found.value
    loaded = await services.graphs.load(record.graph)
    saver = services.attempt(loaded, record.thread_id, None, shared=True)
    mine = await _chunk(loaded, saver, record, call)
    if mine is None:
        return {"done": 0}
    began = time.monotonic()
    try:
        outcome = await _execute(services, loaded, saver, Due(request, call.cursor), mine.chunk, number=call.chunk)
    except StaleHead:
        return {"done": 0}  # the super-step was committed meanwhile: this is a late delivery
    except CutShort:
        return {"done": 0}  # what has not finished in time is left to the commit, which has a budget of its own
    if outcome.executed and not outcome.asking and not outcome.failures:
        services.paces.note(record.graph, set(mine.names), time.monotonic() - began, now)
    for failure in outcome.failures:
        told = RunFailure(type=failure.type, message=failure.message, node=failure.node)
        await services.runs.put_failure(record.run_id, mine.head, failure.id, told)
    return {"done": len(outcome.finished)}


async def _chunk(
    loaded: LoadedGraph, saver: BaseCheckpointSaver[Any], record: RunRecord, call: TasksCall
) -> Found | None:
    """The chunk that is asked for; None when its super-step is committed, or cannot be told as the commit will tell."""
    head = await saver.aget_tuple(head_of(record.thread_id))
    if head is None or head.checkpoint["id"] != call.cursor.checkpoint:
        return None
    try:
        return await chunk_at(loaded.graph, saver, head, call.chunk, call.size)
    except InvalidUpdateError:
        return None
