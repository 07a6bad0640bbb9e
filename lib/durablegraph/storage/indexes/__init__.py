"""Lists on the object store: newest first, by status, graph, thread, time and metadata, without scanning.

What is listed has an entry under every facet it belongs to, ``index/{kind}/{facet}/{position}``. A position counts
down with the time of creation, so that a store's ascending order is newest first; the entry's note is what a list
shows. A page of a list is therefore one listing of one facet and no read of a record.

The record is the truth and is written first; entries follow. Whoever changes a record leaves a mark under ``live/``
until all its entries are right, and the supervisor mends what a mark stands for (see `storage.run_lists`).
"""

from durablegraph.storage.indexes.filters import Filter
from durablegraph.storage.indexes.index import Index, Kind
from durablegraph.storage.indexes.marks import Mark
from durablegraph.storage.indexes.search import Page, search

__all__ = ["Filter", "Index", "Kind", "Mark", "Page", "search"]
