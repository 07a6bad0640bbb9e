"""What is asked of LangGraph for a run that is at a certain place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from durablegraph.graphs.contract import Replay, StepKind, StepRequest
from durablegraph.model.messages import Cursor
from durablegraph.model.records import RunRequest, WaitRecord
from durablegraph.settings import Settings

MOST_STEPS = 1000
"""Super-steps that one activity executes at most, however quick they are."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be executed: from `at`, and with `answers` when they end the `wait` that the run is in."""

    request: RunRequest
    at: Cursor
    wait: WaitRecord | None = None
    answers: dict[str, Any] | None = None


class Leaving(NamedTuple):
    """Which super-steps a call leaves to a fan-out, as `StepRequest` says it, and whether its loop may stand."""

    fan_out_from: int | None = None
    together: frozenset[str] = frozenset()
    may_stand: bool = True


_NOTHING: Final = Leaving()


def step_request(due: Due, own: Mapping[str, Any], settings: Settings, leaving: Leaving = _NOTHING) -> StepRequest:
    """The super-step to execute; `own` is the graph's own configuration."""
    asked, at = due.request, due.at
    kind: StepKind = "start" if at.stop is None else "advance"
    if due.wait is not None:
        kind = "resume" if due.wait.kind == "interrupt" else "proceed"
    return StepRequest(
        thread_id=asked.thread_id,
        run_id=asked.run_id,
        kind=kind,
        expect=at.checkpoint,
        stop=at.stop,
        recursion_limit=asked.recursion_limit or own.get("recursion_limit") or settings.recursion_limit,
        input=graph_input(asked) if kind == "start" else None,
        resume=due.answers or {} if kind == "resume" else {},
        config={**asked.config, "metadata": {**asked.config.get("metadata", {}), **asked.metadata}},
        context=asked.context,
        interrupt_before=asked.interrupt_before,
        interrupt_after=asked.interrupt_after,
        steps=MOST_STEPS if settings.steps_per_activity == "auto" else settings.steps_per_activity,
        budget=settings.steps_budget_seconds if settings.steps_per_activity == "auto" else None,
        fan_out_from=leaving.fan_out_from,
        together=leaving.together,
        replay=Replay(bound=at.replay["bound"], visited=tuple(at.replay["visited"])) if at.replay else None,
        sticky=leaving.may_stand and settings.sticky_seconds > 0,
        nested=settings.nested_steps,
        inside=at.inside,
        asked=due.wait.cursor.inside if due.wait is not None else None,
    )


def place_of(wait: WaitRecord, called: Cursor) -> Cursor:
    """Where a run is that uses the answers of `wait`: where it began, or since then further inside its subgraphs."""
    if called.checkpoint != wait.cursor.checkpoint or (called.inside or "") < (wait.cursor.inside or ""):
        return wait.cursor
    return wait.cursor.model_copy(update={"inside": called.inside, "cut_short": called.cut_short})


def graph_input(request: RunRequest) -> Any:
    """What the graph is invoked with: the caller's input, or the command that stands in its place."""
    if request.command is None:
        return request.input
    from langgraph.types import Command, Send  # noqa: PLC0415 -- only runs that begin with a command need it

    command = dict(request.command)
    if isinstance(goto := command.get("goto"), list):
        command["goto"] = [Send(item["node"], item.get("input")) if isinstance(item, dict) else item for item in goto]
    elif isinstance(goto, dict):
        command["goto"] = Send(goto["node"], goto.get("input"))
    return Command(**{name: command[name] for name in ("resume", "update", "goto") if command.get(name) is not None})
