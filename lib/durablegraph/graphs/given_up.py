"""Tasks that a super-step is committed without: each counts as finished and as having written nothing.

That is stored, as a mark on the checkpoint that the tasks belong to, so that every later call sees the same: one that
answers another task's question, a second delivery, a look from outside.
"""

from collections.abc import Collection
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from durablegraph.graphs.internals import Graph, with_handlers_done, with_tasks_done
from durablegraph.graphs.journal import GIVEN_UP, mark_task, marked, without_ours


async def give_up(saver: BaseCheckpointSaver[Any], head: CheckpointTuple, tasks: Collection[str]) -> None:
    """Store that the super-step after `head` goes on without these tasks. The same call again changes nothing."""
    if tasks:
        named = sorted(tasks)
        marks = [(GIVEN_UP, task) for task in named]
        await saver.aput_writes(head.config, marks, mark_task(GIVEN_UP, "/".join(named)))


def given_up(head: CheckpointTuple) -> frozenset[str]:
    """The ids of the tasks that the super-step after `head` goes on without."""
    return frozenset(str(task) for task in marked(head, GIVEN_UP))


def as_seen(graph: Graph, found: CheckpointTuple) -> CheckpointTuple:
    """A checkpoint of the root graph as LangGraph is to see it: our marks turned into what they stand for."""
    return with_tasks_done(with_handlers_done(graph, without_ours(found)), given_up(found))
