"""LangGraph's long-term memory on the object store: one item, one object.

`docs/reference/items-layout.md` describes every key and byte.
"""

from durablegraph.storage.items.store import ItemStore

__all__ = ["ItemStore"]
