"""Runs a graph durably in this process: the real loop and the real activity, the test in the engine's place.

Deliveries are at least once (`deliveries` times each), executions are cut as the ticket says, and an activity that
raises is delivered again, as Durable's retries do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from langgraph.cache.memory import InMemoryCache

from durablegraph.execution.advance import advance
from durablegraph.execution.fanning import run_chunk
from durablegraph.graphs.allowlist import allowed_types
from durablegraph.graphs.deadline import TimeBudget
from durablegraph.graphs.jsonable import jsonable
from durablegraph.model.messages import AdvanceCall, TasksCall, Ticket, decision_json
from durablegraph.model.names import ADVANCE_ACTIVITY, DOORBELL, TASKS_ACTIVITY
from durablegraph.model.records import RunRecord, RunRequest
from durablegraph.services import Kept, Services
from durablegraph.settings import Settings
from durablegraph.storage import lifecycle
from durablegraph.storage.checkpoints import BlobCheckpointSaver
from durablegraph.storage.checkpoints.serde import AppSerializer
from durablegraph.storage.items import ItemStore
from durablegraph.storage.memory import MemoryObjectStore
from tests.unit.engine.scripted import Played, Scheduled

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class OneGraph:
    """A registry of one graph."""

    def __init__(self, graph: Any, name: str = "g", checkpointer: Any = None) -> None:
        self.names = [name]
        self.loaded = SimpleNamespace(
            name=name,
            graph=graph,
            input_schema={"type": "object"},
            types=allowed_types(graph),
            checkpointer=checkpointer,
            store=graph.store,
            cache=None if isinstance(graph.cache, InMemoryCache) else graph.cache,
            fan_out=None,
        )

    async def load(self, name: str) -> Any:
        assert name in self.names
        return self.loaded


def services_for(
    graph: Any, *, objects: Any = None, saver: Any = None, checkpointer: Any = None, **settings: Any
) -> Services:
    """Services of one graph; `saver` is the app's, `checkpointer` the graph's own."""
    objects = objects or MemoryObjectStore()
    saver = saver or BlobCheckpointSaver(objects, serde=AppSerializer())
    graphs = OneGraph(graph, checkpointer=checkpointer)
    kept = Kept(saver, ItemStore(objects))
    return Services(
        Settings(**{"fan_out": "never", **settings}), objects, graphs, lambda: kept, time_budget=TimeBudget(270, 540)
    )


@dataclass
class Durably:
    """One run; `answer` gives the body of the resume event for what the run waits for."""

    services: Services
    cut: int = 3
    deliveries: int = 1
    retries: int = 3
    run_id: str = "run"
    thread_id: str = "thread"
    activities: int = 0
    now: Callable[[], datetime] = lambda: NOW
    decisions: list[dict[str, Any]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    async def start(self, graph_input: Any, **request: Any) -> None:
        wanted = RunRequest(
            run_id=self.run_id, graph="g", thread_id=self.thread_id, input=graph_input, created_at=NOW, **request
        )
        record = RunRecord(
            run_id=self.run_id,
            graph="g",
            thread_id=self.thread_id,
            created_at=NOW,
            updated_at=NOW,
            streams=bool(wanted.stream_mode),
        )
        assert await self.services.runs.create(wanted, record)
        await lifecycle.claim(self.services.runs, record, NOW)

    async def carry(self, answer: Callable[[Any], Any] | None = None) -> RunRecord:
        """Play the engine until the run has ended, or until it waits and there is no `answer`."""
        ticket: dict[str, Any] | None = Ticket(run_id=self.run_id, cut=self.cut).to_json()
        while ticket is not None:
            played = Played(Ticket.model_validate(ticket))
            while not played.ended:
                if played.waiting.kind == "activity":
                    played.play(await self._deliver(played.waiting))
                elif played.waiting.kind == "all":
                    played.play([await self._deliver(item) for item in played.waiting.among])
                elif answer is None:
                    return await self.record()
                else:
                    await self.give(answer(await self.wait()))
                    played.wake("resume", DOORBELL)
            ticket = played.context.next_ticket
        return await self.record()

    async def record(self) -> RunRecord:
        found = await self.services.runs.load(self.run_id)
        assert found is not None
        return found.value

    async def wait(self) -> Any:
        return await self.services.runs.wait(self.run_id, (await self.record()).wait)

    async def give(self, body: Any) -> list[str]:
        return await lifecycle.give(self.services.runs, await self.record(), await self.wait(), body, now=NOW)

    async def values(self) -> Any:
        return jsonable((await self.services.state("g", self.thread_id)).values)

    async def output(self) -> Any:
        return await self.services.runs.output(self.run_id)

    async def _deliver(self, activity: Scheduled) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for _ in range(self.deliveries):
            result = await self.attempt(activity.name, activity.call)
        if activity.name == ADVANCE_ACTIVITY:
            self.decisions.append(result)
        return result

    async def attempt(self, name: str, call: dict[str, Any]) -> dict[str, Any]:
        """One delivery of an activity, again while it raises."""
        for left in range(self.retries, -1, -1):
            self.activities += 1
            try:
                if name == TASKS_ACTIVITY:
                    return await run_chunk(self.services, TasksCall.model_validate(call), NOW)
                return decision_json(await advance(self.services, AdvanceCall.model_validate(call), self.now))
            except Exception as error:
                self.errors.append(error)
                if not left:
                    raise
        raise AssertionError
