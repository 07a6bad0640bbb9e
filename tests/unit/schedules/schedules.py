"""What the tests of schedules share: an app of one graph, schedules, ticks, what must hold of all that is stored."""

import operator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from durablegraph.api.firing import fire
from durablegraph.api.instances import InstanceView
from durablegraph.errors import NotFound
from durablegraph.model.records import RunRequest, ScheduleRecord
from durablegraph.services import Kept, Services
from durablegraph.settings import Settings
from durablegraph.storage.checkpoints import BlobCheckpointSaver
from durablegraph.storage.indexes import Index
from durablegraph.storage.indexes.kinds import SCHEDULES
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.runs import RunStore
from durablegraph.storage.schedules import ScheduleStore

NOW = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


class State(TypedDict, total=False):
    out: Annotated[list[Any], operator.add]


class Hub:
    """A task hub that remembers what it was asked to start; `failing` raises it instead."""

    def __init__(self, failing: Exception | None = None) -> None:
        self.started: list[str] = []
        self.failing = failing
        self.terminated: list[str] = []

    async def start(self, run_id: str, ticket: dict[str, Any], *, new: bool = False) -> None:
        if self.failing:
            raise self.failing
        self.started.append(run_id)

    async def view(self, run_id: str) -> InstanceView:
        return InstanceView("Running")

    async def terminate(self, run_id: str, reason: str) -> None:
        self.terminated.append(run_id)

    async def purge(self, run_id: str) -> None:
        pass


class Graphs:
    """A registry of one graph, which is opened anew in no test."""

    def __init__(self) -> None:
        builder = StateGraph(State)
        builder.add_node("node", lambda _: {"out": [1]})
        builder.add_edge(START, "node")
        builder.add_edge("node", END)
        schema = {"type": "object", "properties": {"out": {}}}
        members = {"name": "g", "version": "1", "input_schema": schema, "checkpointer": None, "fan_out": None}
        self.names = ("g",)
        self.loaded = SimpleNamespace(graph=builder.compile(), **members)

    async def load(self, name: str) -> Any:
        if name not in self.names:
            raise NotFound(f"There is no graph {name!r}", code="graph_not_found")
        return self.loaded


GRAPHS: Any = Graphs()


def services(objects: ObjectStore) -> Services:
    return Services(Settings(), objects, GRAPHS, lambda: Kept(BlobCheckpointSaver(objects)))


def record(schedule_id: str = "s", **members: Any) -> ScheduleRecord:
    given = {"cron": "0 * * * *", "next_run_at": at("2026-01-05T09:00:00Z"), "request": "first", **members}
    times = {"created_at": NOW, "updated_at": NOW, "metadata": {"team": "blue", "size": 3}}
    return ScheduleRecord(**{"schedule_id": schedule_id, "graph": "g", **times, **given})


async def create(objects: ObjectStore, schedule_id: str = "s", **members: Any) -> ScheduleRecord:
    schedule = record(schedule_id, **members)
    wanted = RunRequest(run_id="", graph="g", thread_id="", input={"out": [0]}, created_at=NOW)
    await ScheduleStore(objects).create(schedule, wanted)
    return schedule


async def tick(objects: ObjectStore, text: str, hub: Hub | None = None, **limits: Any) -> dict[str, int]:
    """One tick; its counts by what they are called."""
    counts = await fire(services(objects), hub or Hub(), at(text), **limits)  # type: ignore[arg-type] -- only what it asks
    return {str(outcome): count for outcome, count in counts.items()}


async def current(objects: ObjectStore, schedule_id: str = "s") -> ScheduleRecord:
    found = await ScheduleStore(objects).load(schedule_id)
    assert found is not None
    return found.value


async def runs(objects: ObjectStore, schedule_id: str = "s") -> list[str]:
    """The times that the schedule's runs were due, oldest first: all runs that are stored, whatever lists tell."""
    store, told = RunStore(objects), []
    for key in await keys(objects, "runs/"):
        if key.endswith("/record"):
            request = await store.request(key.split("/")[2])
            assert request is not None
            assert request.metadata["schedule_id"] == schedule_id
            told.append(request.config["configurable"]["scheduled_at"])
    return sorted(told)


async def keys(objects: ObjectStore, prefix: str) -> set[str]:
    return {entry.key async for entry in objects.list(prefix)}


async def assert_stored_is_what_records_ask_for(objects: ObjectStore) -> None:
    """Every entry, mark and request is there because a record wants it, and none is missing."""
    index, wanted, requests = Index(objects, SCHEDULES), set(), set()
    for key in await keys(objects, "schedules/"):
        if key.endswith("/record"):
            stored = await objects.get(key)
            assert stored is not None
            schedule = ScheduleRecord.model_validate_json(stored.data)
            due = ScheduleStore.due_of(schedule)
            wanted |= {*index.keys(schedule), index.status_key(schedule), *([due.key] if due else [])}
            requests |= {key, key.removesuffix("record") + f"request/{schedule.request}"}
    assert await keys(objects, "index/schedules/") == wanted
    assert await keys(objects, "schedules/") == requests
