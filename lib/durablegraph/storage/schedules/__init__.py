"""Schedules: when runs are started without a caller."""

from durablegraph.storage.schedules.store import Due, ScheduleStore

__all__ = ["Due", "ScheduleStore"]
