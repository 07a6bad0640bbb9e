"""What the checkpoint log can complain of, beyond the store's own failures."""

from typing import Final

from durablegraph.errors import InvariantBroken, StaleHead


class ConcurrentWriterError(StaleHead):
    """Another writer moved the head of this thread and namespace: nothing of this call was stored.

    Read the thread again (`get_tuple`) and decide anew; repeating the same call cannot succeed.
    """

    code = "concurrent_writer"


class CorruptCheckpoint(InvariantBroken):
    """A stored object is damaged, missing or of an unknown format: it is reported and never served."""

    code = "corrupt_checkpoint"


class ObjectMissing(CorruptCheckpoint):
    """An object that a head refers to is not there.

    Perhaps the head is outdated: a prune has replaced it and removed the object. So whoever meets this reads the head
    again a few times before believing in damage.
    """


LOOKS: Final = 3
"""How often a head is read before a missing object counts as damage."""
