"""One chunk of a super-step, found without preparing the tasks of the others.

LangGraph prepares a task in about 0.2 ms, so that fifty activities which each prepared a thousand tasks would spend ten
seconds on nothing. The tasks that `Send`s made come first, in their order, so a chunk's own follow from its number.
"""

from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from durablegraph.graphs.contract import Chunk, PendingTask
from durablegraph.graphs.describe import describe
from durablegraph.graphs.internals import Graph, sends_in, with_sends_blanked


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk and the names of its nodes. `head` is the id of the checkpoint that its tasks belong to."""

    chunk: Chunk
    names: frozenset[str]
    head: str


async def chunk_at(
    graph: Graph, saver: BaseCheckpointSaver[Any], head: CheckpointTuple, number: int, size: int
) -> Found:
    """The chunk of this number when the tasks of the super-step after `head` are divided by `size`, in their order.

    Finished tasks count, so a second delivery finds the same chunk. Raises what `describe` raises.
    """
    sends = sends_in(graph, head.checkpoint)
    first, last = number * size, (number + 1) * size
    ours = sends[first:last]
    made, shown = with_sends_blanked(graph, head, frozenset(ours))
    # Which tasks there are does not depend on what they have written; a thousand tasks' writes take long to sort.
    shown = shown._replace(pending_writes=[])
    outcome = await describe(made, saver, head.config["configurable"]["thread_id"], head=shown)
    edges = [task for task in outcome.tasks if task.send is None]
    own = [*(task for task in outcome.tasks if task.send is not None), *_within(edges, first, last, before=len(sends))]
    ids = tuple(task.id for task in own)
    chunk = Chunk(ids=ids, sends=tuple(ours), fence=tuple(edge.id for edge in edges if edge.id not in ids))
    return Found(chunk, frozenset(task.name for task in own), head.checkpoint["id"])


def _within(edges: list[PendingTask], first: int, last: int, *, before: int) -> list[PendingTask]:
    """Those tasks of edges that the chunk has: they follow the tasks of `Send`s."""
    return edges[max(0, first - before) : max(0, last - before)]
