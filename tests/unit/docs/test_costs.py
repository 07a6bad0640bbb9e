"""docs/explanation/costs.md says how many requests this code makes: they are counted here."""

import re
from collections import Counter
from typing import cast

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from docs.generate import COSTS
from docs.makers.costs import Requests, with_costs
from durablegraph.api.instances import Instances, InstanceView
from durablegraph.api.supervising import supervise
from durablegraph.services import Services
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.stores import CountingStore, Kind
from tests.unit.docs.pages import DOCS
from tests.unit.execution.durably import NOW, Durably, services_for

ROW = re.compile(r"^\| ([^|]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


class State(TypedDict, total=False):
    n: int
    to: int


class Looked:
    """Instances that all live; remembers which was looked at."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    async def view(self, run_id: str) -> InstanceView:
        self.runs.append(run_id)
        return InstanceView("Running")


def told(what: str) -> Counter[Kind]:
    """The numbers of a row of the page."""
    rows = {name.strip(): numbers for name, *numbers in ROW.findall((DOCS / "explanation/costs.md").read_text("utf-8"))}
    return +Counter(dict(zip(Kind, map(int, rows[what]), strict=True)))


def counting() -> StateGraph[State]:
    builder = StateGraph(State)
    builder.add_node("count", lambda state: {"n": state["n"] + 1})
    builder.add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: "count" if state["n"] < state["to"] else END)
    return builder


def asking() -> StateGraph[State]:
    builder = StateGraph(State)
    builder.add_node("ask", lambda _: {"n": interrupt("?")})
    builder.add_edge(START, "ask")
    return builder


async def carried(steps: int, *, modes: tuple[str, ...] = ()) -> tuple[Counter[Kind], Counter[Kind]]:
    """Requests to start a run of so many super-steps, and to carry it to its end."""
    store = CountingStore(MemoryObjectStore())
    run = Durably(services_for(counting().compile(), objects=store), cut=20)
    await run.start({"n": 0, "to": steps}, stream_mode=modes)
    started = store.start_anew()
    assert (await run.carry()).status == "completed"
    return started.requests, store.tally.requests


async def waiting(runs: int) -> tuple[Services, CountingStore]:
    store = CountingStore(MemoryObjectStore())
    services = services_for(asking().compile(), objects=store)
    for number in range(runs):
        run = Durably(services, run_id=f"run{number}", thread_id=f"thread{number}")
        await run.start({"n": 0})
        assert (await run.carry()).status == "interrupted"
    store.start_anew()
    return services, store


async def sweep(services: Services, looked: Looked) -> int:
    return await supervise(services, cast("Instances", looked), NOW)


async def test_a_start_and_a_super_step_cost_what_the_page_says() -> None:
    started, few = await carried(20)
    _, many = await carried(40)
    assert started == told("a start")
    assert Counter({kind: (many[kind] - few[kind]) // 20 for kind in Kind}) == told("a super-step")
    assert (many - few).total() <= 20 * told("a super-step").total() + 1, "segments are sealed now and then"


async def test_a_whole_run_costs_what_the_page_says() -> None:
    started, rest = await carried(1)
    assert started + rest == told("a run of one super-step, start and all")


async def test_an_event_log_costs_what_the_page_says() -> None:
    modes = ("updates", "values", "messages", "custom", "tasks")
    (_, plain_few), (_, plain_many) = await carried(20), await carried(40)
    (_, few), (_, many) = await carried(20, modes=modes), await carried(40, modes=modes)
    more = (many - few) - (plain_many - plain_few)
    assert Counter({kind: more[kind] // 20 for kind in Kind}) == told(
        "a super-step of a run with an event log, besides"
    )
    assert more.total() == 20


async def test_a_waiting_run_costs_what_the_page_says() -> None:
    looked, sweeps = Looked(), []
    for runs in (1, 11):
        services, store = await waiting(runs)
        await sweep(services, looked)
        sweeps.append(store.tally.requests)
    one, eleven = sweeps
    assert len(looked.runs) == 1 + 11
    assert Counter({kind: (eleven[kind] - one[kind]) // 10 for kind in Kind}) == told("a look at a waiting run")
    assert one - told("a look at a waiting run") == told("a sweep, besides")


async def test_the_ends_of_a_run_and_an_approval_cost_what_the_page_says() -> None:
    _, one = await carried(1)
    step, end = told("a super-step"), told("to turn to running, and to end")
    harness = Counter({Kind.READ: 1})  # the driver reads the record to see how the run ended
    assert one - step - harness == end

    store = CountingStore(MemoryObjectStore())
    run = Durably(services_for(asking().compile(), objects=store), cut=20)
    await run.start({"n": 0})
    store.start_anew()
    assert (await run.carry(lambda _: "yes")).status == "completed"
    harness = Counter({Kind.READ: 4})  # that, and to answer it reads a record twice and a wait once more than the API
    assert store.tally.requests - step - end - harness == told("an approval")


def test_the_money_is_made_of_the_requests_that_are_counted() -> None:
    page = COSTS.read_text("utf-8")
    assert with_costs(page) == page, "run `make docs`"
    dearer = page.replace("| a super-step | 1 | 1 | 0 | 0 |", "| a super-step | 1 | 2 | 0 | 0 |")
    assert dearer != page
    assert "| a million super-steps | 3,000,000 | 1,000,000 | 2,000,000 | 0 | 11.44 |" in with_costs(dearer)


def test_requests_cost_what_the_prices_say() -> None:
    assert Requests(reads=10_000, writes=10_000, lists=10_000, deletes=10_000).usd == pytest.approx(0.1144)
    assert (Requests(reads=1) + Requests(writes=2)).times(3) == Requests(reads=3, writes=6)


async def test_a_sweep_looks_at_two_hundred_runs_at_most() -> None:
    looked = Looked()
    services, _ = await waiting(201)
    assert await sweep(services, looked) == 200
    assert await sweep(services, looked) == 1
    assert len(set(looked.runs)) == 201
