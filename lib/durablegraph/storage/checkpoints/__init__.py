"""LangGraph's checkpoints on the object store: a log per thread and namespace whose head moves by conditional writes.

`docs/reference/storage-layout.md` describes every byte.
"""

from typing import TYPE_CHECKING

from durablegraph.first_use import on_first_use

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

# What knows checkpoints by their names alone must not load LangGraph.
__getattr__ = on_first_use(
    __name__,
    {
        "errors": ("ConcurrentWriterError", "CorruptCheckpoint"),
        "saver": ("BlobCheckpointSaver",),
        "serde": ("StrictSerializer", "TypeNotAllowedError"),
        "translation": ("EXPECTED_HEAD",),
    },
)
