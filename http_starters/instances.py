"""The API's view of Durable instances, on the SDK's client."""

from typing import Any

import azure.durable_functions as df

from durablegraph.api.instances import InstanceView
from durablegraph.model.names import DOORBELL, RUN_ORCHESTRATOR

_LIVE = frozenset({"Pending", "Running", "ContinuedAsNew", "Suspended"})


class DurableInstances:
    """`durablegraph.api.instances.Instances` on azure-functions-durable's client."""

    def __init__(self, client: df.DurableOrchestrationClient) -> None:
        self._client = client

    async def start(self, run_id: str, ticket: dict[str, Any], *, new: bool = False) -> None:
        """Start the orchestration unless it is there already; a `new` one is not looked for."""
        if new or not await self._lives(run_id):
            await self._client.start_new(RUN_ORCHESTRATOR, run_id, ticket)

    async def view(self, run_id: str) -> InstanceView | None:
        """The instance; the SDK answers a falsy status for one that does not exist."""
        status = await self._client.get_status(run_id)
        if not status or status.runtime_status is None:
            return None
        return InstanceView(status.runtime_status.name, status.output)

    async def ring(self, run_id: str, event: str) -> None:
        """Raise the event; an instance that is gone, or goes at this very moment, cannot hear it and need not."""
        if not await self._lives(run_id):
            return
        try:
            await self._client.raise_event(run_id, event, DOORBELL)
        except Exception:  # the SDK raises plain Exception for 404 and 410
            if await self._lives(run_id):
                raise

    async def terminate(self, run_id: str, reason: str) -> None:
        """Terminate the instance if it lives."""
        if await self._lives(run_id):
            await self._client.terminate(run_id, reason)

    async def suspend(self, run_id: str, reason: str) -> None:
        """Suspend the instance; nothing happens to one that is suspended."""
        view = await self.view(run_id)
        if view is not None and view.runtime_status in _LIVE - {"Suspended"}:
            await self._client.suspend(run_id, reason)

    async def resume(self, run_id: str, reason: str) -> None:
        """Resume the instance if it is suspended."""
        view = await self.view(run_id)
        if view is not None and view.runtime_status == "Suspended":
            await self._client.resume(run_id, reason)

    async def purge(self, run_id: str) -> None:
        """Purge the history of an instance that has ended."""
        view = await self.view(run_id)
        if view is not None and view.runtime_status not in _LIVE:
            await self._client.purge_instance_history(run_id)

    async def _lives(self, run_id: str) -> bool:
        view = await self.view(run_id)
        return view is not None and view.runtime_status in _LIVE
