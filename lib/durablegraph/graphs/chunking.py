"""One chunk of a super-step, found without preparing the tasks of the others.

LangGraph prepares a task in about 0.2 ms, so that fifty activities which each prepared a thousand tasks would spend ten
seconds on nothing. The tasks that `Send`s made come first, in their order, so a chunk's own follow from its number.
Where no edge makes a task, their ids are told and nothing is prepared before it is executed.
"""

from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from durablegraph.graphs.contract import Chunk, PendingTask
from durablegraph.graphs.describe import describe
from durablegraph.graphs.fanout import chunk_of
from durablegraph.graphs.internals import Graph, sends_as_tasks, sends_in, with_sends_blanked


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk and the nodes of its tasks."""

    chunk: Chunk
    nodes: tuple[str, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names of its nodes."""
        return frozenset(self.nodes)


async def chunk_at(
    graph: Graph, saver: BaseCheckpointSaver[Any], head: CheckpointTuple, number: int, size: int
) -> Found:
    """The chunk of this number when the tasks of the super-step after `head` are divided by `size`, in their order.

    Finished tasks count, so a second delivery finds the same chunk. `head` is only looked at, and may be used again.
    Raises what `describe` raises.
    """
    sends = sends_in(graph, head.checkpoint)
    first, last = number * size, (number + 1) * size
    ours = sends[first:last]
    if (told := sends_as_tasks(graph, head.checkpoint, head.metadata.get("step", -1), ours)) is not None:
        return Found(Chunk(tuple(task for task, _ in told), tuple(ours)), tuple(node for _, node in told))
    made, shown = with_sends_blanked(graph, head, frozenset(ours))
    # Which tasks there are does not depend on what they have written; a thousand tasks' writes take long to sort.
    shown = shown._replace(pending_writes=[])
    outcome = await describe(made, saver, head.config["configurable"]["thread_id"], head=shown)
    edges = [task for task in outcome.tasks if task.send is None]
    own = [*(task for task in outcome.tasks if task.send is not None), *_within(edges, first, last, before=len(sends))]
    return Found(chunk_of(own, [edge.id for edge in edges]), tuple(task.name for task in own))


def _within(edges: list[PendingTask], first: int, last: int, *, before: int) -> list[PendingTask]:
    """Those tasks of edges that the chunk has: they follow the tasks of `Send`s."""
    return edges[max(0, first - before) : max(0, last - before)]


def divided(chunk: Chunk, size: int) -> list[Chunk]:
    """The tasks of a chunk as chunks of so many, in their order."""
    edges = chunk.ids[len(chunk.sends) :]
    made = []
    for at in range(0, len(chunk.ids), size):
        ids = chunk.ids[at : at + size]
        others = tuple(edge for edge in edges if edge not in ids)
        made.append(Chunk(ids=ids, sends=chunk.sends[at : at + size], fence=(*chunk.fence, *others)))
    return made
