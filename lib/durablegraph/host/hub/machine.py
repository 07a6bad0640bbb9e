"""The task hub as a pure machine: `apply(now, command)` and `tick(now)` change the state and say what must follow.

No clock, no randomness, no I/O: time is an argument and identifiers come from a generator that is given. Whoever drives
it stores the changes of a step in one transaction before carrying out its effects; then a crash at any moment loses
nothing and repeats at most what was in the worker's hands.
"""

import heapq
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from durablegraph.host.hub import commands as c
from durablegraph.host.hub import entities, events, failures, newtonsoft, turns
from durablegraph.host.hub.actions import ActionType, action_type
from durablegraph.host.hub.determinism import Operation
from durablegraph.host.hub.events import Event, EventType
from durablegraph.host.hub.failures import Failure
from durablegraph.host.hub.functions import Functions
from durablegraph.host.hub.options import DurableOptions, VersionFailure
from durablegraph.host.hub.rewinding import rewound
from durablegraph.host.hub.state import ActivityTask, Entity, HubState, Instance, Message, Parent, RuntimeStatus, Turn
from durablegraph.host.hub.versions import accepts
from durablegraph.host.hub.wiretime import iso, parse

_ONE_SECOND = timedelta(seconds=1)


class Machine:
    """The state of one hub and the rules by which it moves."""

    def __init__(
        self, options: DurableOptions, functions: Functions, new_id: Callable[[], str], state: HubState | None = None
    ) -> None:
        """`new_id` gives a fresh UUID as text, with dashes, at each call."""
        self.options, self.functions, self.state = options, functions, state or HubState()
        self._new_id = new_id
        self._step = c.Step(datetime.min)

    # -- the two entrances -----------------------------------------------------------------------------------------
    def apply(self, now: datetime, command: c.Command) -> c.Step:
        """Carry out one command. Commands about instances that are gone do nothing."""
        with self._stepping(now) as step:
            match command:
                case c.Start():
                    self._start(command, now)
                case c.Raise():
                    self._tell(command.instance_id, events.event_raised(now, command.name, command.input))
                case c.Terminate():
                    self._terminate(command, now)
                case c.Suspend():
                    self._tell(command.instance_id, events.suspended(now, command.reason))
                case c.Resume():
                    self._tell(command.instance_id, events.resumed(now, command.reason))
                case c.Rewind():
                    self._rewind(command.instance_id, command.reason, now)
                case c.Purge():
                    self.state.instances.pop(command.instance_id, None)
                    step.changes.append(c.DropInstance(command.instance_id))
                    step.effects.append(c.Changed(command.instance_id))
                case c.Signal():
                    self._signal(command, now)
                case c.BeginTurn():
                    self._begin_turn(command.instance_id, now)
                case c.TurnAnswered():
                    self._turn_answered(command, now)
                case c.TurnAbandoned():
                    self._turn_abandoned(command)
                case c.ActivityEnded():
                    self._activity_ended(command, now)
                case c.BeginBatch():
                    self._begin_batch(command.entity_id)
                case c.BatchEnded():
                    self._batch_ended(command, now)
        return step

    def tick(self, now: datetime) -> c.Step:
        """Deliver every timer that is due, in the order of their times."""
        with self._stepping(now) as step:
            while (due := self.state.next_due()) is not None and due <= now:
                message = heapq.heappop(self.state.timers)[2]
                self._enqueue(message)
        return step

    def resume(self, now: datetime) -> c.Step:
        """After the state was read back: everything that waits for a turn, a batch or a call."""
        with self._stepping(now) as step:
            for instance in self.state.instances.values():
                self._announce(instance)
            for entity in self.state.entities.values():
                self._announce_entity(entity)
            step.effects.extend(c.RunActivity(task) for task in self.state.activities.values())
        return step

    @contextmanager
    def _stepping(self, now: datetime) -> Iterator[c.Step]:
        self._step = c.Step(now)
        yield self._step

    # -- messages --------------------------------------------------------------------------------------------------
    def _tell(self, target: str, event: Event, execution_id: str | None = None) -> None:
        """Sends a message to an instance; lost when the instance is over, or Pending on a host that rejects it."""
        instance = self.state.instances.get(target)
        if instance is None or instance.status.ended or execution_id not in {None, instance.execution_id}:
            return
        if not instance.started and event.type != EventType.EXECUTION_STARTED and not self._takes(instance):
            return
        message = Message(self.state.next_seq(), target, execution_id, event)
        self._step.changes.append(c.PutMessage(message))
        self._enqueue(message)

    def _enqueue(self, message: Message) -> None:
        if (instance := self.state.instances.get(message.target)) is not None:
            instance.inbox.append(message)
            self._announce(instance)
            return
        entity = self._entity(message.target)
        entity.queue.append(message)
        self._announce_entity(entity)

    def _later(self, message: Message, due: datetime) -> None:
        self._step.changes.append(c.PutMessage(message))
        heapq.heappush(self.state.timers, (due, message.seq, message))

    def _announce(self, instance: Instance) -> None:
        if instance.announced or instance.turn is not None or not (instance.inbox or instance.fresh):
            return
        if self._takes(instance) or self.options.version_failure is VersionFailure.FAIL:
            instance.announced = True
            self._step.effects.append(c.TurnDue(instance.id))

    def _takes(self, instance: Instance) -> bool:
        return accepts(self.options, instance.version)

    # -- instances -------------------------------------------------------------------------------------------------
    def _start(self, command: c.Start, now: datetime) -> None:
        execution_id = self._new_id()
        parent = command.parent
        instance = Instance(
            id=command.instance_id,
            name=command.name,
            version=command.version,
            execution_id=execution_id if parent is None else execution_id.replace("-", ""),
            status=RuntimeStatus.PENDING,
            input=command.input,
            created=now,
            updated=now,
            parent=parent,
            source_id=command.source_id,
            generation=command.generation,
            history=[],
        )
        self.state.instances[instance.id] = instance
        self._step.changes += [c.DropMessagesOf(instance.id), c.ClearHistory(instance.id), c.PutInstance(instance)]
        self._tell(
            instance.id, self._execution_started(instance, now, generation=None if parent else command.generation)
        )
        self._step.effects.append(c.Changed(instance.id))

    def _execution_started(self, instance: Instance, now: datetime, generation: int | None) -> Event:
        parent = None
        if instance.parent is not None:
            above = self.state.instances.get(instance.parent.instance_id)
            parent = {
                "Name": above.name if above else None,
                "OrchestrationInstance": {
                    "InstanceId": instance.parent.instance_id,
                    "ExecutionId": instance.parent.execution_id,
                },
                "TaskScheduleId": instance.parent.task_id,
                "Version": above.version if above else None,
            }
        tags = {"MS_DurableFunctions_SourceInstanceId": instance.source_id} if instance.source_id else None
        return events.execution_started(
            now,
            instance_id=instance.id,
            execution_id=instance.execution_id,
            name=instance.name,
            version=instance.version,
            input_text=instance.input,
            parent=parent,
            tags=tags,
            generation=generation,
        )

    def _terminate(self, command: c.Terminate, now: datetime) -> None:
        """Terminating a Pending instance that this host rejects only marks its row: it runs once a fitting host comes."""
        instance = self.state.instances.get(command.instance_id)
        if instance is None or instance.status.ended:
            return
        if instance.started or self._takes(instance):
            self._tell(instance.id, events.execution_terminated(now, command.reason))
            return
        instance.status, instance.output, instance.updated = RuntimeStatus.TERMINATED, command.reason, now
        self._step.changes.append(c.TouchInstance(instance))
        self._step.effects.append(c.Changed(instance.id))

    def _rewind(self, instance_id: str, reason: str | None, now: datetime) -> None:
        instance = self.state.instances.get(instance_id)
        if instance is None or instance.status is not RuntimeStatus.FAILED or instance.history is None:
            return
        history, children = rewound(instance.history)
        instance.history, instance.status, instance.updated = history, RuntimeStatus.RUNNING, now
        self._step.changes += [
            c.TouchInstance(instance),
            c.ClearHistory(instance_id),
            c.AppendHistory(instance_id, 0, tuple(item.text for item in history)),
        ]
        self._step.effects.append(c.Changed(instance_id))
        failed = [
            child
            for child in children
            if (known := self.state.instances.get(child)) and known.status is RuntimeStatus.FAILED
        ]
        for child in failed:
            self._rewind(child, reason, now)
        if not failed:
            self._tell(instance_id, events.generic(now, reason), instance.execution_id)

    # -- turns -----------------------------------------------------------------------------------------------------
    def _begin_turn(self, instance_id: str, now: datetime) -> None:
        instance = self.state.instances.get(instance_id)
        if instance is None or instance.turn is not None or not instance.announced:
            return
        instance.announced = False
        if instance.history is None:
            raise AssertionError(f"the history of {instance_id} is not loaded; load it before its turn")
        messages = [] if instance.fresh else list(instance.inbox)
        if not instance.fresh:
            instance.inbox.clear()
        self.state.last_token += 1
        news = [] if instance.fresh else [events.turn_started(now), *(message.event for message in messages)]
        instance.turn = Turn(self.state.last_token, messages, news)
        if not self._takes(instance):
            self._fail_version(instance, instance.turn, now)
        elif (name := self.functions.function(instance.name, "orchestrator")) is None:
            error = self.functions.unknown(instance.name, "orchestrator")
            self._conclude(instance, instance.turn, turns.Answer(error=error), now)
        else:
            self._step.effects.append(c.RunTurn(instance_id, instance.turn.token, name, turns.request(instance, news)))

    def _turn_answered(self, command: c.TurnAnswered, now: datetime) -> None:
        instance = self.state.instances.get(command.instance_id)
        if instance is not None and instance.turn is not None and instance.turn.token == command.token:
            self._conclude(instance, instance.turn, turns.read(command, self.options.max_actions), now)

    def _turn_abandoned(self, command: c.TurnAbandoned) -> None:
        instance = self.state.instances.get(command.instance_id)
        if instance is None or instance.turn is None or instance.turn.token != command.token:
            return
        instance.inbox.extendleft(reversed(instance.turn.messages))
        instance.turn = None
        self._announce(instance)

    def _conclude(self, instance: Instance, turn: Turn, answer: turns.Answer, now: datetime) -> None:
        stored = instance.history or []
        verdict = turns.judge(
            instance.name, answer, stored, turn.events, fresh=instance.fresh, functions=self.functions
        )
        instance.turn, instance.updated = None, now
        if not (instance.fresh and verdict.custom_status is None):
            instance.custom_status = (
                verdict.custom_status
            )  # the first turn of a continued execution leaves the last one's standing
        self._step.changes.append(c.DropMessages(tuple(message.seq for message in turn.messages)))
        if instance.status is RuntimeStatus.TERMINATED:
            instance.status = RuntimeStatus.RUNNING  # its row had been marked while another host rejected it
        if (pause := turns.last_pause(turn.events)) is not None:
            instance.output = pause.members["Reason"]
        if verdict.next_input is not None:
            self._continue_as_new(instance, verdict, now)
            return
        fresh, instance.fresh = instance.fresh, False
        new = [item.played() if item.type != EventType.TURN_STARTED else item for item in turn.events]
        if fresh:
            self._rewrite_played(instance)
        for operation in verdict.operations:
            new.append(self._schedule(instance, operation, now))
        if verdict.status.ended:
            new.append(
                events.execution_completed(now, _next_id([*stored, *new]), verdict.status.number, verdict.output)
            )
        if new or not fresh:
            new.append(events.turn_completed(now))
        self._append(instance, new)
        before, instance.status = instance.status, verdict.status
        if verdict.status.ended:
            self._end(instance, verdict.output, verdict.error, now)
        else:
            self._announce(instance)
        if before is not verdict.status:
            self._step.effects.append(c.Changed(instance.id))
        self._step.changes.append(c.TouchInstance(instance))

    def _append(self, instance: Instance, new: list[Event]) -> None:
        history = instance.history if instance.history is not None else []
        self._step.changes.append(c.AppendHistory(instance.id, len(history), tuple(item.text for item in new)))
        history.extend(new)
        instance.history = history

    def _rewrite_played(self, instance: Instance) -> None:
        """The first events of a continued execution have been shown: from now on they count as played."""
        history = [item if item.type == EventType.TURN_STARTED else item.played() for item in instance.history or []]
        instance.history = history
        self._step.changes += [
            c.ClearHistory(instance.id),
            c.AppendHistory(instance.id, 0, tuple(item.text for item in history)),
        ]

    def _continue_as_new(self, instance: Instance, verdict: turns.Verdict, now: datetime) -> None:
        """The next execution begins in the same work item: its first turn shows a history that ends with a turn's end."""
        old = instance.execution_id
        instance.execution_id, instance.input = self._new_id().replace("-", ""), verdict.next_input
        instance.created, instance.status, instance.fresh = now, RuntimeStatus.RUNNING, True
        kept = [message for message in instance.inbox if message.execution_id is None]
        instance.inbox.clear()
        instance.inbox.extend(kept)
        begun = self._execution_started(instance, now, generation=None)
        instance.history = []
        self._step.changes += [c.DropMessagesOf(instance.id, old), c.PutInstance(instance), c.ClearHistory(instance.id)]
        self._append(
            instance,
            [events.turn_started(now), begun, *(item.played() for item in verdict.carried), events.turn_completed(now)],
        )
        self._step.effects.append(c.Changed(instance.id))
        self._announce(instance)

    def _fail_version(self, instance: Instance, turn: Turn, now: datetime) -> None:
        """The engine fails the instance without a turn; its messages stay in history as not yet played."""
        details = failures.version_mismatch_details()
        completed = events.execution_completed(
            now, len(instance.history or []), RuntimeStatus.FAILED.number, None, details
        )
        instance.turn, instance.status, instance.updated = None, RuntimeStatus.FAILED, now
        self._step.changes.append(c.DropMessages(tuple(message.seq for message in turn.messages)))
        self._append(instance, [*turn.events, completed, events.turn_completed(now)])
        instance.output = f"VersionMismatch: {failures.VERSION_MISMATCH}"
        self._report(instance, events.child_failed, Failure(None, None, details), now)
        self._settle(instance)

    def _end(self, instance: Instance, output: str | None, error: str | None, now: datetime) -> None:
        instance.output = output
        if instance.status is RuntimeStatus.COMPLETED:
            self._report(instance, events.child_completed, output, now)
        else:
            self._report(instance, events.child_failed, failures.child_failed(output or "", error), now)
        self._settle(instance)

    def _report(self, instance: Instance, make: Callable[..., Event], value: object, now: datetime) -> None:
        if instance.parent is not None:
            told = make(now, instance.parent.task_id, value)
            self._tell(instance.parent.instance_id, told, instance.parent.execution_id)

    def _settle(self, instance: Instance) -> None:
        instance.inbox.clear()
        instance.fresh = False
        self._step.changes += [c.DropMessagesOf(instance.id), c.TouchInstance(instance)]
        self._step.effects.append(c.Changed(instance.id))

    # -- what turns schedule -----------------------------------------------------------------------------------------
    def _schedule(self, instance: Instance, operation: Operation, now: datetime) -> Event:
        match operation.kind:
            case EventType.TASK_SCHEDULED:
                return self._schedule_activity(instance, operation, now)
            case EventType.CHILD_CREATED:
                return self._schedule_child(instance, operation, now)
            case EventType.TIMER_CREATED:
                return self._schedule_timer(instance, operation, now)
            case _:
                return self._send_to_entity(instance, operation, now)

    def _schedule_activity(self, instance: Instance, operation: Operation, now: datetime) -> Event:
        action = operation.action
        given = (
            newtonsoft.dumps(action["httpRequest"]) if "httpRequest" in action else str(action.get("input") or "null")
        )
        task = ActivityTask(
            self.state.next_seq(), instance.id, instance.execution_id, operation.id, operation.name, given
        )
        self.state.activities[task.seq] = task
        self._step.changes.append(c.PutActivity(task))
        self._step.effects.append(c.RunActivity(task))
        stored = f"[{newtonsoft.quote(given)}]" if self.options.store_inputs else None
        return events.task_scheduled(now, operation.id, operation.name, stored)

    def _schedule_child(self, instance: Instance, operation: Operation, now: datetime) -> Event:
        action = operation.action
        child_id = action.get("instanceId") or f"{instance.execution_id}:{operation.id}"
        given = action.get("input")
        text = None if given is None else newtonsoft.quote(given)
        version = action.get("version")
        version = self.options.default_version if version is None else version
        parent = Parent(instance.id, instance.execution_id, operation.id)
        self._start(c.Start(child_id, operation.name, text, version, parent=parent), now)
        return events.child_created(
            now, operation.id, operation.name, version, child_id, text if self.options.store_inputs else None
        )

    def _schedule_timer(self, instance: Instance, operation: Operation, now: datetime) -> Event:
        fire_at = parse(operation.action["fireAt"])
        due = fire_at
        if self.options.timers_fire_early:
            due = now + max((fire_at - now) // _ONE_SECOND, 0) * _ONE_SECOND
        fired = events.timer_fired(now, operation.id, iso(fire_at))
        self._later(Message(self.state.next_seq(), instance.id, instance.execution_id, fired, due), due)
        return events.timer_created(now, operation.id, iso(fire_at))

    # -- entities --------------------------------------------------------------------------------------------------
    def _send_to_entity(self, instance: Instance, operation: Operation, now: datetime) -> Event:
        action = operation.action
        signal = action_type(action) != ActionType.CALL_ENTITY
        text = entities.request_text(
            operation=action["operation"],
            input_text=newtonsoft.quote(action["input"]) if action.get("input") is not None else None,
            request_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{instance.execution_id}:{operation.id}")),
            now=now,
            signal=signal,
            sender=entities.Sender(instance.id, instance.execution_id, now),
        )
        self._post(action["instanceId"], text, now, parse(action["fireAt"]) if action.get("fireAt") else None)
        return events.event_sent(now, operation.id, action["instanceId"], operation.name, text)

    def _signal(self, command: c.Signal, now: datetime) -> None:
        text = entities.request_text(
            operation=command.operation,
            input_text=command.input,
            request_id=self._new_id(),
            now=now,
            signal=True,
            sender=None,
        )
        self._post(command.entity_id, text, now, None)

    def _post(self, entity_id: str, text: str, now: datetime, due: datetime | None) -> None:
        self._entity(entity_id)
        message = Message(self.state.next_seq(), entity_id, None, events.event_raised(now, "op", text), due)
        if due is not None:
            self._later(message, due)
            return
        self._step.changes.append(c.PutMessage(message))
        self._enqueue(message)

    def _entity(self, entity_id: str) -> Entity:
        if entity_id not in self.state.entities:
            self.state.entities[entity_id] = Entity(entity_id, created=self._step.now, updated=self._step.now)
            self._step.changes.append(c.PutEntity(self.state.entities[entity_id]))
        return self.state.entities[entity_id]

    def _announce_entity(self, entity: Entity) -> None:
        if entity.queue and entity.batch is None and not entity.announced:
            entity.announced = True
            self._step.effects.append(c.BatchDue(entity.id))

    def _begin_batch(self, entity_id: str) -> None:
        entity = self.state.entities.get(entity_id)
        if entity is None or entity.batch is not None or not entity.queue:
            return
        entity.announced = False
        entity.batch = [entity.queue.popleft() for _ in range(min(len(entity.queue), self.options.max_entity_batch))]
        name = self.functions.function(entity.name, "entity")
        if name is None:
            self._batch_ended(
                c.BatchEnded(entity_id, error=self.functions.unknown(entity.name, "entity")), self._step.now
            )
        else:
            self._step.effects.append(c.RunBatch(entity_id, name, entities.batch_request(entity, entity.batch)))

    def _batch_ended(self, command: c.BatchEnded, now: datetime) -> None:
        entity = self.state.entities.get(command.entity_id)
        if entity is None or entity.batch is None:
            return
        batch, entity.batch = entity.batch, None
        if command.response is not None:
            entity.exists, entity.state = bool(command.response["entityExists"]), command.response["entityState"]
            results = [(str(item["result"]), bool(item["isError"])) for item in command.response["results"]]
        else:
            results = [(newtonsoft.quote(command.error or ""), True)] * len(batch)
        entity.updated = now
        for message, (result, failed) in zip(batch, results, strict=False):
            self._answer_operation(entity, message, entities.response_text(result, failed=failed), now)
        self._step.changes += [c.DropMessages(tuple(message.seq for message in batch)), c.PutEntity(entity)]
        self._announce_entity(entity)

    def _answer_operation(self, entity: Entity, message: Message, text: str, now: datetime) -> None:
        asked = entities.opened(message)
        if "parent" in asked:
            entity.senders[asked["parent"]] = {"Last": asked["Timestamp"], "ExecutionId": asked["parentExecution"]}
        if not asked.get("signal"):
            self._tell(asked["parent"], events.event_raised(now, asked["id"], text))

    # -- activities ------------------------------------------------------------------------------------------------
    def _activity_ended(self, command: c.ActivityEnded, now: datetime) -> None:
        task = self.state.activities.pop(command.seq, None)
        if task is None:
            return
        self._step.changes.append(c.DropActivity(command.seq))
        if command.failure is not None:
            told = events.task_failed(now, task.task_id, command.failure)
        else:
            told = self._activity_result(task, command.result or "null", now)
        self._tell(task.instance_id, told, task.execution_id)

    def _activity_result(self, task: ActivityTask, text: str, now: datetime) -> Event:
        try:
            return events.task_completed(now, task.task_id, newtonsoft.read_object(text))
        except newtonsoft.JsonError as error:
            return events.task_failed(
                now, task.task_id, failures.activity_result_unreadable(task.name, str(error), error.kind)
            )


def _next_id(history: Sequence[Event]) -> int:
    """The number after those of the operations in a history."""
    return max((item.members["EventId"] for item in history), default=-1) + 1
