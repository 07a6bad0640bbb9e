"""What we store among LangGraph's own records, so that a repeated call recognises what an earlier one did.

* the run's id, in the metadata of each checkpoint of the root graph;
* marks among the pending writes of a checkpoint. LangGraph ignores writes to channels and of tasks that it does not
  know, and a view of the saver hides them from it.
"""

from uuid import NAMESPACE_OID, uuid5

from langgraph.checkpoint.base import CheckpointTuple

RUN_KEY = "durablegraph_run_id"
"""Key in a checkpoint's metadata: the id of the run that committed it."""

GIVEN_UP_KEY = "durablegraph_given_up"
"""Key in a checkpoint's metadata: how many tasks its super-step was committed without."""

COMMAND_STORED = "__durablegraph_command__"
"""Stored in one write with a `Command`'s update and goto: the id of the run that the command started."""

ANSWERED = "__durablegraph_answered__"
"""The id of the interrupt that a run's bare resume value was meant for, stored before it is used."""

STOPPED = "__durablegraph_stopped__"
"""The id of a task in whose subgraph a static breakpoint was reached: without a mark nothing tells it from a crash."""

GIVEN_UP = "__durablegraph_given_up__"
"""The id of a task that failed for good and that the super-step is committed without."""

_OURS = frozenset((COMMAND_STORED, ANSWERED, STOPPED, GIVEN_UP))


def mark_task(mark: str, of: str) -> str:
    """The task id under which a mark of a run, or of tasks, is stored: no task has it."""
    return str(uuid5(NAMESPACE_OID, f"{mark}/{of}"))


def without_ours(found: CheckpointTuple) -> CheckpointTuple:
    """The tuple as LangGraph is to see it."""
    if not any(channel in _OURS for _, channel, _ in found.pending_writes or ()):
        return found
    return found._replace(pending_writes=[write for write in found.pending_writes or () if write[1] not in _OURS])


def is_of_run(found: CheckpointTuple, run_id: str | None) -> bool:
    """Whether the run committed this checkpoint."""
    return run_id is not None and found.metadata.get(RUN_KEY) == run_id


def marked(found: CheckpointTuple, mark: str, value: object = None, *, task_id: str | None = None) -> list[object]:
    """The values of a mark on a checkpoint: all, or those equal to `value`, or those stored under a task id."""
    return [
        each
        for task, channel, each in found.pending_writes or ()
        if channel == mark and task_id in {None, task} and value in {None, each}
    ]
