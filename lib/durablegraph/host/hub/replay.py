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
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from durablegraph.host.hub.actions import Action, ActionType, action_type
from durablegraph.host.hub.determinism import NonDeterminism, Operation, check
from durablegraph.host.hub.events import Event, EventType
from durablegraph.host.hub.functions import Functions
from durablegraph.host.hub.nodes import Children, Leaf, Node
from durablegraph.host.hub.wiretime import iso, parse

# Plain numbers: these are compared once or more for each event of each turn.
_EVEN_WHILE_HELD = frozenset(map(int, (EventType.TURN_STARTED, EventType.RESUMED, EventType.EXECUTION_TERMINATED)))
_FAILURES = frozenset(map(int, (EventType.TASK_FAILED, EventType.CHILD_FAILED)))
_TASK_SCHEDULED, _CHILD_CREATED, _EVENT_SENT = EventType.TASK_SCHEDULED, EventType.CHILD_CREATED, EventType.EVENT_SENT
_WITH_RETRY = frozenset({int(ActionType.CALL_ACTIVITY_WITH_RETRY), int(ActionType.CALL_CHILD_WITH_RETRY)})
_CALLS = frozenset({int(ActionType.CALL_ACTIVITY), int(ActionType.CALL_CHILD), int(ActionType.CALL_HTTP)})
_GROUPS = frozenset({int(ActionType.WHEN_ANY), int(ActionType.WHEN_ALL)})
_OF_CHILDREN = frozenset({int(ActionType.CALL_CHILD), int(ActionType.CALL_CHILD_WITH_RETRY)})


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


def replay(
    actions: list[list[Action]], schema: int, events: Sequence[Event], first_new: int, functions: Functions
) -> Outcome:
    """Walks `events` (stored ones, then from index `first_new` this turn's) and `actions` together.

    Schema 1 and later give one list; schema 0 one list a yield, each of which is over with its first completion.
    """
    top = (
        actions[0]
        if schema
        else [{"actionType": int(ActionType.WHEN_ANY), "compoundActions": group} for group in actions]
    )
    return _Replay(top, functions).run(events, first_new)


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

    def child_done(self, *, failed: bool) -> None:
        """The attempt or the timer after it is over."""
        if self.waits:
            if self.attempt >= self.action["retryOptions"]["maxNumberOfAttempts"]:
                self.finish(failed=True)
            else:
                self.attempt += 1
                self._call()
        elif failed:
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

    def __init__(self, top: list[Action], functions: Functions) -> None:
        self.top, self.functions = top, functions
        self.outcome = Outcome()
        self._position, self._current = -1, Node.finished()
        self._ended = False
        self._leaves: list[Leaf] = []
        self._unrecorded: dict[int, Operation] = {}
        self._postponed: dict[int, Operation] = {}
        self._open: set[int] = set()
        self._waiters: dict[str, list[Node]] = {}
        self._buffer: dict[str, deque[Event]] = {}
        self._held: list[tuple[Event, bool]] | None = None
        self._entity_answers: dict[int, Node] = {}
        self._turns: list[str] = []

    @property
    def now(self) -> datetime:
        """The orchestrator's clock: the latest start of a turn so far."""
        return max(map(parse, self._turns), default=datetime.min.replace(tzinfo=UTC))

    def run(self, events: Sequence[Event], first_new: int) -> Outcome:
        """The whole walk."""
        try:
            for index, item in enumerate(events):
                self._take(item, new=index >= first_new)
                if self.outcome.terminated is not None:
                    break
        except NonDeterminism as error:
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
        if self._held is not None and kind not in _EVEN_WHILE_HELD:
            self._held.append((item, new))
        elif taker := self._takers.get(kind):
            taker(self, item, new)

    def _completed(self, item: Event, _: bool) -> None:  # noqa: FBT001 -- all takers have one shape
        self._finish(item.members["TaskScheduledId"], failed=item.members["EventType"] in _FAILURES)

    def _finish(self, task_id: int, *, failed: bool) -> None:
        self._open.discard(task_id)
        if 0 <= task_id < len(self._leaves):
            self._leaves[task_id].finish(failed=failed)
            self._advance()

    def _raised(self, item: Event, new: bool) -> None:  # noqa: FBT001 -- as above
        if new and self.outcome.continue_as_new is not None:
            self.outcome.carried.append(item)
            return
        name = item.members["Name"].lower()
        if waiters := self._waiters.get(name):
            waiters.pop().finish()
            self._advance()
        else:
            self._buffer.setdefault(name, deque()).append(item)

    def _suspended(self, _: Event, __: bool) -> None:  # noqa: FBT001 -- as above
        # What was produced but not recorded waits for the resume too, or it would be scheduled turn after turn.
        self._held = []
        self._postponed, self._unrecorded = self._unrecorded, {}

    def _resumed(self, _: Event, __: bool) -> None:  # noqa: FBT001 -- as above
        held, self._held = self._held or [], None
        self._unrecorded, self._postponed = {**self._postponed, **self._unrecorded}, {}
        for earlier, was_new in held:
            self._take(earlier, new=was_new)

    def _terminated(self, item: Event, _: bool) -> None:  # noqa: FBT001 -- as above
        self.outcome.terminated = item

    def _record(self, item: Event, _: bool) -> None:  # noqa: FBT001 -- as above
        """Takes an operation as recorded, after checking that this replay has produced it too."""
        task_id = item.members["EventId"]
        check(item, self._unrecorded.get(task_id))
        del self._unrecorded[task_id]
        if waiting := self._entity_answers.pop(task_id, None):
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
        kind = action_type(action)
        if kind in _CALLS:
            return self.call(action)
        if kind in _GROUPS:
            children = [self._build(item) for item in action["compoundActions"]]
            return Children(children, enough=1 if kind == ActionType.WHEN_ANY else len(children))
        if kind in _WITH_RETRY:
            return _Retry(self, action) if self._is_known(action, kind) else Node.finished(failed=True)
        if kind == ActionType.CREATE_TIMER:
            return self.timer(action)
        if kind == ActionType.WAIT_FOR_EVENT:
            return self._wait(action["externalEventName"], Node())
        return self._continue_as_new(action) if kind == ActionType.CONTINUE_AS_NEW else self._entity(action, kind)

    def _continue_as_new(self, action: Action) -> Node:
        self.outcome.continue_as_new = action
        return Node.finished()

    def call(self, action: Action) -> Node:
        """An activity, a child or an HTTP call. One of an unregistered name fails unseen, without an id."""
        kind = action_type(action)
        if kind == ActionType.CALL_HTTP:
            return self._schedule(EventType.TASK_SCHEDULED, "BuiltIn::HttpActivity", action)
        if not self._is_known(action, kind):
            return Node.finished(failed=True)
        recorded = _CHILD_CREATED if kind in _OF_CHILDREN else _TASK_SCHEDULED
        return self._schedule(recorded, action["functionName"], action)

    def _is_known(self, action: Action, kind: int) -> bool:
        return (
            self.functions.function(action["functionName"], "orchestrator" if kind in _OF_CHILDREN else "activity")
            is not None
        )

    def timer(self, action: Action) -> Node:
        """A cancelled timer keeps its id, is done at once and holds nothing back."""
        leaf = self._schedule(EventType.TIMER_CREATED, "", action)
        if action.get("isCanceled"):
            self._open.discard(leaf.id)
            leaf.finish()
        return leaf

    def _entity(self, action: Action, kind: int) -> Node:
        name = action["instanceId"].split("@")[1].lower()
        known = self.functions.function(name, "entity") is not None
        if kind == ActionType.CALL_ENTITY:
            if not known:
                return Node.finished(failed=True)
            answer = Node()
            self._entity_answers[self._schedule(EventType.EVENT_SENT, "op", action).id] = answer
            return answer
        if not known:
            raise _Refused(self.functions.unknown(name, "entity"))
        self._schedule(EventType.EVENT_SENT, "op", action).finish()
        return Node.finished()

    def _schedule(self, kind: EventType, name: str, action: Action) -> Leaf:
        leaf = Leaf(len(self._leaves))
        self._leaves.append(leaf)
        self._unrecorded[leaf.id] = Operation(leaf.id, kind, name, action)
        if kind is not _EVENT_SENT:
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

    _takers: ClassVar[dict[int, Callable[["_Replay", Event, bool], None]]] = {
        EventType.TURN_STARTED: lambda self, item, _: self._turns.append(item.members["Timestamp"]),
        EventType.EXECUTION_STARTED: lambda self, _, __: self._advance(),
        EventType.TASK_COMPLETED: _completed,
        EventType.CHILD_COMPLETED: _completed,
        EventType.TASK_FAILED: _completed,
        EventType.CHILD_FAILED: _completed,
        EventType.TIMER_FIRED: lambda self, item, _: self._finish(item.members["TimerId"], failed=False),
        EventType.TASK_SCHEDULED: _record,
        EventType.CHILD_CREATED: _record,
        EventType.TIMER_CREATED: _record,
        EventType.EVENT_SENT: _record,
        EventType.EVENT_RAISED: _raised,
        EventType.SUSPENDED: _suspended,
        EventType.RESUMED: _resumed,
        EventType.EXECUTION_TERMINATED: _terminated,
    }
