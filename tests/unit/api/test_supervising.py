import operator
from datetime import timedelta
from typing import Annotated

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from durablegraph.api.instances import InstanceView
from durablegraph.api.supervising import QUIET, Cure, diagnose, supervise
from durablegraph.model.messages import Cursor
from durablegraph.model.records import RunRecord, RunRequest, WaitRecord
from durablegraph.model.status import RunStatus
from durablegraph.storage import lifecycle
from durablegraph.storage.keys import run_key
from durablegraph.storage.lifecycle import UNBORN
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.stores import CountingStore
from tests.unit.execution.durably import NOW, Durably, services_for


class State(TypedDict, total=False):
    out: Annotated[list, operator.add]


class Hub:
    """A task hub that says what it is told to say, and remembers what it was asked to do."""

    def __init__(self, status="Running"):
        self.status = status
        self.started, self.rung, self.viewed = [], [], []

    async def view(self, run_id):
        self.viewed.append(run_id)
        return InstanceView(self.status) if self.status else None

    async def start(self, run_id, ticket, *, new=False):
        self.started.append((run_id, ticket))

    async def ring(self, run_id, event):
        self.rung.append((run_id, event))


def asking():
    builder = StateGraph(State)
    builder.add_node("ask", lambda _: {"out": [interrupt("ok?")]})
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return builder.compile()


@pytest.fixture
def services():
    return services_for(asking())


async def waiting(services):
    run = Durably(services)
    await run.start({"out": []})
    await run.carry()
    return run


def record(status, instances=1):
    return RunRecord(
        run_id="r", graph="g", thread_id="t", status=status, created_at=NOW, updated_at=NOW, instances=instances
    )


@pytest.mark.parametrize(
    ("status", "engine", "cure"),
    [
        (RunStatus.PENDING, None, Cure.START),
        (RunStatus.RUNNING, None, Cure.TERMINATE),
        (RunStatus.INTERRUPTED, None, Cure.TERMINATE),
        (RunStatus.RUNNING, "Terminated", Cure.TERMINATE),
        (RunStatus.INTERRUPTED, "Canceled", Cure.TERMINATE),
        (RunStatus.RUNNING, "Failed", Cure.REVIVE),
        (RunStatus.INTERRUPTED, "Failed", Cure.REVIVE),
        (RunStatus.RUNNING, "Completed", Cure.REVIVE),
        (RunStatus.PENDING, "Pending", Cure.NOTHING),
        (RunStatus.RUNNING, "Running", Cure.NOTHING),
        (RunStatus.INTERRUPTED, "Suspended", Cure.NOTHING),
    ],
)
def test_what_a_run_needs_follows_from_its_status_and_its_instances(status, engine, cure):
    assert diagnose(record(status), InstanceView(engine) if engine else None, 5) is cure


def test_a_run_that_was_revived_often_enough_is_given_up():
    assert diagnose(record(RunStatus.RUNNING, instances=5), InstanceView("Failed"), 5) is Cure.REVIVE
    assert diagnose(record(RunStatus.RUNNING, instances=6), InstanceView("Failed"), 5) is Cure.GIVE_UP


async def test_a_run_that_was_stored_but_never_started_is_started(services):
    run, hub = Durably(services), Hub(status=None)
    await run.start({"out": []})
    await supervise(services, hub, NOW)
    assert [run_id for run_id, _ in hub.started] == ["run"]
    assert (await run.record()).status is RunStatus.PENDING


async def stored(services, run_id, thread="thread", **request):
    """What a starter leaves that dies before it claims the thread."""
    wanted = RunRequest(run_id=run_id, graph="g", thread_id=thread, created_at=NOW, **request)
    run = record(RunStatus.PENDING).model_copy(
        update={"run_id": run_id, "thread_id": thread, "streams": bool(wanted.stream_mode)}
    )
    assert await services.runs.create(wanted, run)
    return run


async def test_a_run_whose_starter_died_before_it_claimed_the_thread_is_started_as_its_starter_would_have(services):
    await stored(services, "run", stream_mode=("values",))
    hub = Hub(status=None)
    await supervise(services, hub, NOW)
    assert [run_id for run_id, _ in hub.started] == ["run"]
    assert (await services.runs.thread("thread")).value.active_run == "run"
    assert [event.id for _, event in (await services.events.read("run")).events] == ["created"]


async def test_a_run_that_never_got_its_thread_fails_once_its_starter_must_be_dead(services):
    await lifecycle.claim(services.runs, await stored(services, "first"), NOW)
    await stored(services, "second")
    hub = Hub(status=None)
    await supervise(services, hub, NOW)
    assert [run_id for run_id, _ in hub.started] == ["first"]
    assert (await services.runs.load("second")).value.status is RunStatus.PENDING
    await supervise(services, hub, NOW + UNBORN)
    second = (await services.runs.load("second")).value
    assert (second.status, second.error.type) == (RunStatus.FAILED, "ThreadBusy")
    assert "first" in second.error.message
    assert (await services.runs.thread("thread")).value.active_run == "first"


async def test_a_run_that_cannot_be_looked_at_does_not_keep_the_others_waiting(services):
    for name in ("a", "b", "c"):
        run = await stored(services, name, name)
        await lifecycle.claim(services.runs, run, NOW)
    await services.objects.put(run_key("a", "record"), b"damaged")
    hub = Hub(status=None)
    assert await supervise(services, hub, NOW) == 3
    assert sorted(run_id for run_id, _ in hub.started) == ["b", "c"]


async def test_a_thousand_live_runs_have_their_turns_at_a_bounded_price_a_pass():
    store = CountingStore(MemoryObjectStore())
    services = services_for(asking(), objects=store)
    for n in range(1000):
        await lifecycle.claim(services.runs, await stored(services, f"run{n:04}", f"thread{n}"), NOW)
    hub = Hub("Running")
    for most in (16, 2):  # marks from before a run has begun are unsure, and told anew once
        hub.viewed.clear()
        for _ in range(5):
            store.start_anew()
            assert await supervise(services, hub, NOW) == 200
            assert store.tally.total <= most * 200 + 3
        assert len(set(hub.viewed)) == 1000


async def test_runs_that_wait_do_not_delay_the_look_at_those_that_work():
    services = services_for(asking())
    for n in range(300):
        run = await stored(services, f"run{n}", f"thread{n}")
        await lifecycle.claim(services.runs, run, NOW)
        await lifecycle.begin(services.runs, run, NOW)
        at = Cursor(step=1, checkpoint="c")
        asked = WaitRecord(wait=1, kind="breakpoint", next=("node",), created_at=NOW, cursor=at)
        await lifecycle.interrupt(services.runs, run, asked, NOW)
    await lifecycle.claim(services.runs, await stored(services, "working", "another"), NOW)
    hub = Hub("Running")
    await supervise(services, hub, NOW)
    await supervise(services, hub, NOW)
    assert len(set(hub.viewed)) == 301
    hub.viewed.clear()
    assert await supervise(services, hub, NOW + timedelta(minutes=1)) == 1
    assert hub.viewed == ["working"]


async def test_the_first_sweep_replaces_a_failed_instance_and_counts_it(services):
    run, hub = await waiting(services), Hub("Failed")
    await supervise(services, hub, NOW)
    assert len(hub.started) == 1
    assert (await run.record()).instances == 2


async def test_a_waiting_run_is_left_alone_for_a_while_after_a_look(services):
    await waiting(services)
    hub = Hub()
    assert await supervise(services, hub, NOW) == 1
    assert await supervise(services, hub, NOW + timedelta(minutes=1)) == 0
    assert await supervise(services, hub, NOW + QUIET) == 1


async def test_a_run_that_went_on_and_ended_is_not_remembered_for_ever(services):
    run = await waiting(services)
    await supervise(services, Hub(), NOW)
    assert services.quiet
    await lifecycle.end(services.runs, await run.record(), RunStatus.COMPLETED, NOW)
    await supervise(services, Hub(), NOW + QUIET)
    assert not services.quiet


async def test_an_answer_whose_bell_was_lost_is_rung_by_the_sweep(services):
    run, hub = await waiting(services), Hub()
    await run.give("yes")
    await supervise(services, hub, NOW)
    assert hub.rung == [("run", "resume")]


async def test_a_terminated_instance_ends_its_run_and_the_run_leaves_the_list(services):
    run = await waiting(services)
    await supervise(services, Hub("Terminated"), NOW)
    assert (await run.record()).status is RunStatus.TERMINATED
    assert (await services.runs.thread("thread")).value.active_run is None
    assert await supervise(services, Hub(), NOW) == 0
