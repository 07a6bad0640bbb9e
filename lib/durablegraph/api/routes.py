"""The HTTP surface as one table: every route, what it takes and answers, and who may call it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from durablegraph.api import deciding, erasing, health, reading, schedules, starting, streaming, threads
from durablegraph.api.context import Call
from durablegraph.api.http import ApiResponse
from durablegraph.api.openapi import document
from durablegraph.api.resources import (
    ErasedThread,
    EventsRead,
    GivenAnswer,
    RunPage,
    RunStart,
    SchedulePage,
    SchedulePatch,
    ScheduleStart,
    ShownRun,
    ShownSchedule,
    ShownStatus,
    ShownThread,
    StartedRun,
    ThreadPage,
    ThreadState,
)

Handler = Callable[[Call], Awaitable[ApiResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `template` is below the route prefix; `level` is the host's auth level.

    `takes` is the model of the body, the word ``json`` for any JSON, or None; `answers` maps statuses to models.
    """

    name: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    template: str
    handler: Handler
    summary: str
    takes: type[BaseModel] | Literal["json"] | None = None
    answers: dict[int, type[BaseModel] | None] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    level: Literal["anonymous", "function"] = "function"


async def openapi(call: Call) -> ApiResponse:
    """GET /openapi.json: made from this table."""
    return ApiResponse(200, document(ROUTES, call.links.base))


_REASON = {"reason": "Kept with the instance."}
_IF_MATCH = {"If-Match": "The `ETag` that the schedule was read with: answered 412 when it has changed since."}
_LIST = {
    "metadata.{name}": "Only those whose metadata has this member with this value; may be given for several names.",
    "created_after": "Only those created at this time or later, such as `2026-01-31T12:00:00Z`.",
    "created_before": "Only those created before this time.",
    "limit": "How many a page, 20 by default, at most 100; a page may hold fewer and have a `next` all the same.",
    "cursor": "The `next` of the page before.",
}

ROUTES: tuple[Route, ...] = (
    Route(
        "start_run",
        "POST",
        "graphs/{graph}/runs",
        starting.start_run,
        "Start a run of a graph",
        takes=RunStart,
        answers={202: StartedRun},
        headers={"Idempotency-Key": "The same key and body give the same run, however often they are sent."},
    ),
    Route(
        "list_runs",
        "GET",
        "runs",
        reading.list_runs,
        "List runs, newest first",
        answers={200: RunPage},
        query={
            "status": "Only runs with this status.",
            "graph": "Only runs of this graph.",
            "thread_id": "Only runs on this thread.",
            **_LIST,
        },
    ),
    Route(
        "get_run",
        "GET",
        "runs/{run}",
        reading.get_run,
        "Read a run",
        answers={200: ShownRun},
        query={"wait": "Seconds to wait, at most 200, until the run has ended or waits for an answer."},
    ),
    Route(
        "get_run_status",
        "GET",
        "runs/{run}/status",
        reading.get_status,
        "Poll a run as Durable's pollers do",
        answers={200: ShownStatus, 202: ShownStatus},
    ),
    Route(
        "stream_run",
        "GET",
        "runs/{run}/stream",
        streaming.stream,
        "Follow a run's events, as Server-Sent Events unless JSON is asked for",
        answers={200: EventsRead, 204: None},
        query={
            "after": "Only events after this offset, 0 by default: all.",
            "wait": "Seconds to wait, at most 200, until there is an event.",
        },
        headers={"Last-Event-ID": "In place of `after`: what an EventSource sends when it comes again."},
    ),
    Route(
        "raise_run_event",
        "POST",
        "runs/{run}/events/{event}",
        deciding.raise_event,
        "Answer what a run waits for (`resume`, or its alias `approval`)",
        takes="json",
        answers={202: GivenAnswer},
    ),
    Route("cancel_run", "POST", "runs/{run}/cancel", deciding.cancel, "Cancel a run", answers={202: None}),
    Route(
        "terminate_run",
        "POST",
        "runs/{run}/terminate",
        deciding.terminate,
        "End a run at once",
        answers={202: None},
        query=_REASON,
    ),
    Route(
        "suspend_run", "POST", "runs/{run}/suspend", deciding.suspend, "Hold a run", answers={202: None}, query=_REASON
    ),
    Route(
        "resume_run",
        "POST",
        "runs/{run}/resume",
        deciding.resume,
        "Let a held run go on",
        answers={202: None},
        query=_REASON,
    ),
    Route(
        "restart_run",
        "POST",
        "runs/{run}/restart",
        deciding.restart,
        "Start a new run with the same request",
        answers={202: StartedRun},
    ),
    Route("purge_run", "DELETE", "runs/{run}", deciding.purge, "Forget an ended run", answers={200: None}),
    Route(
        "list_threads",
        "GET",
        "threads",
        threads.list_threads,
        "List threads, newest first",
        answers={200: ThreadPage},
        query={
            "status": "Only threads with this status: `idle`, `busy`, `interrupted`, `error`.",
            "graph": "Only threads whose latest run is of this graph.",
            **_LIST,
        },
    ),
    Route("get_thread", "GET", "threads/{thread}", threads.get_thread, "Read a thread", answers={200: ShownThread}),
    Route(
        "erase_thread",
        "DELETE",
        "threads/{thread}",
        erasing.erase_thread,
        "Erase a thread with its runs and everything stored about them",
        answers={200: ErasedThread},
        query={"force": "`true`: terminate runs that have not ended, instead of answering 409."},
    ),
    Route(
        "get_thread_state",
        "GET",
        "threads/{thread}/state",
        threads.get_state,
        "Read a thread's state",
        answers={200: ThreadState},
        query={"checkpoint_id": "At this checkpoint instead of the newest."},
    ),
    Route(
        "get_thread_history",
        "GET",
        "threads/{thread}/history",
        threads.get_history,
        "Read a thread's checkpoints, newest first",
        answers={200: ThreadState},
        query={"limit": "How many, 10 by default.", "before": "Only those before this checkpoint."},
    ),
    Route(
        "create_schedule",
        "POST",
        "schedules",
        schedules.create_schedule,
        "Start runs on a schedule",
        takes=ScheduleStart,
        answers={201: ShownSchedule},
        headers={"Idempotency-Key": "The same key and body give the same schedule, however often they are sent."},
    ),
    Route(
        "list_schedules",
        "GET",
        "schedules",
        schedules.list_schedules,
        "List schedules, newest first",
        answers={200: SchedulePage},
        query={
            "status": "Only schedules with this status: `enabled`, `paused`, `ended`.",
            "graph": "Only schedules of this graph.",
            "thread_id": "Only schedules whose runs are on this thread.",
            **_LIST,
        },
    ),
    Route(
        "get_schedule",
        "GET",
        "schedules/{schedule}",
        schedules.get_schedule,
        "Read a schedule",
        answers={200: ShownSchedule},
    ),
    Route(
        "change_schedule",
        "PATCH",
        "schedules/{schedule}",
        schedules.change_schedule,
        "Change, pause or resume a schedule",
        takes=SchedulePatch,
        answers={200: ShownSchedule},
        headers=_IF_MATCH,
    ),
    Route(
        "delete_schedule",
        "DELETE",
        "schedules/{schedule}",
        schedules.delete_schedule,
        "Delete a schedule; its runs stay",
        answers={204: None},
        headers=_IF_MATCH,
    ),
    Route(
        "trigger_schedule",
        "POST",
        "schedules/{schedule}/trigger",
        schedules.trigger_schedule,
        "Start a run of a schedule now",
        answers={202: StartedRun},
        headers={"Idempotency-Key": "The same key gives the same run."},
    ),
    Route(
        "health_live",
        "GET",
        "health/live",
        health.live,
        "The process answers",
        answers={200: None},
        level="anonymous",
    ),
    Route("health_ready", "GET", "health/ready", health.ready, "The app can work", answers={200: None, 503: None}),
    Route("get_openapi", "GET", "openapi.json", openapi, "This document", answers={200: None}),
)


def by_name() -> dict[str, Any]:
    """The routes by their operation's name."""
    return {route.name: route for route in ROUTES}
