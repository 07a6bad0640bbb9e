"""Whatever commit the process dies at: nothing acknowledged is lost, and only what was in flight runs again."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import azure.durable_functions as df
import pytest

from durablegraph.host.errors import HostError
from durablegraph.host.hub.changes import DropActivity, PutActivity
from durablegraph.host.hub.client import WrongStatus, encode
from durablegraph.host.hub.clocks import VirtualClock
from durablegraph.host.hub.dispatcher import HubStopped
from durablegraph.host.hub.journal import Journal
from durablegraph.host.hub.listing import Query
from durablegraph.host.hub.state import RuntimeStatus
from durablegraph.host.hub.taskhub import TaskHub
from tests.support.hub_worker import FailingJournal, PowerCut, SdkWorker, hub_on

HUB = "TestHubName"


def make_app() -> df.DFApp:
    app = df.DFApp()
    ran: Counter[str] = Counter()
    app.ran = ran

    @app.activity_trigger(input_name="n")
    def add(n):
        ran[f"add {n}"] += 1
        return n + 1

    @app.orchestration_trigger(context_name="context")
    def counting(context):
        """Rounds of a chain, a fan-out, a child and an entity call; each round continues as new."""
        state = context.get_input() or {"round": 0, "sum": 0}
        base = state["round"] * 100
        first = yield context.call_activity("add", base)
        fan = yield context.task_all([context.call_activity("add", base + 10 + k) for k in range(3)])
        kid = yield context.call_sub_orchestrator("doubling", base + 20)
        stored = yield context.call_entity(df.EntityId("tally", context.instance_id), "add", 1)
        state = {"round": state["round"] + 1, "sum": state["sum"] + first + sum(fan) + kid + stored}
        if state["round"] < 3:
            context.continue_as_new(state)
            return None
        return state

    @app.orchestration_trigger(context_name="context")
    def doubling(context):
        yield context.create_timer(context.current_utc_datetime)
        got = yield context.call_activity("add", context.get_input())
        return 2 * got

    @app.orchestration_trigger(context_name="context")
    def patient(context):
        got = yield context.wait_for_external_event("Go")
        return got

    @app.orchestration_trigger(context_name="context")
    def sleepy(context):
        due = context.current_utc_datetime + timedelta(days=20)
        yield context.create_timer(due)
        return context.current_utc_datetime >= due

    @app.entity_trigger(context_name="context")
    def tally(context):
        total = context.get_state(lambda: 0) + context.get_input()
        context.set_state(total)
        context.set_result(total)

    return app


EXPECTED = {
    "round": 3,
    "sum": sum(
        (100 * r + 1) + sum(100 * r + 11 + k for k in range(3)) + 2 * (100 * r + 21) + (r + 1) for r in range(3)
    ),
}
_EXPECTED_CALLS = {f"add {100 * r + k}" for r in range(3) for k in (0, 10, 11, 12, 20)}


async def run_until_cut(path: Path, at: int, *, stored: bool, ran: Counter[str]) -> bool:
    """Runs one life of the process; True when it was cut off, False when the run ended before."""
    app = make_app()
    hub = hub_on(FailingJournal(path, HUB, at=at, stored=stored), SdkWorker(app))
    try:
        await hub.start()
        if hub.client.status("run") is None:
            await hub.client.start("counting", instance_id="run")
        waiting = asyncio.ensure_future(hub.client.wait("run"))
        while not waiting.done() and hub.failure is None:  # noqa: ASYNC110 -- a cut can only be seen by looking
            await asyncio.sleep(0)
        return not waiting.done()
    except (PowerCut, HubStopped):
        return True
    finally:
        ran.update(app.ran)
        await hub.stop()


@pytest.mark.parametrize("stored", [False, True], ids=["lost", "stored"])
async def test_a_death_at_any_commit_loses_nothing_and_repeats_at_most_what_was_in_flight(tmp_path, stored):
    at = 1
    while True:
        path, ran = tmp_path / f"{at}.db", Counter[str]()
        cut = await run_until_cut(path, at, stored=stored, ran=ran)
        assert not await run_until_cut(path, 10_000, stored=True, ran=ran)
        journal = Journal(path, HUB)
        instance = journal.instance("run")
        journal.close()
        assert instance is not None
        assert instance.status is RuntimeStatus.COMPLETED
        assert instance.output == f'{{"round":3,"sum":{EXPECTED["sum"]}}}'
        assert set(ran) == _EXPECTED_CALLS
        assert max(ran.values()) <= 2
        assert sum(ran.values()) - len(ran) <= 3, "more ran again than a fan-out of three can have had in flight"
        if not cut:
            break
        at += 1
    assert at > 30, "the run must be cut at many commits for this to mean something"


async def test_an_event_that_was_acknowledged_survives_a_death(tmp_path):
    first = hub_on(Journal(tmp_path / "h.db", HUB), SdkWorker(make_app()))
    await first.start()
    await first.client.start("patient", instance_id="p")
    await first.settled()
    await first.client.raise_event("p", "Go", '"now"')
    first._dispatcher._running = False  # the process is gone
    second = hub_on(Journal(tmp_path / "h.db", HUB), SdkWorker(make_app()))
    await second.start()
    assert (await second.client.wait("p", timeout=5)).output == '"now"'
    await second.stop()


async def test_a_virtual_clock_runs_twenty_days_in_no_time(tmp_path):
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    hub = hub_on(Journal(":memory:", HUB), SdkWorker(make_app()), clock=clock)
    await hub.start()
    await hub.client.start("sleepy", instance_id="s")
    await clock.advance(timedelta(days=19, hours=23))
    assert hub.client.status("s").runtime_status is RuntimeStatus.RUNNING
    await clock.advance(timedelta(hours=2))
    assert hub.client.status("s").output == "true"
    await hub.stop()


async def test_a_timer_that_fell_due_while_the_process_was_gone_fires_at_the_next_start(tmp_path):
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    first = hub_on(Journal(tmp_path / "h.db", HUB), SdkWorker(make_app()), clock=clock)
    await first.start()
    await first.client.start("sleepy", instance_id="s")
    await clock.advance(timedelta(days=1))
    await first.stop()
    later = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
    second = hub_on(Journal(tmp_path / "h.db", HUB), SdkWorker(make_app()), clock=later)
    await second.start()
    await later.advance(timedelta(days=30))
    assert second.client.status("s").output == "true"
    await second.stop()


async def test_a_file_of_another_hub_is_refused(tmp_path):
    Journal(tmp_path / "h.db", "one").close()
    with pytest.raises(HostError, match="found the hub 'one', expected 'two'"):
        Journal(tmp_path / "h.db", "two")


async def test_ended_instances_leave_memory_and_stay_readable(tmp_path):
    hub = TaskHub.open(tmp_path / "h.db", worker=(worker := SdkWorker(make_app())), index=worker.index)
    await hub.start()
    for number in range(5):
        await hub.client.start("counting", encode({"round": 2, "sum": number}), instance_id=f"c{number}")
    for number in range(5):
        await hub.client.wait(f"c{number}", timeout=10)
    await hub.settled()
    assert hub._dispatcher.machine.state.instances == {}
    assert hub.client.status("c3").runtime_status is RuntimeStatus.COMPLETED
    assert hub.client.history("c3")[1].members["Name"] == "counting"
    await hub.stop()


async def test_listings_page_in_the_order_of_ids_and_filter(tmp_path):
    hub = TaskHub.open(":memory:", worker=(worker := SdkWorker(make_app())), index=worker.index)
    await hub.start()
    for name in ("b", "a", "c"):
        await hub.client.start("patient", instance_id=f"x-{name}")
    await hub.client.start("doubling", encode(1), instance_id="y")
    await hub.client.wait("y", timeout=5)
    page = hub.client.page(Query(prefix="x-", top=2))
    assert [status.instance_id for status in page.statuses] == ["x-a", "x-b"]
    page = hub.client.page(Query(prefix="x-", top=2, start_id=page.next_id))
    assert ([status.instance_id for status in page.statuses], page.next_id) == (["x-c"], None)
    assert [status.instance_id for status in hub.client.page(Query(statuses=(RuntimeStatus.COMPLETED,))).statuses] == [
        "y"
    ]
    await hub.stop()


async def test_a_live_id_cannot_be_started_again_and_an_ended_one_can():
    hub = TaskHub.open(":memory:", worker=(worker := SdkWorker(make_app())), index=worker.index)
    await hub.start()
    await hub.client.start("patient", instance_id="p")
    with pytest.raises(WrongStatus):
        await hub.client.start("patient", instance_id="p")
    await hub.client.terminate("p", "enough")
    await hub.client.wait("p", timeout=5)
    await hub.client.start("patient", instance_id="p")
    assert hub.client.status("p").runtime_status is RuntimeStatus.PENDING
    await hub.stop()


async def test_no_more_activities_run_at_once_than_the_host_allows():
    from durablegraph.host.hub.options import DurableOptions

    worker = SdkWorker(make_app())
    running = most = 0
    invoke = worker.invoke

    async def watched(call, *, timeout):  # noqa: ASYNC109 -- the contract's word
        nonlocal running, most
        if call.kind != "activity":
            return await invoke(call, timeout=timeout)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        try:
            return await invoke(call, timeout=timeout)
        finally:
            running -= 1

    worker.invoke = watched
    hub = TaskHub.open(
        ":memory:", worker=worker, index=worker.index, options=DurableOptions(max_activities=2, timers_fire_early=False)
    )
    await hub.start()
    await hub.client.start("counting", instance_id="c")
    await hub.client.wait("c", timeout=10)
    await hub.stop()
    assert most == 2


async def test_calls_begin_before_the_commit_that_they_follow_from_and_are_answered_after_it(tmp_path):
    worker, log = SdkWorker(make_app()), []
    invoke = worker.invoke

    def begun(call, *, timeout):
        log.append(call.kind)
        return invoke(call, timeout=timeout)

    class Logged(Journal):
        def commit(self, changes):
            super().commit(changes)
            log.extend(type(change).__name__ for change in changes if isinstance(change, (PutActivity, DropActivity)))

    worker.invoke = begun
    hub = hub_on(Logged(tmp_path / "hub.db", HUB), worker)
    await hub.start()
    await hub.client.start("counting", instance_id="c")
    await hub.client.wait("c", timeout=10)
    await hub.stop()
    assert log[:5] == ["orchestrator", "activity", "PutActivity", "orchestrator", "DropActivity"]
    assert log.count("PutActivity") == log.count("activity") == log.count("DropActivity")
