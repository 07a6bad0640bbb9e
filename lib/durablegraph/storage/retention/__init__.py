"""Retention: what is removed by age, what crashes left behind, and how a thread is erased completely."""

from durablegraph.storage.retention.erasing import Erased, erase_thread
from durablegraph.storage.retention.finds import Find, Retention
from durablegraph.storage.retention.policy import Policy
from durablegraph.storage.retention.slices import Report, Span, retain, survey

__all__ = [
    "Erased",
    "Find",
    "Policy",
    "Report",
    "Retention",
    "Span",
    "erase_thread",
    "retain",
    "survey",
]
