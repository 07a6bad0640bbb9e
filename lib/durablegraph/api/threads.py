"""Threads: the state at the head or at a checkpoint, and the history, as LangGraph has them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from durablegraph.api.context import Call
from durablegraph.api.http import ApiResponse
from durablegraph.api.listing import cursor_of, filter_of, limit_of, position_of
from durablegraph.api.reading import number
from durablegraph.errors import Conflict, InvalidRequest, NotFound
from durablegraph.graphs.jsonable import jsonable
from durablegraph.model.records import ThreadRecord
from durablegraph.model.status import ThreadStatus

if TYPE_CHECKING:
    from langgraph.types import StateSnapshot

_HISTORY, _LONGEST_HISTORY = 10, 1000


async def list_threads(call: Call) -> ApiResponse:
    """GET /threads: newest first; all filters given must hold."""
    query = call.request.query
    wanted, after = filter_of(query, ThreadStatus), position_of(query, "threads")
    page = await call.services.runs.search_threads(replace(wanted, thread_id=None), after=after, limit=limit_of(query))
    threads = [shown_thread(thread) for thread in page.records]
    body = {"threads": threads, "next": cursor_of("threads", page.next)}
    return ApiResponse(200, body, {"Cache-Control": "no-store"})


async def get_thread(call: Call) -> ApiResponse:
    """GET /threads/{thread}."""
    return ApiResponse(200, shown_thread(await _thread(call)), {"Cache-Control": "no-store"})


def shown_thread(thread: ThreadRecord) -> dict[str, Any]:
    """A thread as callers see it."""
    return thread.model_dump(mode="json", exclude={"turn"})


async def get_state(call: Call) -> ApiResponse:
    """GET /threads/{thread}/state: at the head, or at `?checkpoint_id=`."""
    thread, graph = await _with_graph(call)
    snapshot = await call.services.state(graph, thread.thread_id, call.request.query.get("checkpoint_id"))
    return ApiResponse(200, shown(snapshot))


async def get_history(call: Call) -> ApiResponse:
    """GET /threads/{thread}/history: newest first, `limit` of them, `before` a checkpoint id."""
    thread, graph = await _with_graph(call)
    limit = number(call.request.query.get("limit"), "limit", _HISTORY, _LONGEST_HISTORY)
    before = call.request.query.get("before")
    found = [shown(item) async for item in call.services.history(graph, thread.thread_id, limit=limit, before=before)]
    return ApiResponse(200, found)


def shown(snapshot: StateSnapshot) -> dict[str, Any]:
    """A snapshot as JSON, with the ids that callers need at the top."""
    config = _config(snapshot.config)
    parent = _config(snapshot.parent_config)
    return {
        "values": jsonable(snapshot.values),
        "next": list(snapshot.next),
        "tasks": [
            {
                "id": task.id,
                "name": task.name,
                "error": repr(task.error) if task.error else None,
                "interrupts": [jsonable({"id": item.id, "value": item.value}) for item in task.interrupts],
            }
            for task in snapshot.tasks
        ],
        "interrupts": [jsonable({"id": item.id, "value": item.value}) for item in snapshot.interrupts],
        "metadata": jsonable(snapshot.metadata),
        "config": config,
        "created_at": snapshot.created_at,
        "checkpoint_id": (config or {}).get("configurable", {}).get("checkpoint_id"),
        "parent_config": parent,
        "parent_checkpoint_id": (parent or {}).get("configurable", {}).get("checkpoint_id"),
    }


def _config(config: Any) -> dict[str, Any] | None:
    if config is None:
        return None
    names = ("thread_id", "checkpoint_ns", "checkpoint_id")
    return {"configurable": {name: config["configurable"][name] for name in names if name in config["configurable"]}}


async def _thread(call: Call) -> ThreadRecord:
    thread_id = call.request.path["thread"]
    found = await call.services.runs.thread(thread_id)
    if found is None:
        raise NotFound(f"there is no thread {thread_id!r}: a run creates it on use", code="thread_not_found")
    return found.value


async def _with_graph(call: Call) -> tuple[ThreadRecord, str]:
    thread = await _thread(call)
    if thread.graph is None:
        raise Conflict(f"thread {thread.thread_id!r} has had no run yet, so it has no state", code="no_state")
    if thread.graph not in call.services.graphs.names:
        raise InvalidRequest(f"thread {thread.thread_id!r} belongs to graph {thread.graph!r}, which is not loaded here")
    return thread, thread.graph
