"""Runs the action list of an orchestrator against its history: what is new, and is it done?

The Python SDK answers each turn with every action since the execution began, without ids. The extension walks that
list, waits for each action before it looks at the next, and takes an id from a counter for whatever it schedules; the
SDK counts on its own side, and both must agree. This module does what the extension and DurableTask.Core do there,
including that an instance ends only when all it scheduled has ended. It is pure: values in, values out.
"""

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from durablegraph.host.hub.events import Event, EventType
from durablegraph.host.hub.functions import Functions
from durablegraph.host.hub.nodes import Children, Leaf, Node
from durablegraph.host.hub.wiretime import iso, parse

Action = dict[str, Any]
_CHANGED = "Was a change made to the orchestrator code after this instance had already started running?"


class ActionType(IntEnum):
    """The numbers that the SDK gives its actions."""

    CALL_ACTIVITY = 0
    CALL_ACTIVITY_WITH_RETRY = 1
    CALL_CHILD = 2
    CALL_CHILD_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    CREATE_TIMER = 5
    WAIT_FOR_EVENT = 6
    CALL_ENTITY = 7
    CALL_HTTP = 8
    SIGNAL_ENTITY = 9
    SCHEDULED_SIGNAL = 10
    WHEN_ANY = 11
    WHEN_ALL = 12


@dataclass(frozen=True, slots=True)
class Operation:
    """Something the engine schedules: `kind` is the history event that records it, `action` what the SDK asked for."""

    id: int
    kind: EventType
    name: str
    action: Action


@dataclass(slots=True)
class Outcome:
    """What one turn came to. `operations` are not in history yet, in the order of their ids."""

    operations: list[Operation] = field(default_factory=list)
    finished: bool = False
    """Every listed action is done and nothing that was scheduled is open."""
    continue_as_new: Action | None = None
    carried: list[Event] = field(default_factory=list)
    """External events of this turn that came after continue-as-new took effect."""
    suspended: bool = False
    terminated: Event | None = None
    broken: str | None = None
    """Set when history and action list do not fit together: the instance fails at once."""
    fault: str | None = None
    """Set when the extension itself refuses an action: the instance fails as if its code had raised this."""


class _NonDeterminism(Exception):  # noqa: N818 -- a finding, caught in this module
    pass


class _Refused(Exception):  # noqa: N818 -- a finding, caught in this module
    pass


class _Retry(Node):
    """One call with retries: attempt, timer, attempt, ... and one more timer after the last failed attempt."""

    __slots__ = ("action", "attempt", "replay", "waits")

    def __init__(self, replay: "_Replay", action: Action) -> None:
        super().__init__()
        self.replay, self.action, self.attempt, self.waits = replay, action, 1, False
        self._call()

    def _call(self) -> None:
        self.waits = False
        self.replay.call(self.action).attach(self)

    def child_done(self, child: Node) -> None:
        if self.waits:
            options = self.action["retryOptions"]
            if self.attempt >= options["maxNumberOfAttempts"]:
                self.finish(failed=True)
            else:
                self.attempt += 1
                self._call()
        elif child.failed:
            self.waits = True
            self.replay.timer({"fireAt": iso(self.replay.now + self._interval()), "isCanceled": False}).attach(self)
        else:
            self.finish()

    def _interval(self) -> timedelta:
        options = self.action["retryOptions"]
        first = float(options["firstRetryIntervalInMilliseconds"])
        wait = first * float(options.get("backoffCoefficient") or 1) ** (self.attempt - 1)
        if most := options.get("maxRetryIntervalInMilliseconds"):
            wait = min(wait, float(most))
        return timedelta(milliseconds=wait)


class _Replay:
    """One walk over the history. Nodes are built as the walk reaches them, so ids fall as they did in earlier turns."""

    def __init__(self, top: list[Action], registry: Functions) -> None:
        self.top, self.registry = top, registry
        self.now = datetime.min
        self.outcome = Outcome()
        self._position, self._current = -1, Node.finished()
        self._ended = False
        self._next_id = 0
        self._leaves: dict[int, Leaf] = {}
        self._unrecorded: dict[int, Operation] = {}
        self._postponed: dict[int, Operation] = {}
        self._open: set[int] = set()
        self._waiters: dict[str, list[Node]] = {}
        self._buffer: dict[str, deque[Event]] = {}
        self._held: list[tuple[Event, bool]] | None = None
        self._set_aside: dict[int, Operation] = {}
        self._entity_answers: dict[int, Node] = {}

    def run(self, events: Sequence[Event], first_new: int) -> Outcome:
        try:
            for index, item in enumerate(events):
                self._take(item, new=index >= first_new)
                if self.outcome.terminated:
                    break
        except _NonDeterminism as error:
            self.outcome.broken = f"Non-Deterministic workflow detected: {error}"
        except _Refused as error:
            self.outcome.fault = str(error)
            self._ended = True
        self.outcome.operations = [self._unrecorded[key] for key in sorted(self._unrecorded)]
        self.outcome.suspended = self._held is not None
        self.outcome.finished = self._ended and not self._open
        return self.outcome

    # -- history ---------------------------------------------------------------------------------------------------
    def _take(self, item: Event, *, new: bool) -> None:
        kind = item.members["EventType"]
        if kind == EventType.TURN_STARTED:
            self.now = max(self.now, parse(item.members["Timestamp"])) if self.now.tzinfo else parse(item.members["Timestamp"])
        elif self._held is not None and kind not in {EventType.RESUMED, EventType.EXECUTION_TERMINATED}:
            self._held.append((item, new))
        elif kind == EventType.EXECUTION_STARTED:
            self._advance()
        elif kind in {EventType.TASK_COMPLETED, EventType.CHILD_COMPLETED, EventType.TASK_FAILED, EventType.CHILD_FAILED}:
            self._complete(item.members["TaskScheduledId"], failed=kind in {EventType.TASK_FAILED, EventType.CHILD_FAILED})
        elif kind == EventType.TIMER_FIRED:
            self._complete(item.members["TimerId"], failed=False)
        elif kind in _RECORDS:
            self._record(item)
        elif kind == EventType.EVENT_RAISED:
            self._raise(item, new=new)
        elif kind == EventType.SUSPENDED:
            self._held = []
            self._postponed, self._unrecorded = self._unrecorded, {}
        elif kind == EventType.RESUMED:
            held, self._held = self._held or [], None
            self._unrecorded, self._postponed = {**self._postponed, **self._unrecorded}, {}
            for earlier, was_new in held:
                self._take(earlier, new=was_new)
        elif kind == EventType.EXECUTION_TERMINATED:
            self.outcome.terminated = item

    def _complete(self, task_id: int, *, failed: bool) -> None:
        self._open.discard(task_id)
        if leaf := self._leaves.get(task_id):
            leaf.finish(failed=failed)
            self._advance()

    def _raise(self, item: Event, *, new: bool) -> None:
        if new and self.outcome.continue_as_new is not None:
            self.outcome.carried.append(item)
            return
        name = item.members["Name"].lower()
        if waiters := self._waiters.get(name):
            waiters.pop().finish()
            self._advance()
        else:
            self._buffer.setdefault(name, deque()).append(item)

    def _record(self, item: Event) -> None:
        """Checks a recorded operation against the one that this replay has produced for its id."""
        task_id, kind, name = item.members["EventId"], item.type, item.members.get("Name")
        made = self._unrecorded.pop(task_id, None)
        what = _RECORDS[EventType(kind)]
        past = f"A previous execution of this orchestration scheduled {what.text(task_id, item)}"
        if made is None:
            raise _NonDeterminism(f"{past}, but the current replay execution hasn't (yet?) scheduled this task. {_CHANGED}")
        if made.kind != kind:
            self._unrecorded[task_id] = made
            produced = _RECORDS[made.kind].action
            raise _NonDeterminism(f"{past}, but the current orchestration replay instead produced a {produced} action with this sequence number. {_CHANGED}")
        if what.named and name.lower() != made.name.lower():
            self._unrecorded[task_id] = made
            raise _NonDeterminism(
                f"{past}, but the current orchestration replay instead scheduled {what.article} task named '{made.name}' with this sequence number.  {_CHANGED}"
            )
        if kind == EventType.EVENT_SENT and (waiting := self._entity_answers.pop(task_id, None)):
            self._wait(json.loads(item.members["Input"])["id"], waiting)
            self._advance()

    # -- the list --------------------------------------------------------------------------------------------------
    def _advance(self) -> None:
        while self._current.done and not self._ended:
            self._position += 1
            if self._position >= len(self.top):
                self._ended = True
            else:
                self._current = self._build(self.top[self._position])

    def _build(self, action: Action) -> Node:
        kind = _action_type(action)
        if kind in {ActionType.WHEN_ANY, ActionType.WHEN_ALL}:
            children = [self._build(item) for item in action["compoundActions"]]
            return Children(children, enough=1 if kind == ActionType.WHEN_ANY else len(children))
        if kind in {ActionType.CALL_ACTIVITY_WITH_RETRY, ActionType.CALL_CHILD_WITH_RETRY}:
            return _Retry(self, action) if self._known(action, kind) else Node.finished(failed=True)
        if kind in {ActionType.CALL_ACTIVITY, ActionType.CALL_CHILD, ActionType.CALL_HTTP}:
            return self.call(action)
        if kind == ActionType.CREATE_TIMER:
            return self.timer(action)
        if kind == ActionType.WAIT_FOR_EVENT:
            return self._wait(action["externalEventName"], Node())
        if kind == ActionType.CONTINUE_AS_NEW:
            self.outcome.continue_as_new = action
            return Node.finished()
        return self._entity(action, kind)

    def call(self, action: Action) -> Node:
        """An activity, a child or an HTTP call. One of an unregistered name fails unseen, without an id."""
        kind = _action_type(action)
        if kind == ActionType.CALL_HTTP:
            return self._schedule(EventType.TASK_SCHEDULED, "BuiltIn::HttpActivity", action)
        if not self._known(action, kind):
            return Node.finished(failed=True)
        child = kind in {ActionType.CALL_CHILD, ActionType.CALL_CHILD_WITH_RETRY}
        return self._schedule(EventType.CHILD_CREATED if child else EventType.TASK_SCHEDULED, action["functionName"], action)

    def _known(self, action: Action, kind: ActionType) -> bool:
        child = kind in {ActionType.CALL_CHILD, ActionType.CALL_CHILD_WITH_RETRY}
        return self.registry.function(action["functionName"], "orchestrator" if child else "activity") is not None

    def timer(self, action: Action) -> Node:
        """A cancelled timer keeps its id, is done at once and holds nothing back."""
        leaf = self._schedule(EventType.TIMER_CREATED, "", action)
        if action.get("isCanceled"):
            self._open.discard(leaf.id)
            leaf.finish()
        return leaf

    def _entity(self, action: Action, kind: ActionType) -> Node:
        name = action["instanceId"].split("@")[1].lower()
        if kind == ActionType.CALL_ENTITY:
            if self.registry.function(name, "entity") is None:
                return Node.finished(failed=True)
            leaf = self._schedule(EventType.EVENT_SENT, "op", action)
            answer = Node()
            self._entity_answers[leaf.id] = answer
            return answer
        if self.registry.function(name, "entity") is None:
            raise _Refused(self.registry.unknown(name, "entity"))
        self._schedule(EventType.EVENT_SENT, "op", action).finish()
        return Node.finished()

    def _schedule(self, kind: EventType, name: str, action: Action) -> Leaf:
        leaf = Leaf(self._next_id)
        self._next_id += 1
        self._leaves[leaf.id] = leaf
        self._unrecorded[leaf.id] = Operation(leaf.id, kind, name, action)
        if kind != EventType.EVENT_SENT:
            self._open.add(leaf.id)
        return leaf

    def _wait(self, name: str, node: Node) -> Node:
        key = name.lower()
        if early := self._buffer.get(key):
            early.popleft()
            node.finish()
        else:
            self._waiters.setdefault(key, []).append(node)
        return node


@dataclass(frozen=True, slots=True)
class _Record:
    """How DurableTask.Core speaks of one kind of scheduled operation when history and replay differ."""

    text: Callable[[int, Event], str]
    action: str
    article: str = ""
    named: bool = False


def _child_text(task_id: int, item: Event) -> str:
    members = item.members
    return (
        f"a sub-orchestration task with sequence ID {task_id} and name '{members['Name']}' "
        f"(version '{members['Version'] or ''}', instance ID '{members['InstanceId']}')"
    )


_RECORDS: dict[EventType, _Record] = {
    EventType.TASK_SCHEDULED: _Record(
        lambda task_id, item: f"an activity task with sequence number {task_id} named '{item.members['Name']}'",
        "ScheduleTaskOrchestratorAction",
        "an activity",
        named=True,
    ),
    EventType.CHILD_CREATED: _Record(_child_text, "CreateSubOrchestrationAction", "a sub-orchestration", named=True),
    EventType.TIMER_CREATED: _Record(
        lambda task_id, _: f"a timer task with sequence number {task_id} named", "CreateTimerOrchestratorAction"
    ),
    EventType.EVENT_SENT: _Record(
        lambda task_id, item: f"an event message with sequence number {task_id} for '{item.members['InstanceId']}'", "SendEventOrchestratorAction"
    ),
}


def _action_type(action: Action) -> ActionType:
    kind = action["actionType"]
    return ActionType(kind) if isinstance(kind, int) else ActionType[_BY_NAME[str(kind).lower()]]


_BY_NAME = {
    "callactivity": "CALL_ACTIVITY",
    "callactivitywithretry": "CALL_ACTIVITY_WITH_RETRY",
    "callsuborchestrator": "CALL_CHILD",
    "callsuborchestratorwithretry": "CALL_CHILD_WITH_RETRY",
    "continueasnew": "CONTINUE_AS_NEW",
    "createtimer": "CREATE_TIMER",
    "waitforexternalevent": "WAIT_FOR_EVENT",
    "callentity": "CALL_ENTITY",
    "callhttp": "CALL_HTTP",
    "signalentity": "SIGNAL_ENTITY",
    "scheduledsignalentity": "SCHEDULED_SIGNAL",
    "whenany": "WHEN_ANY",
    "whenall": "WHEN_ALL",
}


def replay(actions: list[list[Action]], schema: int, events: Sequence[Event], first_new: int, registry: Functions) -> Outcome:
    """Walks `events` (stored ones, then from index `first_new` this turn's) and `actions` together.

    Schema 1 and later give one list; schema 0 one list a yield, each of which is over with its first completion.
    """
    top = actions[0] if schema else [{"actionType": int(ActionType.WHEN_ANY), "compoundActions": group} for group in actions]
    return _Replay(top, registry).run(events, first_new)
