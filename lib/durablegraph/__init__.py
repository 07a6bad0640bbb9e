"""durablegraph: any compiled LangGraph graph on Azure Durable Functions, one durable activity a super-step."""

from typing import TYPE_CHECKING

from durablegraph.first_use import on_first_use

if TYPE_CHECKING:
    from durablegraph.graphs.registry import register
    from durablegraph.storage.checkpoints import BlobCheckpointSaver

__all__ = ["BlobCheckpointSaver", "register"]

# An orchestrator imports this package and must not load LangGraph.
__getattr__ = on_first_use(
    __name__, {"graphs.registry": ("register",), "storage.checkpoints": ("BlobCheckpointSaver",)}
)
