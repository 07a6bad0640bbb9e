"""What the checkpoint log can complain of, beyond the store's own failures."""

from durablegraph.errors import InvariantBroken, StaleHead


class ConcurrentWriterError(StaleHead):
    """Another writer moved the head of this thread and namespace: nothing of this call was stored.

    Read the thread again (`get_tuple`) and decide anew; repeating the same call cannot succeed.
    """

    code = "concurrent_writer"


class CorruptCheckpoint(InvariantBroken):
    """A stored object is damaged, missing or of an unknown format: it is reported and never served."""

    code = "corrupt_checkpoint"
