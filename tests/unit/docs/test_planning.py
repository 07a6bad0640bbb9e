"""docs/explanation/planning.md: what its model says of this code is counted, what it computes is checked by hand."""

import json
import operator
from collections import Counter
from dataclasses import replace
from typing import Annotated, Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from docs.generate import COSTS, PLANNING
from docs.makers import planning as model
from docs.makers.costs import Requests, counted
from docs.makers.planning import AzureStorage, Hub, Load, Scheduler
from docs.makers.planning_facts import OF_DAY
from docs.makers.planning_page import BACKENDS, CHAIN, EXAMPLES, FAN, TABLES, with_plan
from docs.makers.planning_plots import PLOTS, PLOTTED, digest
from durablegraph.model.messages import Ticket
from durablegraph.settings import Settings
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.stores import CountingStore, Kind
from tests.unit.docs.pages import ROOT
from tests.unit.docs.test_costs import asking, counting
from tests.unit.engine.scripted import Played
from tests.unit.execution.durably import Durably, services_for


class Mapping(TypedDict, total=False):
    width: int
    rounds: int
    n: int
    done: Annotated[list[int], operator.add]


def mapping() -> StateGraph[Mapping]:
    """`rounds` times a single task, then `width` tasks at once."""

    def spread(state: Mapping) -> Any:
        more = state["n"] <= state["rounds"]
        return [Send("work", {"n": number}) for number in range(state["width"])] if more else END

    builder = StateGraph(Mapping)
    builder.add_node("plan", lambda state: {"n": state.get("n", 0) + 1})
    builder.add_node("work", lambda state: {"done": [state["n"]]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", spread, ["work", END])
    builder.add_edge("work", "plan")
    return builder


async def carried(graph: Any, graph_input: Any, **settings: Any) -> tuple[Counter[Kind], int]:
    """Requests and activities of one run after its start."""
    store = CountingStore(MemoryObjectStore())
    run = Durably(services_for(graph.compile(), objects=store, **settings), cut=10)
    await run.start(graph_input)
    store.start_anew()
    assert (await run.carry()).status == "completed"
    return store.tally.requests, run.activities


def as_requests(tally: Counter[Kind]) -> Requests:
    return Requests(*(tally[kind] for kind in Kind))


@pytest.mark.parametrize("batch", [1, 2, 5])
async def test_super_steps_that_share_an_activity_ask_what_the_model_says(batch: int) -> None:
    few, few_activities = await carried(counting(), {"n": 0, "to": 20}, steps_per_activity=batch)
    many, activities = await carried(counting(), {"n": 0, "to": 40}, steps_per_activity=batch)
    load, hub = Load(runs=1, steps=20), Hub(steps_per_activity=batch)
    assert activities - few_activities == model.activities(load, hub)
    assert as_requests(many - few) == model.of_steps(load, hub).blobs


@pytest.mark.parametrize("width", [2, 20, 60])
async def test_a_fan_out_asks_what_the_model_says(width: int) -> None:
    few, few_activities = await carried(mapping(), {"width": width, "rounds": 1}, fan_out="always")
    many, activities = await carried(mapping(), {"width": width, "rounds": 2}, fan_out="always")
    load = Load(runs=1, steps=2, fan_outs=1, width=width)
    assert activities - few_activities == model.activities(load, Hub())
    found, told = as_requests(many - few), model.of_steps(load, Hub()).blobs
    if model.turns(load) < width:  # tasks that end together share a write, here where none lasts of any activity
        assert 1 < found.writes <= told.writes
        found = replace(found, writes=told.writes)
    assert found == told


async def test_a_run_has_as_many_activities_as_the_model_says() -> None:
    _, activities = await carried(counting(), {"n": 0, "to": 20})
    assert activities == model.activities(Load(runs=1, steps=20), Hub())


async def test_an_approval_is_one_activity_more() -> None:
    run = Durably(services_for(asking().compile()), cut=20)
    await run.start({"n": 0})
    assert (await run.carry(lambda _: "yes")).status == "completed"
    assert run.activities == model.activities(Load(runs=1, steps=1, approvals=1), Hub())


async def test_the_timer_of_a_day_asks_what_the_model_says() -> None:
    store = CountingStore(MemoryObjectStore())
    run = Durably(services_for(asking().compile(), objects=store), cut=20)
    await run.start({"n": 0})

    async def look(execution: Played) -> None:
        execution.play(await run.attempt(execution.waiting.name, execution.waiting.call))

    first = Played(Ticket(run_id=run.run_id, cut=20))
    await look(first)
    store.start_anew()
    first.wake("timer")
    await look(first)
    assert first.ended
    assert first.context.next_ticket is not None
    second = Played(Ticket.model_validate(first.context.next_ticket))
    await look(second)
    assert second.waiting.kind == "first", "it waits again"
    assert as_requests(store.tally.requests) == OF_DAY
    assert run.activities == 3


def test_the_hub_of_our_host_json_is_the_models_default() -> None:
    durable = json.loads((ROOT / "host.json").read_text("utf-8"))["extensions"]["durableTask"]
    hub = Hub()
    assert durable["maxConcurrentActivityFunctions"] == hub.activities_at_once
    assert durable["storageProvider"]["partitionCount"] == hub.partitions
    assert durable["storageProvider"]["maxQueuePollingInterval"] == f"00:00:{hub.polling_seconds:02.0f}"


def test_the_cut_of_our_settings_is_the_models_default() -> None:
    assert Settings.model_fields["steps_per_execution"].default == Hub().steps_per_execution


def test_a_million_super_steps_are_what_one_gets_by_hand() -> None:
    million = model.of_steps(CHAIN, Hub()).times(1_000)
    assert million.blobs.total == pytest.approx(2_000_000)
    assert million.durable == pytest.approx(13_500_000)
    assert million.actions == pytest.approx(2_200_000)
    assert million.durable_usd == pytest.approx(1040 * 0.004 + 610 * 0.00036)
    assert million.usd == pytest.approx(5.94 + 4.3796)


def test_sharing_an_activity_saves_as_much_as_was_measured() -> None:
    five = model.of_steps(CHAIN, Hub(steps_per_activity=5)).times(1 / CHAIN.steps)
    assert five.queues == pytest.approx(2.1, abs=0.05)
    assert five.tables == pytest.approx(0.6, abs=0.05)
    assert five.blobs.total == pytest.approx(1.25, abs=0.06)


def test_a_fan_out_of_twenty_asks_durable_about_what_was_measured() -> None:
    assert model.of_steps(FAN, Hub()).durable == pytest.approx(260, rel=0.1)


@pytest.mark.parametrize(("seconds", "measured"), [(30, 10), (5, 60), (1, 295)])
def test_polling_asks_about_what_was_measured(seconds: float, measured: float) -> None:
    assert Hub(polling_seconds=seconds).a_minute().queues == pytest.approx(measured, rel=0.02)


def test_one_partition_asks_about_what_was_measured() -> None:
    one, four = Hub(partitions=1, polling_seconds=5).a_minute(), Hub().a_minute()
    assert (one.queues, one.leases) == (24, 68)
    assert four.leases == pytest.approx(213, rel=0.01)


def test_a_scale_controller_looks_at_each_queue_six_times_a_minute() -> None:
    assert Hub(scale_controller=True).a_minute().queues - Hub().a_minute().queues == 30


def test_the_work_item_queue_bounds_a_chain_and_actions_bound_a_scheduler() -> None:
    storage = model.bottleneck(AzureStorage(), CHAIN, Hub())
    assert (storage.name, round(storage.steps)) == ("the work-item queue", 667)
    assert round(model.bottleneck(Scheduler(), CHAIN, Hub()).steps, 1) == 227.3
    assert [round(model.bottleneck(Scheduler(units), CHAIN, Hub()).steps) for units in (1, 3)] == [909, 2727]
    assert model.hubs(1_000, AzureStorage(), CHAIN, Hub()) == 2
    assert model.hubs(1_000, AzureStorage(), CHAIN, Hub(steps_per_activity=5)) == 1


def test_with_large_batches_the_account_bounds_a_scheduler() -> None:
    limit = model.bottleneck(Scheduler(3), CHAIN, Hub(steps_per_activity=50))
    assert limit.name == "requests of the account"
    assert limit.steps == pytest.approx(20_000 / 1.02)


def test_the_supervisor_bounds_what_many_approvals_cost() -> None:
    rows = counted(COSTS.read_text("utf-8"))
    alone, many, more = (model.of_waiting(number, rows) for number in (1, 2_000, 4_000))
    look = rows["a look at a waiting run"]
    assert alone.blobs.reads == pytest.approx(OF_DAY.reads + 144 * look.reads)
    assert alone.blobs.lists == pytest.approx(OF_DAY.lists + 144 * look.lists)
    assert many.usd == pytest.approx(alone.usd * 2_000)
    assert more.blobs.total - many.blobs.total == pytest.approx(OF_DAY.total * 2_000)
    assert alone.actions == 6


def test_a_month_is_its_runs_its_approvals_and_its_hub() -> None:
    rows = counted(COSTS.read_text("utf-8"))
    load, idle = Load(runs=1_000, steps=10, approvals=1, waiting=5), Load(runs=0)
    run, month = model.of_run(load, Hub(), rows), model.of_month(load, Hub(), rows)
    ours = rows["a start"] + rows["a super-step"].times(10) + rows["to turn to running, and to end"]
    assert run.blobs == ours + rows["an approval"]
    assert run.actions == pytest.approx(2 * 11 + 1 + 3), "eleven activities, an event, a start and two continue-as-new"
    hub = model.of_month(idle, Hub(), rows)
    assert month.queues == pytest.approx(1_000 * run.queues + 30 * model.of_waiting(5, rows).queues + hub.queues)


def test_the_tables_are_made_of_the_model() -> None:
    page, costs = PLANNING.read_text("utf-8"), COSTS.read_text("utf-8")
    assert with_plan(page, costs) == page, "run `make docs`"
    dearer = with_plan(page, costs.replace("| a look at a waiting run | 3 |", "| a look at a waiting run | 4 |"))
    assert dearer != page
    assert all(f"<!-- end of {name} -->" in page for name in TABLES)


def test_the_numbers_in_the_text_are_those_of_the_model() -> None:
    page, rows = PLANNING.read_text("utf-8"), counted(COSTS.read_text("utf-8"))
    ends = rows["a start"] + rows["to turn to running, and to end"]
    million = model.of_steps(CHAIN, Hub()).times(1_000)
    polls = [model.of_idle_month(Hub(1, seconds), rows).usd for seconds in (5, 30)]
    mapped = next((load, hub) for name, _, load, hub in EXAMPLES if load.fan_outs)
    apart = model.of_run(mapped[0], mapped[1], rows).times(mapped[0].runs).usd
    said = (
        f"pays {ends.total} requests for its start and end",
        f"answered costs {rows['an approval'].total} requests more",
        f"would be {million.actions * 0.003:,.0f} USD, against {million.durable_usd:.2f} for Durable's requests",
        f"one partition saves {polls[0] - polls[1]:.2f} USD a month",
        f"Durable carries {model.activities(*mapped):.0f} activities a run: all but {apart:.2f} USD",
        f"{million.durable_usd / million.usd:.1f}".replace("0.4", "four tenths of the money are Durable's"),
    )
    assert [words for words in said if words not in " ".join(page.split())] == []


@pytest.mark.parametrize("name", PLOTTED)
def test_a_plot_shows_what_the_model_says_now(name: str) -> None:
    assert digest(PLOTTED[name]()) in (PLOTS / f"{name}.svg").read_text("utf-8"), (
        "run `python -m docs.makers.planning_plots`"
    )
    assert f"plots/{name}.svg" in PLANNING.read_text("utf-8")


def test_every_backend_has_a_limit_for_every_shape() -> None:
    for backend in BACKENDS:
        for load in (CHAIN, FAN):
            assert 0 < model.bottleneck(backend, load, Hub()).steps < 20_000
