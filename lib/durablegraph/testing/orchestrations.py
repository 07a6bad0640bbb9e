"""An orchestration, or an entity, of any Durable app under test."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Self

from durablegraph.host.hub.client import encode
from durablegraph.host.hub.status import InstanceStatus
from durablegraph.testing.instances import json_or_text
from durablegraph.testing.living import LivingApp
from durablegraph.testing.loops import LoopThread
from durablegraph.testing.verdicts import WrongEnd
from durablegraph.testing.waiting import awaited, told

LONGEST = timedelta(days=30)


class Orchestration:
    """One orchestration instance."""

    def __init__(self, thread: LoopThread, living: LivingApp, instance_id: str) -> None:
        self._thread, self._living, self.id = thread, living, instance_id

    def __repr__(self) -> str:
        return f"<Orchestration {self.id}: {told(self._living.client, self._living.record, self.id)}>"

    # -- looking ---------------------------------------------------------------------------------------------------
    @property
    def status(self) -> str:
        """Durable's runtime status: Pending, Running, Suspended, Completed, Failed, Terminated."""
        return self._status().runtime_status.value

    @property
    def output(self) -> Any:
        """What it returned. Raises WrongEnd unless it has completed; the text says how it stands."""
        status = self._status()
        if status.runtime_status.value != "Completed":
            raise WrongEnd(f"Found no output. {told(self._living.client, self._living.record, self.id)}")
        return json_or_text(status.output)

    @property
    def error(self) -> str | None:
        """Why it failed or was terminated, None otherwise."""
        status = self._status()
        failed = status.runtime_status.value in {"Failed", "Terminated"}
        return str(json_or_text(status.output)) if failed else None

    @property
    def custom_status(self) -> Any:
        """The custom status."""
        return json_or_text(self._status().custom_status)

    @property
    def waits_for(self) -> list[str]:
        """A line for each thing it waits for: ``the event 'Approval'``, ``the time 2026-...``, ``the activity ...``."""
        return awaited(self._living.client, self._living.record, self.id)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The stored history of the present execution, event by event, as Durable stores it."""
        return [event.members for event in self._living.client.history(self.id)]

    # -- going on --------------------------------------------------------------------------------------------------
    def until_end(self, *, within: timedelta = LONGEST) -> Self:
        """Let time pass until it has ended, however it ends. Raises Stuck after `within` of the app's time.

        Time passes from one due timer to the next, so a wait of 72 hours costs nothing; use the app's `clock` to stop
        before a timer fires.
        """

        async def ended() -> bool:
            return self._status().runtime_status.ended

        return self._until(ended, within)

    def until_waiting_for(self, event: str, *, within: timedelta = LONGEST) -> Self:
        """Let time pass until it waits for this external event. Raises Stuck, also when it ends without."""

        async def waiting() -> bool:
            if self._status().runtime_status.ended:
                raise WrongEnd(
                    f"It ended and never waited for {event!r}. "
                    f"{told(self._living.client, self._living.record, self.id)}"
                )
            return f"the event {event!r}" in self.waits_for

        return self._until(waiting, within)

    def raise_event(self, name: str, value: Any = None) -> Self:
        """Raise an external event with any JSON, as Durable's webhook does, and carry on as far as it goes now.

        The SDK's own client encodes a value once more: an orchestrator that hears from `client.raise_event` gets a
        string with JSON in it. Give `json.dumps(value)` to see that.
        """
        return self._do(lambda: self._living.client.raise_event(self.id, name, json.dumps(value)))

    def terminate(self, reason: str = "terminated by the test") -> Self:
        """End it."""
        return self._do(lambda: self._living.client.terminate(self.id, reason))

    def suspend(self, reason: str = "suspended by the test") -> Self:
        """Hold it."""
        return self._do(lambda: self._living.client.suspend(self.id, reason))

    def resume(self, reason: str = "resumed by the test") -> Self:
        """Let it go on."""
        return self._do(lambda: self._living.client.resume(self.id, reason))

    # -- within ----------------------------------------------------------------------------------------------------
    def _status(self) -> InstanceStatus:
        status = self._living.client.status(self.id)
        if status is None:
            raise LookupError(f"There is no instance {self.id!r}: it was never started, or it was purged.")
        return status

    def _until(self, reached: Callable[[], Awaitable[bool]], within: timedelta) -> Self:
        async def waits_for() -> str:
            return told(self._living.client, self._living.record, self.id)

        self._thread.call(self._living.until(reached, within, waits_for))
        return self

    def _do(self, work: Callable[[], Awaitable[None]]) -> Self:
        async def act() -> None:
            await self._living.do(_true(work), known=lambda: True)
            await self._living.settle()

        self._thread.call(act())
        return self


class Entity:
    """One entity."""

    def __init__(self, thread: LoopThread, living: LivingApp, name: str, key: str) -> None:
        self._thread, self._living, self.name, self.key = thread, living, name, key

    @property
    def state(self) -> Any:
        """Its state, None when it has none."""
        found = self._living.client.entity(self.name, self.key)
        return None if found is None or found.state is None else json.loads(found.state)

    def signal(self, operation: str, value: Any = None) -> Self:
        """Send an operation with any JSON; it has run when this returns."""

        async def act() -> None:
            client = self._living.client
            await self._living.do(
                _true(lambda: client.signal_entity(self.name, self.key, operation, encode(value))),
                known=lambda: True,
            )
            await self._living.settle()

        self._thread.call(act())
        return self


def _true(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[bool]]:
    """`work` with something to show for it."""

    async def done() -> bool:
        await work()
        return True

    return done
