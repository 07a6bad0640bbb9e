"""A super-step may go on without tasks that failed, as the policy of its run or graph says."""

import itertools
import operator
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langgraph.errors import NodeError
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, Send, interrupt
from typing_extensions import TypedDict

from durablegraph.model.fan_out import FanOutPolicy, needed
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.stores import FaultStore, SimulatedCrash, When, crash
from tests.unit.execution.durably import Durably, services_for

WAYS = [("always", 1), ("always", 2), ("never", 1), ("never", 2)]


class State(TypedDict, total=False):
    out: Annotated[list[Any], operator.add]


def spreading(work: Any, over: int = 5, **node: Any) -> Any:
    """A map over `over` items and a join."""
    builder = StateGraph(State).add_node("plan", lambda _: {}).add_node("work", work, **node)
    builder.add_node("join", lambda state: {"out": [len(state["out"])]})
    builder.add_edge(START, "plan").add_edge("work", "join").add_edge("join", END)
    builder.add_conditional_edges("plan", lambda _: [Send("work", at) for at in range(over)], ["work"])
    return builder.compile()


class Work:
    """Fails for some of its items; counts what it executes."""

    def __init__(self, *failing: int, asks: tuple[int, ...] = (), after: tuple[int, ...] = ()) -> None:
        self.failing, self.asks, self.after = failing, asks, after
        self.count: Counter[int] = Counter()

    def __call__(self, at: int) -> State:
        self.count[at] += 1
        if at in self.failing:
            raise ValueError(f"no {at}")
        said = interrupt(at) if at in self.asks else at
        if at in self.after:
            raise KeyError(at)
        return {"out": [said]}


async def carried(graph: Any, *, way: tuple[str, int], failures: str, **more: Any) -> tuple[Durably, Any]:
    fan_out, deliveries = way
    run = Durably(services_for(graph, fan_out=fan_out), deliveries=deliveries)
    await run.start({"out": []}, fan_out=FanOutPolicy(failures=failures))
    return run, await run.carry(**more)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("failures", ["best_effort", "at_least:3", "at_least:60%"])
async def test_a_super_step_goes_on_without_the_tasks_that_failed(way, failures):
    work = Work(1, 3)
    run, record = await carried(spreading(work), way=way, failures=failures)
    assert record.status == "completed"
    assert await run.output() == {"out": [0, 2, 4, 3]}
    assert work.count == dict.fromkeys(range(5), 1)
    assert record.tasks_failed
    told = await run.services.runs.failures_at(await run.services.runs.failures("run"))
    assert sorted(each.message for each in told) == ["no 1", "no 3"]


@pytest.mark.parametrize("way", WAYS)
async def test_too_few_tasks_that_succeed_fail_the_run_and_are_counted(way):
    work = Work(1, 3, 4)
    _, record = await carried(spreading(work), way=way, failures="at_least:3")
    assert record.status == "failed"
    assert record.error.type == "TooManyTasksFailed"
    assert "3 of 5 tasks failed, and 'at_least:3' needs 3 to succeed" in record.error.message
    assert "work: ValueError: no " in record.error.message
    assert work.count == dict.fromkeys(range(5), 1)


@pytest.mark.parametrize("way", WAYS)
async def test_by_default_one_task_that_fails_fails_the_run_with_its_own_error(way):
    _, record = await carried(spreading(Work(3)), way=way, failures="all")
    assert (record.status, record.error.type, record.error.message) == ("failed", "ValueError", "no 3")
    assert not record.tasks_failed


async def test_at_least_more_than_there_are_needs_all():
    _, record = await carried(spreading(Work(3)), way=("always", 1), failures="at_least:9")
    assert (record.status, record.error.type) == ("failed", "ValueError")


@pytest.mark.parametrize("way", WAYS)
async def test_a_task_that_asks_beside_one_that_failed_is_answered_and_the_failed_one_stays_given_up(way):
    work = Work(1, asks=(2,))
    run, record = await carried(spreading(work), way=way, failures="best_effort")
    assert record.status == "interrupted"
    assert [item.value for item in (await run.wait()).interrupts] == [2]
    record = await run.carry(lambda _: "yes")
    assert record.status == "completed"
    assert await run.output() == {"out": [0, "yes", 3, 4, 4]}
    assert work.count == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1}


@pytest.mark.parametrize("way", WAYS)
async def test_a_task_that_fails_after_its_answer_counts_with_those_that_failed_before(way):
    work = Work(1, asks=(2, 3), after=(2,))
    graph = spreading(work)
    run, record = await carried(graph, way=way, failures="at_least:3")
    answers = {item.id: "yes" for item in (await run.wait()).interrupts}
    record = await run.carry(lambda _: answers)
    assert (record.status, await run.output()) == ("completed", {"out": [0, "yes", 4, 3]})

    again, _ = await carried(spreading(Work(1, asks=(2, 3), after=(2,))), way=way, failures="at_least:4")
    answers = {item.id: "yes" for item in (await again.wait()).interrupts}
    record = await again.carry(lambda _: answers)
    assert record.status == "failed"
    assert "2 of 5 tasks failed" in record.error.message


@pytest.mark.parametrize("way", WAYS)
async def test_only_what_retries_and_error_handlers_have_not_mended_has_failed(way):
    tried: Counter[int] = Counter()

    def work(at: int) -> State:
        tried[at] += 1
        if at == 0 and tried[at] < 3:
            raise ConnectionError("at first")
        if at == 1:
            raise ConnectionError("always")
        return {"out": [at]}

    retry = RetryPolicy(max_attempts=3, initial_interval=0.001, jitter=False)
    run, record = await carried(spreading(work, 3, retry_policy=retry), way=way, failures="best_effort")
    assert (record.status, await run.output()) == ("completed", {"out": [0, 2, 2]})
    assert tried == {0: 3, 1: 3, 2: 1}


@pytest.mark.parametrize("way", WAYS)
async def test_a_task_whose_error_handler_fails_too_is_given_up_and_one_that_it_mends_is_not(way):
    def work(at: int) -> State:
        if at in {1, 2}:
            raise ValueError(at)
        return {"out": [at]}

    def mend(state: Any, error: NodeError) -> State:
        if error.error.args == (2,):
            raise KeyError("not that one")
        return {"out": ["mended"]}

    run, record = await carried(spreading(work, 4, error_handler=mend), way=way, failures="best_effort")
    assert (record.status, await run.output()) == ("completed", {"out": [0, "mended", 3, 3]})


@pytest.mark.parametrize("way", WAYS)
async def test_a_map_over_one_item_may_fail_as_one_over_many_may_but_a_node_alone_may_not(way):
    run, record = await carried(spreading(Work(0), 1), way=way, failures="best_effort")
    assert (record.status, await run.output()) == ("completed", {"out": []})

    def alone(state: State) -> State:
        raise ValueError("alone")

    graph = StateGraph(State).add_node("alone", alone).add_edge(START, "alone").compile()
    _, record = await carried(graph, way=way, failures="best_effort")
    assert (record.status, record.error.type) == ("failed", "ValueError")


@pytest.mark.parametrize("way", WAYS)
async def test_branches_of_the_first_super_step_may_fail_too(way):
    builder = StateGraph(State).add_node("good", lambda _: {"out": ["good"]}).add_node("bad", lambda _: {}["no"])
    builder.add_edge(START, "good").add_edge(START, "bad")
    run, record = await carried(builder.compile(), way=way, failures="best_effort")
    assert (record.status, await run.output()) == ("completed", {"out": ["good"]})


async def test_more_tasks_than_activities_fail_each_for_itself():
    work = Work(*range(0, 120, 7))
    run, _ = await carried(spreading(work, 120), way=("always", 2), failures="best_effort")
    assert (await run.output())["out"][-1] == 120 - 18
    assert set(work.count.values()) == {1}
    assert len(await run.services.runs.failures("run")) == 18


async def test_a_graphs_policy_holds_over_the_settings_and_a_runs_over_the_graphs():
    services = services_for(spreading(Work(1)), fan_out="always", fan_out_failures="at_least:80%")
    first = Durably(services, run_id="settings", thread_id="a")
    await first.start({"out": []})
    assert (await first.carry()).status == "completed"
    services.graphs.loaded.fan_out = FanOutPolicy(failures="all")
    second = Durably(services, run_id="graph", thread_id="b")
    await second.start({"out": []})
    assert (await second.carry()).status == "failed"
    third = Durably(services, run_id="run", thread_id="c")
    await third.start({"out": []}, fan_out=FanOutPolicy(failures="best_effort"))
    assert (await third.carry()).status == "completed"


@pytest.mark.parametrize(
    ("failures", "tasks", "least"),
    [("all", 5, 5), ("best_effort", 5, 0), ("at_least:3", 5, 3), ("at_least:9", 5, 5), ("at_least:50%", 5, 3)],
)
def test_how_many_must_succeed(failures, tasks, least):
    assert needed(failures, tasks) == least


@dataclass
class Mortal(Durably):
    """A run whose activities are executed by `worker`, which dies once; then by services that work."""

    worker: Any = None

    async def attempt(self, name: str, call: dict[str, Any]) -> dict[str, Any]:
        if self.worker is not None:
            calm, self.services = self.services, self.worker
            try:
                return await super().attempt(name, call)
            except SimulatedCrash:
                self.worker = None
            finally:
                self.services = calm
        return await super().attempt(name, call)


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("fan_out", ["always", "never"])
async def test_a_crash_at_any_request_changes_nothing_of_what_is_given_up(fan_out, when):
    for at in itertools.count(1):
        memory = MemoryObjectStore()
        faulty = FaultStore(memory, at=at, when=when, fault=crash)
        graph = spreading(Work(1, asks=(2,)), 4)
        worker = services_for(graph, objects=faulty, fan_out=fan_out)
        run = Mortal(services_for(graph, objects=memory, fan_out=fan_out), worker=worker)
        await run.start({"out": []}, fan_out=FanOutPolicy(failures="at_least:3"))
        record = await run.carry(lambda _: "yes")
        assert (record.status, await run.output()) == ("completed", {"out": [0, "yes", 3, 3]}), (at, record.error)
        assert record.tasks_failed
        assert len(await run.services.runs.failures("run")) == 1
        if run.worker is not None:
            assert at > 20  # every request had its turn
            return
