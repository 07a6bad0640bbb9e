"""A machine driven by hand: turns are answered with action lists, time is given, ids are counted."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from durablegraph.host.hub import commands as c
from durablegraph.host.hub.functions import Functions
from durablegraph.host.hub.machine import Machine
from durablegraph.host.hub.options import DurableOptions
from durablegraph.host.hub.state import Instance
from durablegraph.host.invocation import InvocationError

START = datetime(2026, 1, 1, tzinfo=UTC)
FUNCTIONS = Functions.named(orchestrator=["parent", "child"], activity=["work", "other"], entity=["counter"])


def counted() -> Iterator[str]:
    for number in count(1):
        yield f"00000000-0000-0000-0000-{number:012}"


class Scripted:
    """One machine, its clock, and everything it has asked for so far."""

    def __init__(self, options: DurableOptions | None = None) -> None:
        ids = counted()
        self.machine = Machine(options or DurableOptions(timers_fire_early=False), FUNCTIONS, lambda: next(ids))
        self.now = START
        self.effects: list[c.Effect] = []

    def do(self, command: c.Command) -> c.Step:
        step = self.machine.apply(self.now, command)
        self.effects += step.effects
        return step

    def start(self, name: str = "parent", instance_id: str = "i", **more: Any) -> Instance:
        self.do(c.Start(instance_id, name, more.pop("input", None), more.pop("version", None), **more))
        return self.instance(instance_id)

    def instance(self, instance_id: str = "i") -> Instance:
        return self.machine.state.instances[instance_id]

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.effects += self.machine.tick(self.now).effects

    def turn(self, *actions: dict[str, Any], instance_id: str = "i", **state: Any) -> Instance:
        """Begins the turn that is due and answers it with all actions so far."""
        request = self.begin(instance_id)
        response = {"isDone": False, "schemaVersion": 2, "actions": [list(actions)], **state}
        self.do(c.TurnAnswered(instance_id, request.token, response))
        return self.instance(instance_id)

    def fail_turn(self, message: str, instance_id: str = "i") -> None:
        request = self.begin(instance_id)
        self.do(c.TurnAnswered(instance_id, request.token, error=InvocationError(message, "  somewhere\n")))

    def begin(self, instance_id: str = "i") -> c.RunTurn:
        step = self.do(c.BeginTurn(instance_id))
        (request,) = [effect for effect in step.effects if isinstance(effect, c.RunTurn)]
        return request

    def is_due(self, instance_id: str = "i") -> bool:
        return self.instance(instance_id).announced

    def open_activities(self) -> list[str]:
        return [f"{task.name}#{task.task_id}" for task in self.machine.state.activities.values()]

    def end_activity(self, task_id: int, result: str | None = "1", failure: Any = None) -> None:
        (seq,) = [seq for seq, task in self.machine.state.activities.items() if task.task_id == task_id]
        self.do(c.ActivityEnded(seq, result, failure))

    def history(self, instance_id: str = "i") -> list[tuple[int, int]]:
        return [
            (item.members["EventType"], item.members["EventId"]) for item in self.instance(instance_id).history or []
        ]

    def types(self, instance_id: str = "i") -> list[int]:
        return [kind for kind, _ in self.history(instance_id)]


def activity(name: str = "work", given: str = "null") -> dict[str, Any]:
    return {"actionType": 0, "functionName": name, "input": given}


def retried(name: str = "work", attempts: int = 2, interval: int = 1000) -> dict[str, Any]:
    options = {"firstRetryIntervalInMilliseconds": interval, "maxNumberOfAttempts": attempts}
    return every({"actionType": 1, "functionName": name, "input": "null", "retryOptions": options})


def child(name: str = "child", instance_id: str | None = None, version: str | None = None) -> dict[str, Any]:
    return {"actionType": 2, "functionName": name, "input": "null", "instanceId": instance_id, "version": version}


def again(given: str = "1") -> dict[str, Any]:
    return {"actionType": 4, "input": given}


def timer(seconds: float, *, cancelled: bool = False) -> dict[str, Any]:
    at = (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"actionType": 5, "fireAt": at, "isCanceled": cancelled}


def event(name: str = "Go") -> dict[str, Any]:
    return {"actionType": 6, "externalEventName": name, "reason": "ExternalEvent"}


def call(operation: str = "get") -> dict[str, Any]:
    return {"actionType": 7, "instanceId": "@counter@k", "operation": operation, "input": "null"}


def signal(entity: str = "counter") -> dict[str, Any]:
    return {"actionType": 9, "instanceId": f"@{entity}@k", "operation": "add", "input": "5"}


def first(*actions: dict[str, Any]) -> dict[str, Any]:
    return {"actionType": 11, "compoundActions": list(actions)}


def every(*actions: dict[str, Any]) -> dict[str, Any]:
    return {"actionType": 12, "compoundActions": list(actions)}
