"""Decides what one call has to do, from the request and the thread's head.

A call may be delivered again after a crash at any point, so what is stored decides, never what was delivered.
"""

from dataclasses import dataclass, replace
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Command

from durablegraph.errors import StaleHead
from durablegraph.graphs.contract import Replay, StepRequest
from durablegraph.graphs.describe import questions
from durablegraph.graphs.internals import is_resume_map
from durablegraph.graphs.journal import ANSWERED, COMMAND_STORED, STOPPED, is_of_run, mark_task, marked

NO_STEP = -2
"""The step number that LangGraph starts from on an empty thread."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run the graph with `input`.

    `resuming` is the flag to set at the root; None leaves it to LangGraph, which goes by the input. `addressed`: the
    caller's config names the checkpoint to start from. `look`: an earlier delivery may have left nothing to run, so
    describe the head first. `answering`: store first that the run's bare answer is meant for this interrupt.
    """

    input: Any
    stop: int | None
    resuming: bool | None = None
    replay: Replay | None = None
    addressed: bool = False
    look: bool = False
    answering: str | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    """Execute nothing: an earlier delivery did all there is to do."""

    stop: int


Plan = Run | Tell


def stop_after(found: CheckpointTuple | None, recursion_limit: int) -> int:
    """The last step number that a run which starts from this checkpoint may reach, counted as LangGraph counts."""
    step = found.metadata.get("step", NO_STEP) if found else NO_STEP
    return step + 1 + recursion_limit + 1


async def plan(saver: BaseCheckpointSaver[Any], request: StepRequest, head: CheckpointTuple | None) -> Plan:
    """What to do. Loads more than the head only when this is a second delivery."""
    if request.kind == "start":
        if head is not None and is_of_run(head, request.run_id):
            return await _begun(saver, request, head)
        return _start(request, head)
    if head is None:
        raise StaleHead(
            f"Thread {request.thread_id!r} is empty, but the request starts from checkpoint {request.expect}. "
            "Was the thread deleted, or are its checkpoints in another store?"
        )
    if head.checkpoint["id"] != request.expect:
        return await _committed(saver, request, head)
    return _go_on(request, head)


def _start(request: StepRequest, head: CheckpointTuple | None) -> Run:
    if request.expect is not None and (head is None or head.checkpoint["id"] != request.expect):
        raise _stale(request, head)
    if request.config.get("configurable", {}).get("checkpoint_id"):
        return Run(request.input, stop=None, replay=Replay(), addressed=True)
    run = Run(request.input, stop=stop_after(head, request.recursion_limit))
    if isinstance(request.input, Command) and head is not None and request.run_id is not None:
        return _command(run, request.input, head, request.run_id)
    return run


def _command(run: Run, command: Command[Any], head: CheckpointTuple, run_id: str) -> Run:
    """The part of a command that an earlier delivery has not brought to storage."""
    if marked(head, COMMAND_STORED, run_id):
        command = replace(command, update=None, goto=())
        run = replace(run, look=True)
    waiting = _waiting(head)
    if is_resume_map(answers := command.resume):
        command = replace(command, resume={key: value for key, value in answers.items() if key in waiting})
        run = replace(run, look=run.look or not command.resume)
    elif command.resume is not None:
        known = marked(head, ANSWERED, task_id=mark_task(ANSWERED, run_id))
        if known or len(waiting) == 1:
            meant_for = str(known[0]) if known else waiting[0]
            answers = {meant_for: command.resume} if meant_for in waiting else {}
            command = replace(command, resume=answers)
            run = replace(run, look=not answers, answering=None if known else meant_for)
    empty = not command.resume and command.update is None and not command.goto
    return replace(run, input=None if empty else command)


async def _begun(saver: BaseCheckpointSaver[Any], request: StepRequest, head: CheckpointTuple) -> Plan:
    """A repeated start whose first delivery committed `head`."""
    base: CheckpointTuple | None = head
    while base is not None and is_of_run(base, request.run_id):
        base = await saver.aget_tuple(base.parent_config) if base.parent_config else None
    stop = stop_after(base, request.recursion_limit)
    if head.metadata.get("source") not in {"input", "fork"}:
        return Tell(stop)
    travels = bool(request.config.get("configurable", {}).get("checkpoint_id"))
    replay = Replay(bound=replay_bound(base)) if travels and base is not None else None
    return Run(None, stop=stop, resuming=False, replay=replay, look=True)


async def _committed(saver: BaseCheckpointSaver[Any], request: StepRequest, head: CheckpointTuple) -> Tell:
    """The head is not where the request starts from: an earlier delivery committed, or somebody else did."""
    found: CheckpointTuple | None = head
    for _ in range(max(request.steps, 1)):
        if found is None or found.parent_config is None or not _could_be_ours(found, request):
            break
        if found.parent_config["configurable"]["checkpoint_id"] == request.expect:
            if request.stop is not None:
                return Tell(request.stop)
            return Tell(stop_after(await saver.aget_tuple(found.parent_config), request.recursion_limit))
        found = await saver.aget_tuple(found.parent_config)
    raise _stale(request, head)


def _could_be_ours(found: CheckpointTuple, request: StepRequest) -> bool:
    return found.metadata.get("source") == "loop" and (request.run_id is None or is_of_run(found, request.run_id))


def _go_on(request: StepRequest, head: CheckpointTuple) -> Plan:
    stop = request.stop if request.stop is not None else stop_after(head, request.recursion_limit)
    waiting = _waiting(head)
    if request.kind == "resume":
        answers = {key: value for key, value in request.resume.items() if key in waiting}
        if answers:
            return Run(Command(resume=answers), stop=stop, replay=request.replay)
        return Run(None, stop=stop, replay=request.replay, look=True)
    run = Run(None, stop=stop, replay=request.replay, look=bool(waiting))
    if request.kind == "proceed":
        return run
    return replace(run, resuming=False, look=run.look or bool(marked(head, STOPPED)))


def _waiting(head: CheckpointTuple) -> list[str]:
    """The ids of the questions that wait for an answer."""
    return [question.id for asked in questions(head.pending_writes).values() for question in asked]


def replay_bound(addressed: CheckpointTuple) -> str:
    """Before which checkpoint the subgraphs of a run that starts from `addressed` look for theirs.

    A fork (LangGraph's, or `update_state`'s) was made after the subgraphs' checkpoints, so its parent counts.
    """
    parent = addressed.parent_config
    if addressed.metadata.get("source") in {"update", "fork"} and parent:
        return str(parent["configurable"]["checkpoint_id"])
    return addressed.checkpoint["id"]


def _stale(request: StepRequest, head: CheckpointTuple | None) -> StaleHead:
    return StaleHead(
        f"Thread {request.thread_id!r} is at checkpoint {head.checkpoint['id'] if head else None}, "
        f"but the request starts from {request.expect}: somebody else committed in between. Nothing was executed."
    )
