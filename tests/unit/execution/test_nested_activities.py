"""Activities end inside subgraphs, at their time budget, and after as many super-steps as the owner allows."""

from collections import Counter

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Send

from durablegraph.errors import ConfigurationError, TransientError
from durablegraph.execution.budget import OVERRIDE, TRIES, time_budget
from durablegraph.graphs.deadline import TimeBudget
from durablegraph.model.messages import AdvanceCall, TasksCall
from durablegraph.model.names import ADVANCE_ACTIVITY, TASKS_ACTIVITY
from durablegraph.settings import Settings
from durablegraph.storage import lifecycle
from durablegraph.storage.checkpoints import BlobCheckpointSaver
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.catalogue import CASES
from tests.support.hours import Hours
from tests.unit.execution.durably import NOW, Durably, services_for
from tests.unit.graphs.driving import Words, chain


def counted(count, name):
    async def node(_):
        count[name] += 1
        return {"out": [name]}

    return node


def slow(count, hours, *, times):
    """A node that needs longer than there is the first few times."""

    async def node(_):
        count["slow"] += 1
        if count["slow"] <= times:
            await hours.for_ever(3600)
        return {"out": ["slow"]}

    return node


def within(services, *, hours, soft, hard):
    services.time_budget = TimeBudget(soft=soft, hard=hard, sleep=hours.sleep, clock=lambda: hours.now)
    return services


def agent(count):
    sub = chain(*((f"s{at}", counted(count, f"s{at}")) for at in range(5)))
    return chain(("a", counted(count, "a")), ("sub", sub), ("b", counted(count, "b")))


@pytest.mark.parametrize(("deliveries", "cut"), [(1, 20), (2, 20), (1, 2), (2, 1)])
async def test_a_chain_with_a_subgraph_of_five_steps_takes_an_activity_a_step_and_runs_each_node_once(deliveries, cut):
    count = Counter()
    run = Durably(services_for(agent(count)), cut=cut, deliveries=deliveries)
    await run.start({"out": []})
    assert (await run.carry()).status == "completed"
    assert set(count.values()) == {1}
    assert len(run.decisions) == 7


async def test_without_nested_steps_a_subgraph_is_one_activity():
    run = Durably(services_for(agent(Counter()), nested_steps=False))
    await run.start({"out": []})
    await run.carry()
    assert len(run.decisions) == 3


async def test_auto_executes_as_many_steps_as_fit():
    count = Counter()
    run = Durably(services_for(agent(count), steps_per_activity="auto", steps_budget_seconds=600))
    await run.start({"out": []})
    await run.carry()
    assert len(run.decisions) == 1
    assert set(count.values()) == {1}


async def test_auto_stops_beginning_steps_when_the_budget_is_spent():
    run = Durably(services_for(agent(Counter()), steps_per_activity="auto", steps_budget_seconds=1e-9))
    await run.start({"out": []})
    await run.carry()
    assert len(run.decisions) == 7


async def test_auto_leaves_several_tasks_to_a_fan_out():
    case = CASES["nested_beside_nested"]
    services = services_for(case.build(), steps_per_activity="auto", steps_budget_seconds=600, fan_out="always")
    run = Durably(services)
    await run.start(case.input)
    assert (await run.carry()).status == "completed"
    assert [decision["do"] for decision in run.decisions] == ["fan_out", "finish"]


async def test_a_node_that_alone_needs_longer_than_the_budget_fails_the_run_after_a_few_attempts():
    count, hours = Counter(), Hours()
    graph = chain(("a", counted(count, "a")), ("slow", slow(count, hours, times=99)), ("b", counted(count, "b")))
    run = Durably(within(services_for(graph), hours=hours, soft=270, hard=540))
    await run.start({"out": []})
    record = await run.carry()
    assert record.status == "failed"
    assert (record.error.type, record.error.node) == ("TimeBudgetSpent", "slow")
    for told in ("'slow'", "540 s", f"{TRIES} attempts", "functionTimeout", "DURABLEGRAPH_ACTIVITY_SECONDS"):
        assert told in record.error.message
    assert count == {"a": 1, "slow": TRIES}


@pytest.mark.parametrize("fan_out", ["never", "always"])
async def test_a_finished_sibling_keeps_its_writes_when_the_budget_ends(fan_out):
    count, hours = Counter(), Hours()
    builder = StateGraph(Words).add_node("quick", counted(count, "quick")).add_node("slow", slow(count, hours, times=1))
    builder.add_edge(START, "quick").add_edge(START, "slow")
    run = Durably(within(services_for(builder.compile(), fan_out=fan_out), hours=hours, soft=270, hard=540))
    await run.start({"out": []})
    assert (await run.carry()).status == "completed"
    assert count == {"quick": 1, "slow": 2}
    assert sorted((await run.output())["out"]) == ["quick", "slow"]
    assert not run.errors


def mapping(*nodes):
    """A node that is followed by these, all in one super-step."""
    builder = StateGraph(Words).add_node("plan", lambda _: {})
    builder.add_edge(START, "plan")
    for name, node in nodes:
        builder.add_node(name, node).add_edge("plan", name)
    return builder.compile()


async def test_an_activity_of_several_tasks_goes_on_in_another_when_the_budget_ends():
    count, hours = Counter(), Hours()
    nodes = [("a", counted(count, "a")), ("slow", slow(count, hours, times=1)), ("z", counted(count, "z"))]
    services = services_for(mapping(*nodes), fan_out="always", fan_out_width=1)
    run = Durably(within(services, hours=hours, soft=270, hard=540))
    await run.start({"out": []})
    assert (await run.carry()).status == "completed"
    assert count == {"a": 1, "slow": 2, "z": 1}
    assert run.activities == 4  # the plan, two of the tasks, the commit
    assert await run.output() == {"out": ["a", "slow", "z"]}


async def test_an_activity_begins_no_task_that_may_not_fit():
    count, hours = Counter(), Hours()

    def lasting(name):
        async def node(_: Words) -> Words:
            count[name] += 1
            hours.passed(200)
            return {"out": [name]}

        return node

    services = services_for(mapping(*((name, lasting(name)) for name in "abcd")), fan_out="always", fan_out_width=1)
    run = Durably(within(services, hours=hours, soft=270, hard=540))
    await run.start({"out": []})
    assert (await run.carry()).status == "completed"
    assert count == dict.fromkeys("abcd", 1)
    assert run.activities == 4  # the plan, two of the tasks, the other two, the commit


@pytest.mark.parametrize("failures", ["all", "best_effort"])
async def test_an_activity_of_several_tasks_begins_no_more_of_them_once_its_run_is_cancelled(failures):
    count, hours = Counter(), Hours()

    async def cancels(_: Words) -> Words:
        count["a"] += 1
        await lifecycle.request_cancel(run.services.runs, await run.record(), NOW)
        hours.passed(2)
        return {"out": ["a"]}

    graph = mapping(("a", cancels), ("b", counted(count, "b")))
    services = services_for(graph, fan_out="always", fan_out_width=1, fan_out_failures=failures)
    run = Durably(within(services, hours=hours, soft=270, hard=540))
    await run.start({"out": []})
    assert (await run.carry()).status == "cancelled"
    assert count == {"a": 1}


def maps(first, second, over):
    """A map of `first` over so many items, then of `second`."""
    builder = StateGraph(Words).add_node("first", first).add_node("second", second).add_node("between", lambda _: {})
    builder.add_conditional_edges(START, lambda _: [Send("first", at) for at in range(over)], ["first"])
    builder.add_edge("first", "between")
    builder.add_conditional_edges("between", lambda _: [Send("second", at) for at in range(over)], ["second"])
    return builder.compile()


@pytest.mark.parametrize("failures", ["all", "best_effort"])
async def test_a_late_delivery_whose_super_step_was_committed_begins_no_task_a_second_later(failures):
    hours, begun = Hours(), []

    async def first(at):
        begun.append(at)
        if begun == [0]:
            await run.carry()  # by another worker, while this one stood still
            hours.passed(2)
        return {"out": [at]}

    async def second(at):
        return {"out": [at]}

    policy = {"fan_out": "always", "fan_out_width": 1, "fan_out_failures": failures}
    run = Durably(within(services_for(maps(first, second, 3), **policy), hours=hours, soft=270, hard=540))
    await run.start({"out": []})
    decision = await run.attempt(ADVANCE_ACTIVITY, AdvanceCall(run_id="run").to_json())
    late = TasksCall(run_id="run", cursor=decision["cursor"], chunk=0, size=3, at_once=1, failures=failures)
    await run.attempt(TASKS_ACTIVITY, late.to_json())
    assert begun == [0, 0, 1, 2]  # the late delivery's, then the other's
    assert await run.output() == {"out": [0, 1, 2, 0, 1, 2]}
    assert not run.errors


async def test_a_second_delivery_of_an_activity_executes_no_finished_task():
    count = Counter()

    async def work(at):
        count[at] += 1
        return {"out": [at]}

    run = Durably(services_for(maps(work, work, 3), fan_out="always", fan_out_width=1), deliveries=2)
    await run.start({"out": []})
    assert (await run.carry()).status == "completed"
    assert count == dict.fromkeys(range(3), 2)


@pytest.mark.parametrize(
    ("asked", "loads"),
    [({}, 1), ({"config": {"max_concurrency": 3}}, 3), ({"stream_mode": ["updates"]}, 3)],
    ids=["one call", "a call a turn, for LangGraph counts", "a call a turn, for the event log"],
)
async def test_an_activity_loads_the_checkpoint_once_a_call(asked, loads, monkeypatch):
    async def work(at):
        return {"out": [at]}

    run = Durably(services_for(maps(work, work, 3), fan_out="always", fan_out_width=1))
    await run.start({"out": []}, **asked)
    decision = await run.attempt(ADVANCE_ACTIVITY, AdvanceCall(run_id="run").to_json())
    counted, loading = [], BlobCheckpointSaver.aget_tuple

    async def counting(saver, config):
        counted.append(config)
        return await loading(saver, config)

    monkeypatch.setattr(BlobCheckpointSaver, "aget_tuple", counting)
    call = TasksCall(run_id="run", cursor=decision["cursor"], chunk=0, size=3, at_once=1)
    assert await run.attempt(TASKS_ACTIVITY, call.to_json()) == {"done": 3}
    assert len(counted) == loads


class Deaf(MemoryObjectStore):
    """A store whose reads of runs fail for a while."""

    failing = 0

    async def get(self, key):
        if self.failing and "/record" in key:
            self.failing -= 1
            raise TransientError("the store does not answer")
        return await super().get(key)


async def test_a_store_that_fails_when_the_run_is_looked_at_is_no_task_s_fault():
    hours, objects, done = Hours(), Deaf(), []

    async def work(at):
        done.append(at)
        if at == 0:
            hours.passed(2)
            objects.failing = 1
        return {"out": [at]}

    builder = StateGraph(Words).add_node("plan", lambda _: {}).add_node("work", work).add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda _: [Send("work", at) for at in range(3)], ["work"])
    services = services_for(builder.compile(), objects=objects, fan_out="always", fan_out_width=1)
    run = Durably(within(services, hours=hours, soft=270, hard=540))
    await run.start({"out": []})
    assert (await run.carry()).status == "completed"
    assert [type(error) for error in run.errors] == [TransientError]
    assert done == [0, 1, 2]


def test_the_budget_is_nine_tenths_of_what_the_host_allows(tmp_path):
    (tmp_path / "host.json").write_text('{"functionTimeout": "00:10:00"}')
    assert time_budget(Settings(), {}, tmp_path) == TimeBudget(soft=270, hard=540)
    assert time_budget(Settings(), {OVERRIDE: "1.00:00:00"}, tmp_path).hard == pytest.approx(0.9 * 86_400)
    assert time_budget(Settings(activity_seconds=7), {OVERRIDE: "00:10:00"}, tmp_path).hard == 7


@pytest.mark.parametrize("document", ["{}", '{"functionTimeout": "-1"}', "[]"])
def test_no_limit_of_the_host_is_no_budget(document, tmp_path):
    (tmp_path / "host.json").write_text(document)
    assert time_budget(Settings(), {}, tmp_path) is None
    assert time_budget(Settings(), {}, tmp_path / "nowhere") is None


def test_a_host_json_that_is_none_is_refused(tmp_path):
    (tmp_path / "host.json").write_text("{")
    with pytest.raises(ConfigurationError, match="DURABLEGRAPH_ACTIVITY_SECONDS"):
        time_budget(Settings(), {}, tmp_path)
