"""A model of what an app asks of Azure, and of how much a task hub can do: docs/explanation/planning.md.

The numbers that it starts from are in planning_facts.py. Nothing here ran on Azure.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from docs.makers.costs import Requests
from docs.makers.planning_facts import (
    ACCOUNT_MESSAGES,
    ACCOUNT_REQUESTS,
    ACTIONS_OF_CONSUMPTION,
    ACTIONS_OF_UNIT,
    AT_ONCE,
    DAYS,
    ENTITIES_OF_ACTIVITY,
    HOST_ACTIVITIES,
    LEASES,
    LEASES_OF_PARTITION,
    LOOKS_A_MINUTE,
    MINUTES,
    OF_ACTIVITY,
    OF_CHUNK,
    OF_DAY,
    OF_FAN_OUT,
    OF_STEP,
    OF_TURN,
    OPERATIONS_OF_MESSAGE,
    OTHER_USD,
    PARTITION_ENTITIES,
    QUEUE_MESSAGES,
    QUEUE_OF_ACTIVITY,
    QUEUE_OF_EVENT,
    QUEUE_USD,
    QUIET_MINUTES,
    ROWS_OF_ACTIVITY,
    SCALE_CONTROLLER_SECONDS,
    TABLE_LEASES_OF_PARTITION,
    TABLE_OF_ACTIVITY,
    TABLE_OF_EVENT,
    TABLE_USD,
)
from durablegraph.execution.fanning import division


@dataclass(frozen=True, slots=True)
class Usage:
    """Requests by what they are billed as. `actions` are what a Durable Task Scheduler would be asked instead."""

    blobs: Requests = field(default_factory=Requests)
    leases: float = 0
    queues: float = 0
    tables: float = 0
    entities: float = 0
    actions: float = 0

    def times(self, number: float) -> "Usage":
        """As many of it."""
        return Usage(
            self.blobs.times(number),
            self.leases * number,
            self.queues * number,
            self.tables * number,
            self.entities * number,
            self.actions * number,
        )

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.blobs + other.blobs,
            self.leases + other.leases,
            self.queues + other.queues,
            self.tables + other.tables,
            self.entities + other.entities,
            self.actions + other.actions,
        )

    @property
    def durable(self) -> float:
        """Durable's own requests on Azure Storage."""
        return self.leases + self.queues + self.tables

    @property
    def durable_usd(self) -> float:
        """What Durable's own requests cost on Azure Storage."""
        return self.leases * OTHER_USD + self.queues * QUEUE_USD + self.entities * TABLE_USD

    @property
    def usd(self) -> float:
        """On Azure Storage: ours and Durable's."""
        return self.blobs.usd + self.durable_usd


@dataclass(frozen=True, slots=True)
class Hub:
    """How a task hub is set up; the defaults are those of our host.json, on one host."""

    partitions: int = 4
    polling_seconds: float = 2
    steps_per_activity: float = 1
    steps_per_execution: int = 5
    activities_at_once: int = 20
    hosts: int = 1
    extension: int = 2
    scale_controller: bool = False

    def a_minute(self) -> Usage:
        """What Durable asks while nothing happens."""
        polls = (self.partitions + self.hosts) * 60 / self.polling_seconds
        if self.scale_controller:
            polls += (self.partitions + 1) * 60 / SCALE_CONTROLLER_SECONDS
        if self.extension >= 3:  # noqa: PLR2004 -- the third major version keeps leases in a table
            rows = TABLE_LEASES_OF_PARTITION * self.partitions
            return Usage(queues=polls, tables=rows, entities=rows)
        return Usage(leases=LEASES + LEASES_OF_PARTITION * self.partitions, queues=polls)


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of an app in a month: runs, each with so many super-steps, fan-outs among them, and approvals.

    `width` is the number of tasks of a fan-out, `waiting` the approvals that are open at any time.
    """

    runs: float
    steps: float = 10
    fan_outs: float = 0
    width: int = 1
    approvals: float = 0
    waiting: float = 0


def activities(load: Load, hub: Hub) -> float:
    """Activities of one run."""
    plain = (load.steps - load.fan_outs) / hub.steps_per_activity
    return plain + load.fan_outs * (chunks(load) + 1) + load.approvals


def chunks(load: Load) -> int:
    """Activities that share the tasks of one fan-out."""
    size, _ = division(load.width, AT_ONCE)
    return math.ceil(load.width / size)


def turns(load: Load) -> int:
    """Turns that the tasks of one fan-out take, those of all its activities counted together."""
    _, at_once = division(load.width, AT_ONCE)
    return math.ceil(load.width / at_once)


def durable_share(number: float, *, events: float = 0, executions: float = 0) -> Usage:
    """What Durable asks for so many activities, external events and executions (a start, or a continue-as-new)."""
    return Usage(
        queues=QUEUE_OF_ACTIVITY * number + QUEUE_OF_EVENT * events,
        tables=TABLE_OF_ACTIVITY * number + TABLE_OF_EVENT * events,
        entities=ENTITIES_OF_ACTIVITY * number + TABLE_OF_EVENT * events,
        actions=2 * number + events + executions,
    )


def of_steps(load: Load, hub: Hub) -> Usage:
    """The super-steps of one run, without its start, its end and its approvals."""
    plain = load.steps - load.fan_outs
    number = plain / hub.steps_per_activity + load.fan_outs * (chunks(load) + 1)
    ours = OF_ACTIVITY.times(plain / hub.steps_per_activity) + OF_STEP.times(plain)
    further = OF_TURN.times(turns(load) - chunks(load))
    ours += (OF_FAN_OUT + OF_CHUNK.times(chunks(load)) + further).times(load.fan_outs)
    return Usage(ours) + durable_share(number, executions=number / hub.steps_per_execution)


def of_run(load: Load, hub: Hub, counted: Mapping[str, Requests]) -> Usage:
    """One run from its start to its end; `counted` are the rows of the page on costs."""
    ours = counted["a start"] + counted["to turn to running, and to end"]
    ours += counted["an approval"].times(load.approvals)
    asked = durable_share(load.approvals, events=load.approvals, executions=1)
    return of_steps(load, hub) + Usage(ours) + asked


def of_waiting(number: float, counted: Mapping[str, Requests]) -> Usage:
    """A day of so many open approvals: the timer of each, and the supervisor's looks.

    Assumed: a timer costs what an event does. Two activities look, and the execution continues as new.
    """
    timers = (Usage(OF_DAY) + durable_share(2, events=1, executions=1)).times(number)
    looks = min(number / QUIET_MINUTES, LOOKS_A_MINUTE) * 24 * 60
    return timers + Usage(counted["a look at a waiting run"].times(looks), tables=looks, entities=looks)


def of_idle_month(hub: Hub, counted: Mapping[str, Requests]) -> Usage:
    """A month in which nothing happens: the hub, and the supervisor's sweep every minute."""
    return (hub.a_minute() + Usage(counted["a sweep, besides"])).times(MINUTES)


def of_month(load: Load, hub: Hub, counted: Mapping[str, Requests]) -> Usage:
    """A month of an app: its runs, its open approvals, and the hub itself."""
    waiting = of_waiting(load.waiting, counted).times(DAYS)
    return of_run(load, hub, counted).times(load.runs) + waiting + of_idle_month(hub, counted)


@dataclass(frozen=True, slots=True)
class Limit:
    """A published target, what a super-step takes of it, and so the super-steps a second that it allows."""

    name: str
    target: float
    taken: float

    @property
    def steps(self) -> float:
        """Super-steps a second."""
        return self.target / self.taken if self.taken else math.inf


class Backend(Protocol):
    """Where Durable keeps its state."""

    @property
    def name(self) -> str:
        """As the tables call it."""

    def limits(self, load: Load, hub: Hub) -> Iterator[Limit]:
        """What bounds one task hub."""


@dataclass(frozen=True, slots=True)
class AzureStorage:
    """Durable's default: queues, tables and leases of one account, which our objects share."""

    name: str = "Azure Storage"

    def limits(self, load: Load, hub: Hub) -> Iterator[Limit]:
        """Averages over the super-steps of a long run of this shape."""
        usage = of_steps(load, hub).times(1 / load.steps)
        messages = activities(load, hub) / load.steps * OPERATIONS_OF_MESSAGE
        requests = usage.blobs.total + usage.queues + usage.tables
        yield Limit("the work-item queue", QUEUE_MESSAGES, messages)
        yield Limit(f"{hub.partitions} control queues", QUEUE_MESSAGES * hub.partitions, messages)
        yield Limit("messages of the account", ACCOUNT_MESSAGES, 2 * messages)
        yield Limit("requests of the account", ACCOUNT_REQUESTS, requests)


@dataclass(frozen=True, slots=True)
class Scheduler:
    """The Durable Task Scheduler with `units` of capacity, or its Consumption SKU. Our objects stay in an account."""

    units: int = 0

    @property
    def name(self) -> str:
        """As it is sold."""
        return f"Scheduler, Dedicated, {self.units} CU" if self.units else "Scheduler, Consumption"

    def limits(self, load: Load, hub: Hub) -> Iterator[Limit]:
        """Averages over the super-steps of a long run of this shape."""
        usage = of_steps(load, hub).times(1 / load.steps)
        target = ACTIONS_OF_UNIT * self.units or ACTIONS_OF_CONSUMPTION
        yield Limit("actions", target, usage.actions)
        yield Limit("requests of the account", ACCOUNT_REQUESTS, usage.blobs.total)


def bottleneck(backend: Backend, load: Load, hub: Hub) -> Limit:
    """What one task hub reaches first."""
    return min(backend.limits(load, hub), key=lambda limit: limit.steps)


def of_one_run(hub: Hub) -> Limit:
    """What the history of a single run allows: its rows are one table partition, read anew at every turn."""
    read = ROWS_OF_ACTIVITY * (hub.steps_per_execution - 1) / 2
    return Limit("the history of one run", PARTITION_ENTITIES, (ROWS_OF_ACTIVITY + read) / hub.steps_per_activity)


def hubs(steps_a_second: float, backend: Backend, load: Load, hub: Hub) -> int:
    """Task hubs, each with an account of its own, that carry so many super-steps a second."""
    return math.ceil(steps_a_second / bottleneck(backend, load, hub).steps)


def hosts(steps_a_second: float, load: Load, hub: Hub) -> int:
    """Hosts like the one that was measured that execute so many super-steps a second, their nodes' own time aside."""
    return math.ceil(steps_a_second * activities(load, hub) / load.steps / HOST_ACTIVITIES)


def same_price(usage: Usage) -> float:
    """USD a million actions at which a Scheduler's Consumption SKU costs what Durable's requests cost here."""
    return usage.durable_usd / usage.actions * 1_000_000


def hours_of_nodes(load: Load, hub: Hub, seconds: float) -> float:
    """Hours for `load` when a task takes so long and all hosts are busy; tasks that share an activity go at once."""
    in_turn = load.steps - load.fan_outs + load.fan_outs * chunks(load)
    return load.runs * in_turn * seconds / (hub.hosts * hub.activities_at_once) / 3600
