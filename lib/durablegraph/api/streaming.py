"""GET /runs/{run}/stream: a run's event log as Server-Sent Events, or as JSON.

A worker of the Functions host cannot keep a response open, so each answer ends: at once with the events that are there,
or, with `?wait=`, as soon as there is one. An EventSource comes again by itself with the last id that it saw, so it
sees each event once; when the run is over it is told `end`, and 204 if it comes again all the same.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from durablegraph.api.context import Call
from durablegraph.api.http import ApiResponse
from durablegraph.api.pauses import pauses
from durablegraph.api.reading import REDACTED, load_run, number
from durablegraph.errors import Conflict, Gone
from durablegraph.model.records import RunRecord
from durablegraph.storage.events import Event, EventPage, EventsGone, ended

_MOST: Final = 1000
_LOOKS: Final = 10  # polls of the log between two looks at the run itself
_RETRY_WAITING: Final = 50
_RETRY_POLLING: Final = 1000
_LARGEST: Final = 10**12
_PLAIN: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Told = tuple[int, Event]


async def stream(call: Call) -> ApiResponse:
    """GET /runs/{run}/stream: the events after `Last-Event-ID` or `?after=`; 409 for a run without an event log."""
    record = await load_run(call)
    if not record.streams:
        raise Conflict(
            f"run {record.run_id!r} keeps no events: start it with stream_mode, for example "
            '"stream_mode": ["updates"], or read its state with GET /api/runs/{run}',
            code="no_event_log",
        )
    after = _after(call)
    seconds = number(call.request.query.get("wait"), "wait", 0, call.services.settings.max_wait_seconds)
    as_json = _wants_json(call)
    first: int | None = None
    try:
        page = await _read(call, record, after, float(seconds))
    except EventsGone as error:
        if as_json:
            raise Gone(
                f"event {after + 1} of run {record.run_id!r} is not kept: read on from ?after={error.first - 1}",
                code="events_gone",
                first=error.first,
            ) from error
        first, after = error.first, error.first - 1
        page = await _read(call, record, after, float(seconds))
    shown = [(offset, _redacted(call, event)) for offset, event in page.events]
    if as_json:
        return ApiResponse(200, _page(shown, after, closed=page.closed), _PLAIN)
    if page.closed and not shown:
        return ApiResponse(204, None, _PLAIN)
    text = _sse(shown, first, _RETRY_WAITING if seconds else _RETRY_POLLING)
    return ApiResponse(200, text.encode(), _PLAIN, "text/event-stream")


async def _read(call: Call, record: RunRecord, after: int, seconds: float) -> EventPage:
    """What there is after an offset; when there is nothing, wait for it. A run that has ended has a closed log."""
    page = await _all(call, record.run_id, after)
    for turn, pause in enumerate(chain(pauses(seconds), [None]), start=1):
        if page.events or page.closed:
            break
        if record.status.ended:  # by a hand that tells no events (terminate, the supervisor), or by one that died
            await call.services.events.append(record.run_id, ended(record))
            return await _all(call, record.run_id, after)
        if pause is None:  # the time is up
            break
        await asyncio.sleep(pause)
        page = await _all(call, record.run_id, after)
        if not page.events and turn % _LOOKS == 0:
            found = await call.services.runs.load(record.run_id)
            record = found.value if found else record
    return page


async def _all(call: Call, run_id: str, after: int) -> EventPage:
    """As many events as an answer may hold."""
    page = whole = await call.services.events.read(run_id, after, _MOST)
    while page.more and len(whole.events) < _MOST:
        last = whole.events[-1][0]
        page = await call.services.events.read(run_id, last, _MOST - len(whole.events))
        whole = replace(page, events=(*whole.events, *page.events))
    return whole


def _after(call: Call) -> int:
    """The offset that the caller has seen; the header is newer than the address it comes with."""
    header = call.request.headers.get("last-event-id", "").strip()
    if header == "-1":  # LangGraph's clients: from the beginning
        return 0
    text = header or call.request.query.get("after")
    return number(text, "Last-Event-ID" if header else "after", 0, _LARGEST)


def _wants_json(call: Call) -> bool:
    accepted = call.request.headers.get("accept", "")
    return "application/json" in accepted and "text/event-stream" not in accepted


def _redacted(call: Call, event: Event) -> Event:
    """The event without the text of a node's exception, where callers may not see that."""
    if event.name != "error" or call.services.settings.show_errors:
        return event
    return replace(event, data={**event.data, "message": REDACTED})


def _page(shown: Sequence[Told], after: int, *, closed: bool) -> dict[str, Any]:
    events = [
        {
            "offset": offset,
            "event": event.name,
            "data": event.data,
            "step": event.step,
            "attempt": event.attempt,
            "commits": event.commits,
        }
        for offset, event in shown
    ]
    return {"events": events, "next": shown[-1][0] if shown else after, "closed": closed}


def _sse(shown: Sequence[Told], first: int | None, retry: int) -> str:
    """The events as the HTML standard writes them, each one's id its offset; `first` where earlier ones are gone."""
    blocks = [f"retry: {retry}\n\n"]
    if first is not None:
        blocks.append(f"event: gone\ndata: {json.dumps({'first': first})}\n\n")
    blocks += [f"id: {offset}\nevent: {event.name}\ndata: {json.dumps(event.data)}\n\n" for offset, event in shown]
    return "".join(blocks)
