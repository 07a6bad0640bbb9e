"""A worker in this process whose functions are the SDK's own handles, and a journal that fails when told to."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import azure.durable_functions as df

from durablegraph.host.hub.changes import Change
from durablegraph.host.hub.clocks import Clock
from durablegraph.host.hub.journal import Journal
from durablegraph.host.hub.options import DurableOptions
from durablegraph.host.hub.taskhub import TaskHub
from durablegraph.host.invocation import (
    Binding,
    Datum,
    FunctionIndex,
    FunctionInfo,
    Invocation,
    InvocationError,
    InvocationResult,
)


class SdkWorker:
    """Runs an app's functions as the host's workers do, without processes: real orchestrator handles, real replay."""

    def __init__(self, app: df.DFApp) -> None:
        self.calls: Counter[str] = Counter()
        self._run: dict[str, Callable[..., Any]] = {}
        self._infos: list[FunctionInfo] = []
        for function in app.get_functions():
            trigger = function.get_trigger()
            kind = {"orchestrationTrigger": "orchestrator", "activityTrigger": "activity", "entityTrigger": "entity"}[
                trigger.type
            ]
            name = function.get_function_name()
            binding = Binding(trigger.name, trigger.type, "IN")
            self._run[name] = function.get_user_function()
            self._infos.append(
                FunctionInfo(name, kind, _durable_name(trigger, name), binding, (binding,), is_async=False)
            )

    @property
    def index(self) -> FunctionIndex:
        return FunctionIndex(tuple(self._infos))

    async def start(self) -> FunctionIndex:
        return self.index

    async def invoke(self, call: Invocation, *, timeout: float | None) -> InvocationResult:  # noqa: ASYNC109 -- the contract's word
        del timeout
        await asyncio.sleep(0)
        (datum,) = call.inputs.values()
        self.calls[call.function] += 1
        try:
            if call.kind == "activity":
                returned = self._run[call.function](json.loads(datum.value))
                return InvocationResult(output=Datum("json", json.dumps(returned)))
            return InvocationResult(output=Datum("json", self._run[call.function](datum.value)))
        except Exception as error:
            return InvocationResult(error=InvocationError(f"{type(error).__name__}: {error}", "  somewhere\n"))

    async def stop(self) -> None:
        pass


def _durable_name(trigger: Any, name: str) -> str:
    return (
        getattr(trigger, "entity_name", None)
        or getattr(trigger, "activity", None)
        or getattr(trigger, "orchestration", None)
        or name
    )


class PowerCut(BaseException):
    """The process is gone: nothing after this line happens."""


class FailingJournal(Journal):
    """Dies at its n-th commit: before it is stored, or after."""

    def __init__(self, path: Path, hub_name: str, *, at: int, stored: bool) -> None:
        super().__init__(path, hub_name)
        self.left, self.stored = at, stored

    def commit(self, changes: Sequence[Change]) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerCut
        if self.left == 0:
            if self.stored:
                super().commit(changes)
            raise PowerCut
        super().commit(changes)


def hub_on(
    journal: Journal, worker: SdkWorker, options: DurableOptions | None = None, clock: Clock | None = None
) -> TaskHub:
    """A hub on a journal of the test's own."""
    options = options or DurableOptions(timers_fire_early=False)
    return TaskHub.open(journal, worker=worker, index=worker.index, options=options, clock=clock)
