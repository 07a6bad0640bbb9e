"""A thread is erased completely, wherever the process dies on the way."""

import contextlib

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from durablegraph.errors import Conflict, DurableGraphError, NotFound, RequestError
from durablegraph.model.ids import spread_part
from durablegraph.model.messages import Cursor
from durablegraph.model.records import AnswerRecord, PendingInterrupt, RunFailure, RunRecord, RunRequest, WaitRecord
from durablegraph.model.status import RunStatus
from durablegraph.storage import lifecycle
from durablegraph.storage.prefixed import PrefixedStore
from durablegraph.storage.retention import Retention, erase_thread
from durablegraph.storage.runs import RunStore
from tests.conformance.storage.checkpoints.savers import TINY, put
from tests.support.retaining import START, Place
from tests.support.stores import FaultStore, SimulatedCrash, When, crash

THREAD = "case:7@example"


async def a_run(objects, thread, run_id, *, ends=True):
    runs = RunStore(objects)
    record = RunRecord(run_id=run_id, graph="g", thread_id=thread, created_at=START, updated_at=START)
    wanted = RunRequest(run_id=run_id, graph="g", thread_id=thread, created_at=START, metadata={"a": "b"})
    assert await runs.claim_key(f"key of {run_id}", run_id, "digest") == (run_id, True)
    assert await runs.create(wanted, record)
    await lifecycle.claim(runs, record, START)
    record = await lifecycle.begin(runs, record, START)
    question = PendingInterrupt(id="q", value="?")
    wait = WaitRecord(wait=1, kind="interrupt", cursor=Cursor(), created_at=START, interrupts=(question,))
    record = await lifecycle.interrupt(runs, record, wait, START)
    await runs.answer(run_id, 1, AnswerRecord(interrupt_id="q", value=1, digest="d", answered_at=START))
    await runs.put_failure(run_id, "c", "task", RunFailure(type="E", message="m"))
    await runs.put_output(run_id, {"a": 1})
    await objects.put(f"runs/{spread_part(run_id)}/events/000", b"{}")
    if ends:
        await lifecycle.end(runs, record, RunStatus.COMPLETED, START)
    return record


async def two_threads(place, *, ends=True, objects=None):
    objects = objects or place.objects
    saver = place.saver(objects, limits=TINY)
    for thread, runs in ((THREAD, ("one", "two")), ("other", ("three",))):
        for run in runs:
            await a_run(objects, thread, run, ends=ends or run != runs[-1])
            for namespace in ("", "sub", "sub:1|inner"):
                for n in range(4):
                    await put(saver, thread, {"n": n, "b": b"x" * 300}, namespace=namespace, metadata={"run_id": run})
    await saver.aclose()


async def of_other_threads(place):
    return [key for key in await place.keys() if not key.startswith("retention/")]


async def test_nothing_of_the_thread_is_left_and_everything_of_another_is():
    only_other, place = Place(), Place()
    await a_run(only_other.objects, "other", "three")
    await two_threads(place)
    before = set(await place.keys())
    erased = await erase_thread(place.retention(), THREAD, place.now)
    left = set(await place.keys())
    assert erased.runs == 2
    assert erased.objects == len({key for key in before - left if not key.startswith("index/")})
    assert sorted(place.purged) == ["one", "two"]
    assert set(await only_other.keys()) <= left
    for run in ("one", "two"):
        assert not [key for key in left if f"/{run}/" in key or f"={run}" in key or key.endswith(f"-{run}")]
    assert await place.saver().aget_tuple({"configurable": {"thread_id": "other"}}) is not None
    everything = b"".join([(await place.objects.get(key)).data for key in left])
    assert THREAD.encode() not in everything
    with pytest.raises(NotFound):
        await erase_thread(place.retention(), THREAD, place.now)


@pytest.mark.parametrize("when", list(When))
async def test_after_a_crash_at_any_request_the_second_call_completes_it(when):
    clean = Place()
    await two_threads(clean)
    await erase_thread(clean.retention(), THREAD, clean.now)
    expected = {key.partition("x/")[0].partition("s/")[0].partition("i/")[0] for key in await clean.keys()}
    for at in range(1, 10_000):
        place = Place()
        await two_threads(place)
        store = FaultStore(place.objects, at=at, when=when, fault=crash)
        with contextlib.suppress(SimulatedCrash):
            await erase_thread(place.retention(store), THREAD, place.now)
        with contextlib.suppress(NotFound):
            await erase_thread(place.retention(), THREAD, place.now)
        left = {key.partition("x/")[0].partition("s/")[0].partition("i/")[0] for key in await place.keys()}
        assert left == expected, at
        if store.seen < at:
            assert at > 30
            return


@pytest.mark.parametrize("at", [20, 30, 40, 50])
async def test_a_sweep_completes_an_erasure_that_nobody_repeats(at):
    place = Place()
    await two_threads(place)
    with contextlib.suppress(SimulatedCrash):
        await erase_thread(place.retention(FaultStore(place.objects, at=at, fault=crash)), THREAD, place.now)
    place.later(minutes=10)
    assert (await place.sweep()).finds["unfinished erasures"] == 1
    assert not [key for key in await place.keys() if key.startswith(("erasures/", "threads/")) and "~" in key]


async def test_a_run_that_has_not_ended_is_a_conflict_unless_it_is_stopped():
    place = Place()
    await two_threads(place, ends=False)
    before = set(await place.keys())
    with pytest.raises(Conflict) as refused:
        await erase_thread(place.retention(), THREAD, place.now)
    assert refused.value.facts["active_run"] == "two"
    assert set(await place.keys()) == before
    stopped = []

    async def stop(run):
        stopped.append(run.run_id)
        await lifecycle.end(RunStore(place.objects), run, RunStatus.TERMINATED, place.now)

    assert (await erase_thread(place.retention(), THREAD, place.now, stop=stop)).runs == 2
    assert stopped == ["two"]


async def test_no_run_starts_on_a_thread_that_is_being_erased_and_the_id_can_be_used_again():
    place = Place()
    await two_threads(place)
    with contextlib.suppress(SimulatedCrash):
        await erase_thread(place.retention(FaultStore(place.objects, at=30, fault=crash)), THREAD, place.now)
    runs = RunStore(place.objects)
    record = RunRecord(run_id="new", graph="g", thread_id=THREAD, created_at=START, updated_at=START)
    with pytest.raises(Conflict):
        await lifecycle.claim(runs, record, place.now)
    await erase_thread(place.retention(), THREAD, place.now)
    await a_run(place.objects, THREAD, "new")
    assert [run async for run in runs.of_thread(THREAD)] == ["new"]
    await put(place.saver(), THREAD, {"n": 1})


async def test_a_thread_below_a_prefix_is_erased_as_well():
    place = Place()
    below = PrefixedStore(place.objects, "app/one")
    await two_threads(place, objects=below)
    assert (await erase_thread(place.retention(below), THREAD, place.now)).runs == 2
    assert not [key for key in await place.keys() if "one/h/" in key and "case" in key]


async def test_something_that_is_written_again_and_again_is_told():
    place = Place()
    await two_threads(place)
    zombie = f"runs/{spread_part('one')}/output"

    class Haunted(FaultStore):
        async def delete_many(self, keys):
            await super().delete_many(keys)
            await self.inner.put(zombie, b"1")

    with pytest.raises(DurableGraphError, match="being written to"):
        await erase_thread(place.retention(Haunted(place.objects, at=0)), THREAD, place.now)
    await erase_thread(place.retention(), THREAD, place.now)
    assert zombie not in await place.keys()


class Undeletable(InMemorySaver):
    """A saver as somebody wrote it who needed no deletion."""

    async def adelete_thread(self, thread_id):
        raise NotImplementedError


def beside(place, own):
    """The storage of an app that has a graph with a saver of its own."""
    ours = place.retention()
    return Retention(ours.objects, ours.runs, [*ours.savers, own], ours.policy, ours.purge)


async def test_checkpoints_in_the_saver_of_a_graph_are_erased_and_looked_for():
    place, own = Place(), InMemorySaver()
    await two_threads(place)
    for thread in (THREAD, "other"):
        await put(own, thread, {"n": 1})
        await put(own, thread, {"n": 1}, namespace="sub")
    assert (await erase_thread(beside(place, own), THREAD, place.now)).runs == 2
    assert [found.config["configurable"]["thread_id"] for found in own.list(None)] == ["other", "other"]


async def test_a_saver_that_is_written_to_while_it_is_erased_is_told():
    place = Place()
    await two_threads(place)

    class Haunted(InMemorySaver):
        async def adelete_thread(self, thread_id):
            await super().adelete_thread(thread_id)
            await put(self, thread_id, {"n": 1})

    with pytest.raises(DurableGraphError, match="a checkpoint in a saver"):
        await erase_thread(beside(place, Haunted()), THREAD, place.now)


async def test_what_a_saver_cannot_delete_keeps_everything_where_it_is():
    place, own = Place(), Undeletable()
    await two_threads(place)
    before = await of_thread(place)
    await put(own, THREAD, {"n": 1})
    with pytest.raises(RequestError, match="Undeletable") as refused:
        await erase_thread(beside(place, own), THREAD, place.now)
    assert refused.value.status == 501
    assert await of_thread(place) == before
    assert (await erase_thread(beside(place, Undeletable()), THREAD, place.now)).runs == 2


async def of_thread(place):
    return [key for key in await place.keys() if key.startswith(("d/", "h/", "r/", "runs/"))]


async def test_damaged_checkpoints_are_erased_like_others():
    place = Place()
    await two_threads(place)
    for key in await place.keys("h/"):
        await place.objects.put(key, b"damaged")
    assert (await erase_thread(place.retention(), THREAD, place.now)).runs == 2
    with pytest.raises(NotFound):
        await erase_thread(place.retention(), THREAD, place.now)
