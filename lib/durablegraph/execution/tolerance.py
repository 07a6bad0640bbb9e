"""Super-steps that may go on without tasks that failed: how many failed, whether too many, and the tasks given up.

Such a super-step executes each task by itself, for LangGraph ends them all when one fails; what a fan-out has not
executed (a quick node's tasks, one that was just answered, one cut short) is executed here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.errors import InvalidUpdateError

from durablegraph.execution.apart import Apart, Placed
from durablegraph.graphs.calling import head_of
from durablegraph.graphs.contract import PendingTask, StepKind, StepRequest
from durablegraph.graphs.describe import describe
from durablegraph.graphs.fanout import chunks
from durablegraph.graphs.given_up import give_up, given_up
from durablegraph.model.fan_out import needed
from durablegraph.model.ids import key_part
from durablegraph.model.records import RunFailure
from durablegraph.storage import lifecycle

TOO_MANY = "TooManyTasksFailed"
"""The type of a run's failure when fewer tasks succeeded than its policy asks."""

NAMED = 3
"""How many failures the message names."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a super-step's tasks. `apart`: they are executed, and only the commit is left.

    `failure` is why the run ends here.
    """

    apart: bool = False
    failure: RunFailure | None = None


async def settled_by(apart: Apart, request: StepRequest, width: int, *, fanned: str | None, failures: str) -> Settled:
    """What became of the tasks that a fan-out executed, or of those that are executed here because some may fail.

    `fanned` is what the fan-out's decision said of failures, None where there was none; `failures` is the policy's.
    """
    if (fanned or failures) != "all":
        settled = await settle(apart, request, fanned or failures, width)
        return Settled(apart=True, failure=settled.failure) if fanned else settled
    if fanned:
        failure = await apart.services.runs.failure(apart.due.request.run_id, request.expect or "")
        return Settled(apart=True, failure=failure)
    return Settled()


def commit_of(request: StepRequest) -> StepRequest:
    """The request that commits a super-step whose tasks have been executed: whatever was answered is used already."""
    kind: StepKind = "advance" if request.kind == "advance" else "proceed"
    return replace(request, kind=kind, resume={}, fanned_out=True)


async def settle(apart: Apart, request: StepRequest, failures: str, width: int) -> Settled:
    """Execute what is left of the tasks, and give up those that failed unless they are too many.

    Any number of calls come to the same: what failed is stored by then, and so is what was given up. Raises what
    `Apart.each` raises.
    """
    head = await _standing(apart, request)
    if head is None:
        return Settled()
    try:
        outcome = await describe(apart.loaded.graph, apart.saver, request.thread_id)
    except InvalidUpdateError:
        return Settled()  # writes of finished tasks contradict each other, as the commit will tell
    if outcome.commanded or not several(outcome.tasks):
        return Settled()
    lost = await _lost(apart, head, outcome.tasks)
    await apart.each(_left(outcome.tasks, lost), width)
    return await _judged(apart, head, outcome.tasks, failures)


def several(tasks: Sequence[PendingTask]) -> bool:
    """Whether a super-step is spread over tasks: more than one, or one that a `Send` made."""
    return len(tasks) > 1 or any(task.send is not None for task in tasks)


async def _standing(apart: Apart, request: StepRequest) -> CheckpointTuple | None:
    """The checkpoint that the request starts from; None where its super-step is committed, or has not come to one."""
    if request.expect is None or request.kind == "start" or request.continues:
        return None
    head = await apart.saver.aget_tuple(head_of(request.thread_id))
    return head if head is not None and head.checkpoint["id"] == request.expect else None


async def _lost(apart: Apart, head: CheckpointTuple, tasks: Sequence[PendingTask]) -> list[str]:
    """The ids of the tasks that failed for good; one that finished nevertheless, in another delivery, did not."""
    failed = await apart.services.runs.failed(apart.due.request.run_id, head.checkpoint["id"])
    before = given_up(head)
    return [task.id for task in tasks if key_part(task.id) in failed and (not task.done or task.id in before)]


def _left(tasks: Sequence[PendingTask], lost: Collection[str]) -> list[Placed]:
    places = {task.id: place for place, task in enumerate(tasks)}
    return [
        Placed(chunk, places[chunk.ids[0]], frozenset((tasks[places[chunk.ids[0]]].name,)))
        for chunk in chunks(tasks)
        if chunk.ids[0] not in lost
    ]


async def _judged(apart: Apart, head: CheckpointTuple, tasks: Sequence[PendingTask], failures: str) -> Settled:
    lost = await _lost(apart, head, tasks)
    if lost and len(tasks) - len(lost) < needed(failures, len(tasks)):
        failure = await _failure(apart, head, tasks=len(tasks), lost=len(lost), failures=failures)
        return Settled(apart=True, failure=failure)
    if lost:
        await lifecycle.note_failed_tasks(apart.services.runs, apart.due.request.run_id)
        await give_up(apart.saver, head, [task for task in lost if task not in given_up(head)])
    return Settled(apart=True)


async def _failure(apart: Apart, head: CheckpointTuple, *, tasks: int, lost: int, failures: str) -> RunFailure:
    runs, run_id = apart.services.runs, apart.due.request.run_id
    first = await runs.failures_at((await runs.failures(run_id, head.checkpoint["id"]))[:NAMED])
    least = needed(failures, tasks)
    if least == tasks:
        return first[0]
    named = "; ".join(f"{each.node or 'a task'}: {each.type}: {each.message}" for each in first)
    return RunFailure(
        type=TOO_MANY,
        message=f"{lost} of {tasks} tasks failed, and {failures!r} needs {least} to succeed. First failures: {named}",
        node=first[0].node,
    )
