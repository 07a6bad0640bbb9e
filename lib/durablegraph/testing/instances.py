"""The API's view of Durable instances, on the hub's own client."""

import json
from typing import Any

from durablegraph.api.instances import InstanceView
from durablegraph.host.hub.client import HubClient, encode
from durablegraph.host.hub.state import RuntimeStatus
from durablegraph.model.names import DOORBELL, RUN_ORCHESTRATOR


class HubInstances:
    """`durablegraph.api.instances.Instances` without the SDK: as the template's, call for call."""

    def __init__(self, client: HubClient) -> None:
        self._client = client

    async def start(self, run_id: str, ticket: dict[str, Any], *, new: bool = False) -> None:
        """Start the orchestration unless it is there already; a `new` one is not looked for."""
        if new or not self._lives(run_id):
            await self._client.start(RUN_ORCHESTRATOR, encode(ticket), instance_id=run_id)

    async def view(self, run_id: str) -> InstanceView | None:
        """The instance."""
        status = self._client.status(run_id)
        if status is None:
            return None
        return InstanceView(status.runtime_status.value, json_or_text(status.output))

    async def ring(self, run_id: str, event: str) -> None:
        """Raise the event if somebody is there to hear it."""
        if self._lives(run_id):
            await self._client.raise_event(run_id, event, encode(DOORBELL))

    async def terminate(self, run_id: str, reason: str) -> None:
        """Terminate the instance if it lives."""
        if self._lives(run_id):
            await self._client.terminate(run_id, reason)

    async def suspend(self, run_id: str, reason: str) -> None:
        """Suspend the instance; nothing happens to one that is suspended."""
        if self._lives(run_id) and self._status(run_id) is not RuntimeStatus.SUSPENDED:
            await self._client.suspend(run_id, reason)

    async def resume(self, run_id: str, reason: str) -> None:
        """Resume the instance if it is suspended."""
        if self._status(run_id) is RuntimeStatus.SUSPENDED:
            await self._client.resume(run_id, reason)

    async def purge(self, run_id: str) -> None:
        """Purge an instance that has ended."""
        status = self._status(run_id)
        if status is not None and status.ended:
            await self._client.purge(run_id)

    def _status(self, run_id: str) -> RuntimeStatus | None:
        found = self._client.status(run_id)
        return None if found is None else found.runtime_status

    def _lives(self, run_id: str) -> bool:
        status = self._status(run_id)
        return status is not None and not status.ended


def json_or_text(text: str | None) -> Any:
    """What a stored text means: a JSON value, or the bare text of a reason."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
