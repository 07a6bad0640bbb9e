"""One orchestrator turn: the request that the SDK gets, and what its answer comes to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from durablegraph.host.hub import failures, newtonsoft
from durablegraph.host.hub.actions import Action, leaf_count
from durablegraph.host.hub.commands import TurnAnswered
from durablegraph.host.hub.determinism import Operation
from durablegraph.host.hub.events import Event, EventType
from durablegraph.host.hub.functions import Functions
from durablegraph.host.hub.replay import Outcome, replay
from durablegraph.host.hub.state import Instance, RuntimeStatus

_STATUS_LIMIT_KIB = 16
_TAIL = (
    '"upperSchemaVersion":1,"upperSchemaVersionNew":3,"longRunningTimerIntervalDuration":"3.00:00:00",'
    '"maximumShortTimerDuration":"6.00:00:00","defaultHttpAsyncRequestSleepTimeMillseconds":30000}'
)


def request(instance: Instance, new: Sequence[Event]) -> str:
    """The JSON text for the orchestrator function: the stored history, then this turn's events."""
    history = ",".join([item.text for item in [*(instance.history or []), *new]])
    parent = newtonsoft.quote(instance.parent.instance_id) if instance.parent else "null"
    source = newtonsoft.quote(instance.source_id) if instance.source_id else "null"
    replaying = "false" if instance.fresh or not instance.history else "true"
    return (
        f'{{"history":[{history}],"input":{_input(instance.input)},"instanceId":{newtonsoft.quote(instance.id)},"isReplaying":{replaying},'
        f'"parentInstanceId":{parent},"sourceInstanceId":{source},{_TAIL}'
    )


def _input(text: str | None) -> str:
    """The stored input as one JSON value; what .NET reads and Python does not is rewritten."""
    if text is None:
        return "null"
    if not any(mark in text for mark in ("'", "NaN", "Infinity")):
        return text
    try:
        return newtonsoft.dumps(newtonsoft.loads(text))
    except ValueError:
        return newtonsoft.quote(text)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the SDK said, read. `error`: the orchestrator failed; `output` and `custom_status` are JSON texts."""

    actions: list[list[Action]] = field(default_factory=lambda: [[]])
    schema: int = 2
    done: bool = False
    output: str | None = None
    custom_status: str | None = None
    error: str | None = None


def read(answered: TurnAnswered, max_actions: int) -> Answer:
    """Reads an answer as extension 3.19 does: of a failed turn only a labelled state that is not done counts."""
    if answered.lost is not None:
        return Answer(error=failures.unlabelled_error(answered.lost))
    state = answered.response
    error = None
    if answered.error is not None:
        state = failures.labelled_state(answered.error)
        if state is None or state.get("isDone"):
            return Answer(error=failures.unlabelled_error(answered.error.host_text))
        error = str(state.get("error") or "")
    if state is None or not isinstance(state.get("actions"), list):
        return Answer(error="The orchestrator's response is not a state of an orchestration.")
    return _checked(state, error, max_actions)


def _checked(state: dict[str, Any], error: str | None, max_actions: int) -> Answer:
    schema = int(state.get("schemaVersion", 0))
    actions = state["actions"]
    if schema and len(actions) != 1:
        return Answer(
            error=f"With schema version {schema} exactly one list of actions is expected, {len(actions)} were found."
        )
    if sum(leaf_count(action) for group in actions for action in group) > max_actions:
        return Answer(
            error=f"Maximum amount of orchestration actions ({max_actions:,}) has been reached. "
            "This value can be configured in host.json file as MaxOrchestrationActions."
        )
    custom = state.get("customStatus")
    custom_text = None if custom is None else newtonsoft.dumps(custom)
    if custom_text is not None and (size := len(custom_text.encode("utf-16-le")) // 1024) > _STATUS_LIMIT_KIB:
        return Answer(
            error=f"The UTF-16 size of the JSON-serialized payload must not exceed {_STATUS_LIMIT_KIB} KB. "
            f"The current payload size is {size} KB."
        )
    try:
        output = None if state.get("output") is None else newtonsoft.read_object(newtonsoft.json_text(state["output"]))
    except newtonsoft.JsonError as unreadable:
        return Answer(error=str(unreadable))
    return Answer(actions, schema, bool(state.get("isDone")), output, custom_text, error)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a turn leaves the instance. `output` counts when `status` is a final one; `error` is for the parent."""

    status: RuntimeStatus
    operations: list[Operation]
    output: str | None = None
    error: str | None = None
    custom_status: str | None = None
    next_input: str | None = None
    """Set when the instance continues as new: the input of the next execution, as stored."""
    carried: list[Event] = field(default_factory=list)


def judge(
    name: str, answer: Answer, stored: Sequence[Event], new: Sequence[Event], *, fresh: bool, functions: Functions
) -> Verdict:
    """Replays the answer over the history. `fresh`: the stored history is itself this turn's news."""
    try:
        outcome = replay(answer.actions, answer.schema, [*stored, *new], 0 if fresh else len(stored), functions)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as malformed:
        error = f"The orchestrator's response holds an action that cannot be read: {malformed!r}"
        return Verdict(RuntimeStatus.FAILED, [], failures.orchestrator_failed(name, error), error, answer.custom_status)
    custom = answer.custom_status
    if outcome.terminated is not None:
        return Verdict(
            RuntimeStatus.TERMINATED, outcome.operations, outcome.terminated.members["Input"], custom_status=custom
        )
    if outcome.broken is not None:
        return Verdict(RuntimeStatus.FAILED, outcome.operations, outcome.broken, outcome.broken, custom)
    if outcome.suspended:
        return Verdict(RuntimeStatus.SUSPENDED, outcome.operations, custom_status=custom)
    if not outcome.finished:
        return Verdict(RuntimeStatus.RUNNING, outcome.operations, custom_status=custom)
    return _ended(name, answer, outcome)


def _ended(name: str, answer: Answer, outcome: Outcome) -> Verdict:
    operations, custom = outcome.operations, answer.custom_status
    error = outcome.fault if outcome.fault is not None else answer.error
    if error is not None:
        return Verdict(RuntimeStatus.FAILED, operations, failures.orchestrator_failed(name, error), error, custom)
    if outcome.continue_as_new is not None:
        given = outcome.continue_as_new.get("input")
        text = (
            "null" if given is None else newtonsoft.quote(given) if isinstance(given, str) else newtonsoft.dumps(given)
        )
        return Verdict(
            RuntimeStatus.RUNNING, operations, custom_status=custom, next_input=text, carried=outcome.carried
        )
    if answer.done:
        return Verdict(RuntimeStatus.COMPLETED, operations, answer.output, custom_status=custom)
    return Verdict(RuntimeStatus.RUNNING, operations, custom_status=custom)


def last_pause(new: Sequence[Event]) -> Event | None:
    """The last suspend or resume among this turn's events: its reason shows as the instance's output."""
    return next((item for item in reversed(new) if item.type in {EventType.SUSPENDED, EventType.RESUMED}), None)
