"""Between the machine, its journal and a worker: the only part of the hub that waits.

Commands are collected and carried out together: one pass over the machine, the calls that follow from it, one commit,
then the acknowledgements. Calls of the worker run concurrently within the host's limits, and so during the commit; each
ends as another command, which is looked at after it. The Azure Storage provider does it in this order too (messages to
the queues, then the history): a call whose commit was lost is made again, as one that was in the worker's hands.
"""

import asyncio
import logging
import uuid
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, assert_never

from durablegraph.host.hub import commands as c
from durablegraph.host.hub.calls import Caller, Ongoing
from durablegraph.host.hub.clocks import Clock
from durablegraph.host.hub.functions import Functions
from durablegraph.host.hub.journal import Journal
from durablegraph.host.hub.machine import Machine
from durablegraph.host.hub.options import DurableOptions
from durablegraph.host.hub.state import ActivityTask, RuntimeStatus

_log = logging.getLogger("durablegraph.host.hub")
_HISTORIES_KEPT = 2000


class HubStopped(Exception):  # noqa: N818 -- a state, not an error
    """The hub is not running (any more)."""


class _Lane:
    """A queue with room for so many calls at once."""

    def __init__(self, room: int) -> None:
        self.room, self.busy = room, 0
        self.waiting: deque[Any] = deque()


class Dispatcher:
    """Drives one machine. Everything happens on one event loop."""

    def __init__(
        self, journal: Journal, options: DurableOptions, functions: Functions, caller: Caller, clock: Clock
    ) -> None:
        """Nothing runs before `start`."""
        self.machine = Machine(options, functions, lambda: str(uuid.uuid4()), journal.load())
        self.journal, self.clock, self.caller = journal, clock, caller
        self._turns, self._activities, self._batches = (
            _Lane(room) for room in (options.max_orchestrators, options.max_activities, options.max_entities)
        )
        self._inbox: list[tuple[c.Command, asyncio.Future[None] | None]] = []
        self._pumping = False
        self._calls: set[asyncio.Future[Any]] = set()
        self._timer: Callable[[], None] | None = None
        self._histories: OrderedDict[str, None] = OrderedDict()
        self._watchers: dict[str, list[asyncio.Future[None]]] = {}
        self._idle = asyncio.Event()
        self._running = self._draining = False
        self.failure: BaseException | None = None
        clock.attach(self.settled)

    # -- life ------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Take up what an earlier process left."""
        self._running = True
        step = self.machine.resume(self.clock.now())
        self.journal.commit(step.changes)
        self._note_due(step)
        self._begin_calls([step])
        self._pump()

    async def stop(self, drain_seconds: float = 0.0) -> None:
        """Begin nothing more, give calls in flight so long to end, stop.

        What did not end runs again after the next start.
        """
        self._draining = True
        if drain_seconds > 0 and self._calls:
            await asyncio.wait(self._calls, timeout=drain_seconds)
            if self._inbox:
                self._pump()
        self._running = False
        if self._timer is not None:
            self._timer()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        for waiting in [future for futures in self._watchers.values() for future in futures]:
            if not waiting.done():
                waiting.set_exception(HubStopped("the hub was stopped"))
        await self.caller.close()
        self.journal.close()

    async def settled(self) -> None:
        """Waits until nothing more can happen at the present moment."""
        while self._running and not self._is_idle():
            self._idle.clear()
            await self._idle.wait()

    def _is_idle(self) -> bool:
        lanes = (self._turns, self._activities, self._batches)
        return not self._inbox and not self._pumping and not any(lane.busy or lane.waiting for lane in lanes)

    # -- commands --------------------------------------------------------------------------------------------------
    async def submit(self, command: c.Command) -> None:
        """Carry out a command; returns when it is stored."""
        if not self._running:
            raise HubStopped("The hub is not running; start the host.")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._inbox.append((command, done))
        self._wake()
        await done

    def _wake(self) -> None:
        if not self._pumping and self._running:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """One group: apply all that has come, begin the calls, commit once, acknowledge."""
        self._pumping = False
        if not self._running:
            return
        group, self._inbox = self._inbox, []
        try:
            steps = self._apply_all([command for command, _ in group])
            self._begin_calls(steps)
            if changes := [change for step in steps for change in step.changes]:
                self.journal.commit(changes)
        except BaseException as error:  # noqa: BLE001 -- memory is ahead of the journal: nothing may be acknowledged now
            self._break(error, group)
            return
        for _, done in group:
            if done is not None and not done.done():
                done.set_result(None)
        changed = {effect.instance_id for step in steps for effect in step.effects if isinstance(effect, c.Changed)}
        self._wake_watchers(changed)
        self._forget_ended(changed)
        self._set_timer()
        if self._is_idle():
            self._idle.set()

    def _apply_all(self, commands: list[c.Command]) -> list[c.Step]:
        """The steps of due timers and of all commands; a turn begins with the very message that makes it due."""
        now = self.clock.now()
        steps = [self.machine.tick(now)]
        self._begin_due(steps[0], steps)
        for command in commands:
            self._load(command)
            steps.append(self.machine.apply(now, command))
            self._begin_due(steps[-1], steps)
        return steps

    def _begin_due(self, step: c.Step, steps: list[c.Step]) -> None:
        """Begins the turns and batches that are due while there is room; what needs no worker takes none."""
        self._note_due(step)
        for lane, begin, run in ((self._turns, c.BeginTurn, c.RunTurn), (self._batches, c.BeginBatch, c.RunBatch)):
            while lane.waiting and self._has_room(lane):
                command = begin(lane.waiting.popleft())
                self._load(command)
                begun = self.machine.apply(step.now, command)
                lane.busy += any(isinstance(effect, run) for effect in begun.effects)
                self._note_due(begun)
                steps.append(begun)

    def _note_due(self, step: c.Step) -> None:
        for effect in step.effects:
            if isinstance(effect, c.TurnDue):
                self._turns.waiting.append(effect.instance_id)
            elif isinstance(effect, c.BatchDue):
                self._batches.waiting.append(effect.entity_id)

    def _break(self, error: BaseException, group: list[tuple[c.Command, asyncio.Future[None] | None]]) -> None:
        _log.critical("The hub stops: its journal could not be written.", exc_info=error)
        self._running, self.failure = False, error
        for _, done in group:
            if done is not None and not done.done():
                done.set_exception(error)
        self._idle.set()

    def _load(self, command: c.Command) -> None:
        """Brings what a command needs from the journal into the machine's state."""
        if isinstance(command, c.Rewind):
            self._load_failed(command.instance_id)
        if isinstance(command, c.BeginTurn) and (instance := self.machine.state.instances.get(command.instance_id)):
            if instance.history is None:
                instance.history = self.journal.history(instance.id)
            self._histories[instance.id] = None
            self._histories.move_to_end(instance.id)

    def _load_failed(self, instance_id: str) -> None:
        """A failed instance and, since rewinding goes down, its children."""
        instance = self.machine.state.instances.get(instance_id) or self.journal.instance(instance_id)
        if instance is None or instance.status is not RuntimeStatus.FAILED:
            return
        instance.history = self.journal.history(instance_id)
        self.machine.state.instances[instance_id] = instance
        for item in instance.history:
            if (
                "InstanceId" in item.members
                and "Name" in item.members
                and not item.members["InstanceId"].startswith("@")
            ):
                self._load_failed(item.members["InstanceId"])

    def _forget_ended(self, changed: set[str]) -> None:
        """Ended instances leave memory, and histories that nobody needs soon."""
        instances = self.machine.state.instances
        for instance_id in changed:
            instance = instances.get(instance_id)
            if instance is not None and instance.status.ended and not instance.inbox:
                del instances[instance_id]
                self._histories.pop(instance_id, None)
        while len(self._histories) > _HISTORIES_KEPT:
            instance_id, _ = self._histories.popitem(last=False)
            if (instance := instances.get(instance_id)) and instance.turn is None:
                instance.history = None

    # -- effects ---------------------------------------------------------------------------------------------------
    def _begin_calls(self, steps: list[c.Step]) -> None:
        for effect in (effect for step in steps for effect in step.effects):
            match effect:
                case c.RunTurn():
                    self._follow(self.caller.turn(effect), self._turns)
                case c.RunBatch():
                    self._follow(self.caller.batch(effect), self._batches)
                case c.RunActivity(task):
                    self._activities.waiting.append(task)
                case c.TurnDue() | c.BatchDue() | c.Changed():
                    pass  # what is due began within the pass; a change is told after the commit
                case _:
                    assert_never(effect)
        self._fill_activities()

    def _wake_watchers(self, changed: set[str]) -> None:
        for instance_id in changed:
            for waiting in self._watchers.pop(instance_id, []):
                if not waiting.done():
                    waiting.set_result(None)

    def _has_room(self, lane: _Lane) -> bool:
        return not self._draining and lane.busy < lane.room

    def _fill_activities(self) -> None:
        while self._activities.waiting and self._has_room(self._activities):
            task: ActivityTask = self._activities.waiting.popleft()
            self._activities.busy += 1
            name = self.machine.functions.function(task.name, "activity")
            self._follow(self.caller.activity(task, name), self._activities)

    def _follow(self, call: Ongoing, lane: _Lane) -> None:
        answer, conclude = call
        self._calls.add(answer)
        answer.add_done_callback(partial(self._ended, conclude, lane))

    def _ended(
        self, conclude: Callable[[asyncio.Future[Any]], c.Command], lane: _Lane, answer: asyncio.Future[Any]
    ) -> None:
        self._calls.discard(answer)
        lane.busy -= 1
        if not self._running:
            return
        try:
            self._inbox.append((conclude(answer), None))
        finally:
            self._fill_activities()
            if self._calls or self._pumping:
                self._wake()
            else:
                self._pump()  # nothing else is under way that a round of the loop could bring

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer()
            self._timer = None
        if (due := self.machine.state.next_due()) is not None:
            self._timer = self.clock.call_at(due, self._wake)

    # -- waiting ---------------------------------------------------------------------------------------------------
    def changed(self, instance_id: str) -> Awaitable[None]:
        """Done at the next change of this instance's status."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.setdefault(instance_id, []).append(future)
        return future
