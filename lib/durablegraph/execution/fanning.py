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
from durablegraph.graphs.contract import Chunk, ChunkOutcome, StepOutcome
from durablegraph.graphs.deadline import CutShort
from durablegraph.graphs.describe import describe
from durablegraph.graphs.fanout import chunks, may_fan_out, run_tasks
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


async def look(
    loaded: LoadedGraph, saver: BaseCheckpointSaver[Any], thread_id: str, stop: int | None
) -> StepOutcome | None:
    """The thread's head; None where the writes of its finished tasks contradict each other, as the commit will tell."""
    try:
        return await describe(loaded.graph, saver, thread_id, stop=stop or 0)
    except InvalidUpdateError:
        return None


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
    head = await look(loaded, saver, record.thread_id, call.cursor.stop)
    if head is None or head.checkpoint_id != call.cursor.checkpoint:
        return {"done": 0}
    all_tasks = [replace(task, done=False) for task in head.tasks]
    chunk = chunks(all_tasks, call.size)[call.chunk]
    began = time.monotonic()
    try:
        outcome = await _execute(services, loaded, saver, Due(request, call.cursor), chunk, number=call.chunk)
    except StaleHead:
        return {"done": 0}  # the super-step was committed meanwhile: this is a late delivery
    except CutShort:
        return {"done": 0}  # what has not finished in time is left to the commit, which has a budget of its own
    if outcome.executed and not outcome.asking and not outcome.failures:
        names = {task.name for task in all_tasks if task.id in chunk.ids}
        services.paces.note(record.graph, names, time.monotonic() - began, now)
    for failure in outcome.failures:
        told = RunFailure(type=failure.type, message=failure.message, node=failure.node)
        await services.runs.put_failure(record.run_id, head.checkpoint_id, failure.id, told)
    return {"done": len(outcome.finished)}
