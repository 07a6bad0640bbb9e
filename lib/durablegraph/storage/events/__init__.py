"""The event log of a run: what it told while it ran, in order, readable from any offset."""

from durablegraph.storage.events.event import Event, created, ended, interrupted, resumed, running
from durablegraph.storage.events.log import EventLogs, EventPage, EventsGone
from durablegraph.storage.events.segment import Limits

__all__ = [
    "Event",
    "EventLogs",
    "EventPage",
    "EventsGone",
    "Limits",
    "created",
    "ended",
    "interrupted",
    "resumed",
    "running",
]
