"""An instance's status as values."""

from dataclasses import dataclass
from datetime import UTC, datetime

from durablegraph.host.hub.entities import scheduler_state
from durablegraph.host.hub.state import Entity, Instance, RuntimeStatus

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """What the status API tells of an instance; `input`, `output`, `custom_status` as stored: JSON or bare text."""

    instance_id: str
    name: str
    version: str | None
    runtime_status: RuntimeStatus
    input: str | None
    output: str | None
    custom_status: str | None
    created: datetime
    updated: datetime


def instance_status(instance: Instance) -> InstanceStatus:
    """Of an orchestration."""
    return InstanceStatus(
        instance_id=instance.id,
        name=instance.name,
        version=instance.version,
        runtime_status=instance.status,
        input=instance.input,
        output=instance.output,
        custom_status=instance.custom_status,
        created=instance.created,
        updated=instance.updated,
    )


def entity_status(entity: Entity) -> InstanceStatus:
    """Of an entity, which the API shows as an orchestration that never ends."""
    return InstanceStatus(
        instance_id=entity.id,
        name=entity.id,
        version=None,
        runtime_status=RuntimeStatus.RUNNING,
        input=scheduler_state(entity),
        output=None,
        custom_status='{"entityExists":true}' if entity.exists else "{}",
        created=entity.created or _NEVER,
        updated=entity.updated or _NEVER,
    )
