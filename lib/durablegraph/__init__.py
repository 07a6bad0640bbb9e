"""durablegraph: any compiled LangGraph graph on Azure Durable Functions, one durable activity a super-step."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durablegraph.graphs.registry import register
    from durablegraph.storage.checkpoints import BlobCheckpointSaver

__all__ = ["BlobCheckpointSaver", "register"]


def __getattr__(name: str) -> object:
    """Import on first use (PEP 562): an orchestrator imports this package and must not load LangGraph."""
    if name == "BlobCheckpointSaver":
        from durablegraph.storage.checkpoints import BlobCheckpointSaver  # noqa: PLC0415 -- the point of this function

        return BlobCheckpointSaver
    if name == "register":
        from durablegraph.graphs.registry import register  # noqa: PLC0415 -- as above

        return register
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
