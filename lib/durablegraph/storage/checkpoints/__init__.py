"""LangGraph's checkpoints on the object store: a log per thread and namespace whose head moves by conditional writes.

`docs/reference/storage-layout.md` describes every byte.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durablegraph.storage.checkpoints.errors import ConcurrentWriterError, CorruptCheckpoint
    from durablegraph.storage.checkpoints.saver import BlobCheckpointSaver
    from durablegraph.storage.checkpoints.serde import StrictSerializer, TypeNotAllowedError
    from durablegraph.storage.checkpoints.translation import EXPECTED_HEAD

__all__ = [
    "EXPECTED_HEAD",
    "BlobCheckpointSaver",
    "ConcurrentWriterError",
    "CorruptCheckpoint",
    "StrictSerializer",
    "TypeNotAllowedError",
]

_PLACES = {
    "EXPECTED_HEAD": "translation",
    "BlobCheckpointSaver": "saver",
    "ConcurrentWriterError": "errors",
    "CorruptCheckpoint": "errors",
    "StrictSerializer": "serde",
    "TypeNotAllowedError": "serde",
}


def __getattr__(name: str) -> object:
    """Import on first use (PEP 562): what knows checkpoints by their names alone must not load LangGraph."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found
