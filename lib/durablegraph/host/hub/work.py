"""One step of the machine in progress, and the delivery of messages, which every rule may need."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from durablegraph.host.hub import commands as c
from durablegraph.host.hub.changes import AppendHistory, Change, ClearHistory, PutEntity, PutMessage
from durablegraph.host.hub.events import Event, EventType
from durablegraph.host.hub.functions import Functions
from durablegraph.host.hub.options import DurableOptions, VersionFailure
from durablegraph.host.hub.state import Entity, HubState, Instance, Message
from durablegraph.host.hub.versions import accepts


@dataclass(frozen=True, slots=True)
class Work:
    """What a rule works on: the state, the moment, and the step that collects what follows."""

    state: HubState
    options: DurableOptions
    functions: Functions
    new_id: Callable[[], str]
    now: datetime
    step: c.Step

    def change(self, *changes: Change) -> None:
        """Notes what must be stored."""
        self.step.changes.extend(changes)

    def ask(self, *effects: c.Effect) -> None:
        """Notes what follows from the changes: calls, and what is told of them."""
        self.step.effects.extend(effects)

    def takes(self, instance: Instance) -> bool:
        """Whether this host runs instances of this version."""
        return accepts(self.options, instance.version)

    # -- messages --------------------------------------------------------------------------------------------------
    def tell(self, target: str, event: Event, execution_id: str | None = None) -> None:
        """Sends a message to an instance; lost when the instance is over, or Pending on a host that rejects it."""
        instance = self.state.instances.get(target)
        if instance is None or instance.status.ended or execution_id not in {None, instance.execution_id}:
            return
        if not instance.started and event.type != EventType.EXECUTION_STARTED and not self.takes(instance):
            return
        message = Message(self.state.next_seq(), target, execution_id, event)
        self.change(PutMessage(message))
        self.deliver(message)

    def deliver(self, message: Message) -> None:
        """Puts a stored message where its target will find it."""
        if (instance := self.state.instances.get(message.target)) is not None:
            instance.inbox.append(message)
            self.announce(instance)
            return
        entity = self.entity(message.target)
        entity.queue.append(message)
        self.announce_entity(entity)

    def deliver_at(self, message: Message, due: datetime) -> None:
        """Keeps a message until a moment."""
        self.change(PutMessage(message))
        heapq.heappush(self.state.timers, (due, message.seq, message))

    def announce(self, instance: Instance) -> None:
        """Tells the dispatcher, once, that a turn is due."""
        if instance.announced or instance.turn is not None or not (instance.inbox or instance.fresh):
            return
        if self.takes(instance) or self.options.version_failure is VersionFailure.FAIL:
            instance.announced = True
            self.ask(c.TurnDue(instance.id))

    def announce_entity(self, entity: Entity) -> None:
        """Tells the dispatcher, once, that a batch is due."""
        if entity.queue and entity.batch is None and not entity.announced:
            entity.announced = True
            self.ask(c.BatchDue(entity.id))

    def entity(self, entity_id: str) -> Entity:
        """An entity, made on first use."""
        if entity_id not in self.state.entities:
            self.state.entities[entity_id] = Entity(entity_id, created=self.now, updated=self.now)
            self.change(PutEntity(self.state.entities[entity_id]))
        return self.state.entities[entity_id]

    def append(self, instance: Instance, new: list[Event]) -> None:
        """Adds events to an instance's history."""
        history = instance.history if instance.history is not None else []
        self.change(AppendHistory(instance.id, len(history), tuple(item.text for item in new)))
        history.extend(new)
        instance.history = history

    def rewrite(self, instance: Instance, history: list[Event]) -> None:
        """Replaces an instance's history."""
        instance.history = history
        self.change(
            ClearHistory(instance.id),
            AppendHistory(instance.id, 0, tuple(item.text for item in history)),
        )
