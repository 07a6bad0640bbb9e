"""What can be asked of a hub: start, look, signal, end. Values in, values out; every call returns when it is stored."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from durablegraph.host.hub import commands as c
from durablegraph.host.hub import entities
from durablegraph.host.hub.dispatcher import Dispatcher
from durablegraph.host.hub.events import Event
from durablegraph.host.hub.listing import Page, Query, read_page, statuses_between
from durablegraph.host.hub.newtonsoft import quote
from durablegraph.host.hub.options import DurableOptions, Overridable
from durablegraph.host.hub.state import Entity, Instance, RuntimeStatus
from durablegraph.host.hub.status import InstanceStatus, entity_status, instance_status

_REPLACED = (
    "A new instance creation request has been issued for instance {id} which currently has status {status}. "
    "Since the dedupe statuses of the creation "
    "request, [] (all statuses reusable), do not contain the orchestration's status, the orchestration has "
    "been terminated and a new instance with the "
    "same instance ID will be created."
)


_NEVER = datetime.min.replace(tzinfo=UTC)


class InstanceNotFound(LookupError):  # noqa: N818 -- a fact that callers map to 404
    """No instance has this id."""


class WrongStatus(Exception):  # noqa: N818 -- a fact that callers map to 409, 410 or 412
    """The instance's status does not allow this; `status` says which it is."""

    def __init__(self, message: str, status: RuntimeStatus) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class EntityView:
    """An entity as the API shows it; `state` is JSON text."""

    name: str
    key: str
    state: str | None
    updated: datetime


def encode(value: Any) -> str:
    """A Python value as the SDK's client encodes inputs and events: a JSON string that holds JSON."""
    return quote(json.dumps(value))


class HubClient:
    """The client of one hub."""

    def __init__(self, dispatcher: Dispatcher, options: DurableOptions) -> None:
        """Made by the hub."""
        self._dispatcher, self._options = dispatcher, options

    # -- starting --------------------------------------------------------------------------------------------------
    async def start(
        self, name: str, input_text: str | None = None, *, instance_id: str | None = None, version: str | None = None
    ) -> str:
        """Start an orchestration; returns its id. `input_text` is JSON (see `encode`); `version` None: the host's.

        An ended instance of the same id is replaced; a live one raises WrongStatus unless the hub may override any,
        when it is terminated first. An unknown name is accepted: the instance then fails and says so.
        """
        chosen = instance_id or uuid.uuid4().hex
        return await self._start(
            c.Start(chosen, name, input_text, self._options.default_version if version is None else version)
        )

    async def _start(self, command: c.Start) -> str:
        existing = self._find(command.instance_id)
        if existing is not None and not existing.status.ended:
            if self._options.overridable is not Overridable.ANY:
                raise WrongStatus(
                    f"An Orchestration instance with the status {existing.status} already exists.", existing.status
                )
            reason = _REPLACED.format(id=command.instance_id, status=existing.status)
            await self._dispatcher.submit(c.Terminate(command.instance_id, reason))
            await self.wait(command.instance_id)
        generation = 0 if existing is None else existing.generation + 1
        await self._dispatcher.submit(
            c.Start(
                command.instance_id,
                command.name,
                command.input,
                command.version,
                command.source_id,
                generation,
                command.parent,
            )
        )
        return command.instance_id

    async def restart(self, instance_id: str, *, new_id: bool = True) -> str:
        """Start anew with the same name and input and the host's version; returns the new instance's id."""
        instance = self._get(instance_id)
        chosen = uuid.uuid4().hex if new_id else instance_id
        text = "null" if instance.input is None else instance.input
        return await self._start(
            c.Start(
                chosen, instance.name, text, self._options.default_version, source_id=instance_id if new_id else None
            )
        )

    # -- looking ---------------------------------------------------------------------------------------------------
    def status(self, instance_id: str) -> InstanceStatus | None:
        """An instance's status, None when no instance has this id. Entities are instances too."""
        if instance_id.startswith("@") and (entity := self._dispatcher.machine.state.entities.get(instance_id)):
            return entity_status(entity)
        instance = self._find(instance_id)
        return None if instance is None else instance_status(instance)

    def history(self, instance_id: str) -> list[Event]:
        """The stored history of an instance, empty when there is none."""
        if instance_id.startswith("@") and (entity := self._dispatcher.machine.state.entities.get(instance_id)):
            return entities.shown_history(entity)
        return self._dispatcher.journal.history(instance_id)

    def page(self, query: Query) -> Page:
        """Instances by filter, in the order of their ids."""
        return read_page(self._dispatcher.journal, self._dispatcher.machine.state.entities.values(), query)

    def entity(self, name: str, key: str) -> EntityView | None:
        """An entity's state; None when no operation ever reached it. A deleted one has the state ``null``."""
        entity = self._dispatcher.machine.state.entities.get(f"@{name.lower()}@{key}")
        return None if entity is None or entity.state is None else _view(entity)

    def entities(self, name: str = "") -> list[EntityView]:
        """Entities of a name (all without one), by id."""
        found = sorted(self._dispatcher.machine.state.entities.values(), key=lambda entity: entity.id)
        return [
            _view(entity) for entity in found if (not name or entity.name == name.lower()) and entity.state is not None
        ]

    async def wait(self, instance_id: str, *, timeout: float | None = None) -> InstanceStatus:  # noqa: ASYNC109 -- seconds of real time; callers without a loop of their own need it
        """Waits until an instance has ended. InstanceNotFound, TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                status = self.status(instance_id)
                if status is None:
                    raise InstanceNotFound(instance_id)
                if status.runtime_status.ended:
                    return status
                await self._dispatcher.changed(instance_id)

    # -- telling ---------------------------------------------------------------------------------------------------
    async def raise_event(self, instance_id: str, name: str, input_text: str | None) -> None:
        """Raise an external event; `input_text` is JSON. InstanceNotFound; WrongStatus when the instance has ended."""
        self._live(instance_id)
        await self._dispatcher.submit(c.Raise(instance_id, name, input_text))

    async def terminate(self, instance_id: str, reason: str | None = None) -> None:
        """End an instance. InstanceNotFound; WrongStatus when it has ended."""
        self._live(instance_id)
        await self._dispatcher.submit(c.Terminate(instance_id, reason))

    async def suspend(self, instance_id: str, reason: str | None = None) -> None:
        """Hold an instance. InstanceNotFound; WrongStatus when it has ended or is held already."""
        status = self._live(instance_id)
        if status is RuntimeStatus.SUSPENDED:
            raise WrongStatus(
                f"Cannot suspend the orchestration instance {instance_id} because instance is in the {status} state.",
                status,
            )
        await self._dispatcher.submit(c.Suspend(instance_id, reason))

    async def resume(self, instance_id: str, reason: str | None = None) -> None:
        """Let a held instance go on. InstanceNotFound; WrongStatus when it is not held."""
        status = self._live(instance_id)
        if status is not RuntimeStatus.SUSPENDED:
            raise WrongStatus(
                f"Cannot resume the orchestration instance {instance_id} because instance is in the {status} state.",
                status,
            )
        await self._dispatcher.submit(c.Resume(instance_id, reason))

    async def rewind(self, instance_id: str, reason: str | None = None) -> None:
        """Take back a failure: what failed is tried again. InstanceNotFound; WrongStatus unless it is Failed."""
        instance = self._get(instance_id)
        if instance.status is not RuntimeStatus.FAILED:
            found = f"This orchestration has status {instance.status}"
            raise WrongStatus(
                f'{found}, but only orchestrations in the "Failed" state can be rewound.', instance.status
            )
        await self._dispatcher.submit(c.Rewind(instance_id, reason))

    async def purge(self, instance_id: str) -> None:
        """Forget an ended instance. InstanceNotFound; WrongStatus while it lives."""
        instance = self._get(instance_id)
        if not instance.status.ended:
            found = f"this orchestration has status {instance.status}"
            raise WrongStatus(f"Only orchestrations in a terminal state can be purged, but {found}.", instance.status)
        await self._dispatcher.submit(c.Purge(instance_id))

    async def purge_between(self, start: datetime, end: datetime | None, statuses: Sequence[RuntimeStatus]) -> int:
        """Forget instances created in a range; returns how many.

        As on the real host, statuses that are not final do not filter: with such ones alone, or none, live instances
        go too.
        """
        ended = [status for status in statuses if status.ended]
        found = statuses_between(self._dispatcher.journal, start, end, ended)
        await asyncio.gather(*(self._dispatcher.submit(c.Purge(instance_id)) for instance_id in found))
        return len(found)

    async def signal_entity(self, name: str, key: str, operation: str, input_text: str | None = None) -> None:
        """Send an operation to an entity; `input_text` is JSON."""
        await self._dispatcher.submit(c.Signal(f"@{name.lower()}@{key}", operation, input_text))

    def unknown_entity(self, name: str) -> str | None:
        """The refusal of an entity name that is not registered, None when it is."""
        functions = self._dispatcher.machine.functions
        return None if functions.function(name, "entity") else functions.unknown(name, "entity")

    # -- finding ---------------------------------------------------------------------------------------------------
    def _find(self, instance_id: str) -> Instance | None:
        return self._dispatcher.machine.state.instances.get(instance_id) or self._dispatcher.journal.instance(
            instance_id
        )

    def _get(self, instance_id: str) -> Instance:
        instance = self._find(instance_id)
        if instance is None:
            raise InstanceNotFound(instance_id)
        return instance

    def _live(self, instance_id: str) -> RuntimeStatus:
        status = self._get(instance_id).status
        if status.ended:
            raise WrongStatus(f"The instance {instance_id} has ended: it is {status}.", status)
        return status


def _view(entity: Entity) -> EntityView:
    return EntityView(entity.name, entity.key, entity.state, entity.updated or _NEVER)
