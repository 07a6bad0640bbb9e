"""The task hub as a pure machine: `apply(now, command)` and `tick(now)` change the state and say what must follow.

No clock, no randomness, no I/O: time is an argument and identifiers come from a generator that is given. Whoever drives
it stores the changes of a step in one transaction before anything else is applied or acknowledged; then a crash at any
moment loses nothing and repeats at most what was in the worker's hands.
"""

import heapq
from collections.abc import Callable
from datetime import datetime
from typing import Any

from durablegraph.host.hub import commands as c
from durablegraph.host.hub import entity_desk, events, lifecycle, scheduling, turning
from durablegraph.host.hub.changes import DropActivity
from durablegraph.host.hub.functions import Functions
from durablegraph.host.hub.options import DurableOptions
from durablegraph.host.hub.state import ActivityTask, HubState
from durablegraph.host.hub.work import Work

_RULES: dict[type[Any], Callable[[Work, Any], None]] = {
    c.Start: lifecycle.start,
    c.Raise: lambda work, it: work.tell(it.instance_id, events.event_raised(work.now, it.name, it.input)),
    c.Terminate: lifecycle.terminate,
    c.Suspend: lambda work, it: work.tell(it.instance_id, events.suspended(work.now, it.reason)),
    c.Resume: lambda work, it: work.tell(it.instance_id, events.resumed(work.now, it.reason)),
    c.Rewind: lambda work, it: lifecycle.rewind(work, it.instance_id, it.reason),
    c.Purge: lambda work, it: lifecycle.purge(work, it.instance_id),
    c.Signal: entity_desk.signal,
    c.BeginTurn: lambda work, it: turning.begin(work, it.instance_id),
    c.TurnAnswered: turning.answered,
    c.TurnAbandoned: turning.abandoned,
    c.ActivityEnded: scheduling.activity_ended,
    c.BeginBatch: lambda work, it: entity_desk.begin_batch(work, it.entity_id),
    c.BatchEnded: entity_desk.batch_ended,
}


class Machine:
    """The state of one hub and the rules by which it moves."""

    def __init__(
        self, options: DurableOptions, functions: Functions, new_id: Callable[[], str], state: HubState | None = None
    ) -> None:
        """`new_id` gives a fresh UUID as text, with dashes, at each call."""
        self.options, self.functions, self.state = options, functions, state or HubState()
        self._new_id = new_id

    def apply(self, now: datetime, command: c.Command) -> c.Step:
        """Carry out one command. Commands about instances that are gone do nothing."""
        work = self._work(now)
        _RULES[type(command)](work, command)
        return work.step

    def tick(self, now: datetime) -> c.Step:
        """Deliver every timer that is due, in the order of their times."""
        work = self._work(now)
        while (due := self.state.next_due()) is not None and due <= now:
            work.deliver(heapq.heappop(self.state.timers)[2])
        return work.step

    def resume(self, now: datetime) -> c.Step:
        """After the state was read back: everything that waits for a turn, a batch or a call."""
        work = self._work(now)
        for instance in self.state.instances.values():
            work.announce(instance)
        for entity in self.state.entities.values():
            work.announce_entity(entity)
        for task in list(self.state.activities.values()):
            if self._is_awaited(task):
                work.ask(c.RunActivity(task))
            else:
                del self.state.activities[task.seq]
                work.change(DropActivity(task.seq))
        return work.step

    def _is_awaited(self, task: ActivityTask) -> bool:
        """Whether an activity's orchestration is still there to take its result."""
        instance = self.state.instances.get(task.instance_id)
        return instance is not None and instance.execution_id == task.execution_id and not instance.status.ended

    def _work(self, now: datetime) -> Work:
        return Work(self.state, self.options, self.functions, self._new_id, now, c.Step(now))
