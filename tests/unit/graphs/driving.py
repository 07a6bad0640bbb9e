"""Drives a graph super-step by super-step, as the activities do, and repeats a call that crashed."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from durablegraph.graphs.contract import StepOutcome, StepRequest, StepStatus
from durablegraph.graphs.deadline import TimeBudget
from durablegraph.graphs.superstep import SuperStep, carried_out, run_superstep

UNLIMITED = TimeBudget(soft=3600, hard=3600)


class CrashError(BaseException):
    """The worker dies: nothing in LangGraph or in the library may catch it."""


class Words(TypedDict, total=False):
    out: Annotated[list[Any], operator.add]


def chain(*nodes: tuple[str, Callable[..., Any]], state: Any = Words, **compiled: Any) -> Any:
    builder = StateGraph(state)
    before = START
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder.compile(**compiled)


class Age(BaseModel):
    years: int = Field(0, ge=0)


def going_bad() -> Any:
    """The second node cannot be given the state that the first one leaves."""
    return chain(("worse", lambda _: {"years": -1}), ("next", lambda _: {}), state=Age)


class FullDisk(InMemorySaver):
    """Cannot store the writes of a task."""

    async def aput_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        raise OSError("the disk is full")


class Driver:
    """One run on one thread; `outcomes` are what the calls came to. Where `sticky`, loops stand between calls."""

    sticky: ClassVar[bool] = False

    def __init__(
        self, graph: Any, saver: BaseCheckpointSaver[Any], *, thread: str = "t", run: str = "r", **request: Any
    ) -> None:
        self.graph, self.saver = graph, saver
        self.fixed: dict[str, Any] = {"thread_id": thread, "run_id": run, **request}
        self.at = {"configurable": {"thread_id": thread}}
        self.outcomes: list[StepOutcome] = []
        self.crashes = 0
        self.parts: list[Any] = []
        self.also: dict[str, Any] = {}
        self.step: SuperStep | None = None
        self.stood = 0

    @property
    def last(self) -> StepOutcome:
        return self.outcomes[-1]

    def request(self, kind: str, **changes: Any) -> StepRequest:
        place = {} if kind == "start" else {"expect": self.last.checkpoint_id, "stop": self.last.stop}
        if kind != "start":
            place |= {"inside": self.last.inside, "replay": self.last.replay}
        if kind in {"resume", "proceed"}:
            place["asked"] = self.last.inside
        return StepRequest(**{"expect": None, **self.fixed, "kind": kind, **place, **changes})

    async def deliver(self, request: StepRequest) -> StepOutcome:
        """Deliver until a delivery survives."""
        self.sent = request
        for _ in range(10):
            try:
                outcome = await self._carried_out(request)
            except CrashError:
                self.crashes += 1
            else:
                self.outcomes.append(outcome)
                return outcome
        raise AssertionError("ten deliveries crashed")

    async def _carried_out(self, request: StepRequest) -> StepOutcome:
        """By the loop of the call before where it stands, as an activity does that comes to the same worker."""
        if not self.sticky:
            return await run_superstep(self.graph, self.saver, request, on_part=self._keep, **self.also)
        given = dict(self.also)
        budget = given.pop("time_budget", UNLIMITED)
        request = replace(request, sticky=True)
        here = self.step is not None and request.expect == self.last.checkpoint_id
        if self.step is not None and here and await self.step.go_on(request):
            self.stood += 1
        else:
            self.step = SuperStep(self.graph, self.saver, request, **given)
        return await carried_out(self.step, on_part=self._keep, time_budget=budget)

    async def _keep(self, part: Any) -> None:
        self.parts.append(part)

    async def run(
        self, value: Any, *, answers: Callable[[Any], Any] | None = None, twice: bool = False, **start: Any
    ) -> Any:
        """Run to the end; `twice` delivers every request once more after it was answered."""
        await self._call(self.request("start", input=value, **start), twice=twice)
        return await self.run_on(answers=answers, twice=twice)

    async def run_on(self, *, answers: Callable[[Any], Any] | None = None, twice: bool = False) -> Any:
        while self.last.status is not StepStatus.FINISHED:
            match self.last.status:
                case StepStatus.ADVANCE if self.last.again:
                    request = replace(self.sent, inside=self.last.inside)
                case StepStatus.ADVANCE:
                    request = self.request("advance")
                case StepStatus.BREAKPOINT:
                    request = self.request("proceed")
                case StepStatus.INTERRUPTED:
                    assert answers is not None, self.last.interrupts
                    request = self.request("resume", resume={i.id: answers(i.value) for i in self.last.interrupts})
            await self._call(request, twice=twice)
        return self.last.values

    async def _call(self, request: StepRequest, *, twice: bool) -> None:
        outcome = await self.deliver(request)
        if twice:
            self.parts, parts = [], self.parts
            again = await self.deliver(request)
            self.parts = parts
            assert _told(again) == _told(outcome), (again, outcome)
            assert not again.executed
            self.outcomes.pop()

    async def history(self) -> list[tuple[Any, Any, Any]]:
        return await history(self.graph, self.saver, self.at)

    def statuses(self) -> list[str]:
        return [str(outcome.status) for outcome in self.outcomes]


def _told(outcome: StepOutcome) -> tuple[Any, ...]:
    interrupts = () if outcome.status is StepStatus.ADVANCE else outcome.interrupts
    place = (outcome.status, outcome.checkpoint_id, outcome.step, outcome.stop, sorted(outcome.next))
    return (*place, outcome.inside if outcome.again else None, interrupts)


async def history(graph: Any, saver: BaseCheckpointSaver[Any], at: Any) -> list[tuple[Any, Any, Any]]:
    """What both a plain run and a stepped one have to leave behind, newest first."""
    bound = graph.copy(update={"checkpointer": saver})
    return [
        (found.metadata["source"], found.metadata["step"], found.next) async for found in bound.aget_state_history(at)
    ]


def names(outcomes: Sequence[StepOutcome]) -> list[tuple[str, ...]]:
    return [outcome.next for outcome in outcomes]
