"""What a run loses on a saver that is not ours: an attempt that was given up can commit, if it is late enough.

Each test does the same with our saver, which refuses. docs/how-to/bring-another-saver.md tells of both.
"""

import asyncio
import uuid
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from durablegraph.errors import StaleHead
from durablegraph.graphs.jsonable import jsonable
from durablegraph.storage.checkpoints import BlobCheckpointSaver
from durablegraph.storage.memory import MemoryObjectStore
from tests.unit.execution.durably import Durably, services_for
from tests.unit.graphs.driving import Driver, chain

pytestmark = pytest.mark.parametrize("kind", ["postgres", "sqlite", "sync sqlite", "ours"], indirect=True)


@dataclass
class Gate:
    """Where an attempt stands still: it has compared the head and is about to store its checkpoint."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)


def held(saver, gate):
    """The same saver for one attempt whose process stands still in its first save, for as long as the gate is shut."""

    class Held(type(saver)):
        async def aput(self, *given, **more):
            gate.reached.set()
            await gate.opened.wait()
            return await super().aput(*given, **more)

    made = object.__new__(Held)
    made.__dict__ = saver.__dict__
    return made


class SlowServices:
    """The services of a worker that stands still."""

    def __init__(self, services, gate):
        self._services, self._gate = services, gate

    def __getattr__(self, name):
        return getattr(self._services, name)

    def attempt(self, *given, **more):
        return held(self._services.attempt(*given, **more), self._gate)


@pytest.fixture
def store(kind, request):
    return BlobCheckpointSaver(MemoryObjectStore()) if kind == "ours" else request.getfixturevalue("saver")


def attempt(saver):
    """As `Services.attempt` makes it."""
    return saver.attempt() if isinstance(saver, BlobCheckpointSaver) else saver


async def delivered(driver, saver, request):
    """What Durable's retries do: again, with an attempt that reads the head anew, while somebody else has moved it."""
    while True:
        driver.saver = attempt(saver)
        with suppress(StaleHead):
            return await driver.deliver(request)


def says(word):
    return lambda _: {"out": [word]}


async def at_the_second_node(saver):
    graph = chain(("a", says("a")), ("b", says("b")), ("c", says("c")))
    driver = Driver(graph, attempt(saver), thread=uuid.uuid4().hex)
    await driver.deliver(driver.request("start", input={"out": []}))
    return driver


async def steps(driver, saver):
    return [found.metadata["step"] async for found in saver.alist(driver.at)]


async def test_an_attempt_that_looks_after_another_has_committed_is_refused_on_every_saver(store):
    driver = await at_the_second_node(store)
    request = driver.request("advance")
    late = attempt(store)
    driver.saver = attempt(store)
    await driver.deliver(request)
    await driver.deliver(driver.request("advance"))

    driver.saver = late
    with pytest.raises(StaleHead):
        await driver.deliver(request)
    assert await steps(driver, store) == [3, 2, 1, 0, -1]


async def test_an_attempt_that_stands_still_while_it_saves_commits_late(kind, store):
    driver = await at_the_second_node(store)
    request, gate = driver.request("advance"), Gate()
    zombie = Driver(driver.graph, held(attempt(store), gate), thread=driver.fixed["thread_id"])
    zombie.outcomes = [*driver.outcomes]
    late = asyncio.create_task(zombie.deliver(request))
    await gate.reached.wait()
    await delivered(driver, store, request)
    gate.opened.set()

    if kind == "ours":
        with pytest.raises(StaleHead):
            await late
        assert await steps(driver, store) == [2, 1, 0, -1]
    else:
        assert (await late).checkpoint_id != driver.last.checkpoint_id
        assert await steps(driver, store) == [2, 2, 1, 0, -1]  # the super-step is in the history twice
    driver.saver = attempt(store)
    assert await driver.run_on() == {
        "out": ["a", "b", "c"]
    }  # the run goes on from the newer one: the other is a branch


async def test_when_the_answer_is_of_the_older_commit_the_run_needs_a_new_instance(kind, store):
    """Two attempts at once, and Durable hears of the one whose checkpoint is the older: its head is another."""
    graph = chain(("a", says("a")), ("b", says("b")), ("c", says("c")))
    given = {"saver": store} if kind == "ours" else {"checkpointer": store}
    services = services_for(graph, sticky_seconds=0, **given)  # of two workers, who share no loops
    run = Durably(services, cut=100, retries=0, thread_id=uuid.uuid4().hex)
    await run.start({"out": []})
    gate, calls = Gate(), 0

    async def deliver(activity):
        nonlocal calls
        calls += 1
        if calls != 2:
            return await run.attempt(activity.name, activity.call)
        run.services = SlowServices(services, gate)
        answered = asyncio.create_task(run.attempt(activity.name, activity.call))
        await gate.reached.wait()
        run.services = services
        await run.attempt(activity.name, activity.call)
        gate.opened.set()
        return await answered

    run._deliver = deliver
    with suppress(StaleHead):
        await run.carry()
    assert any(isinstance(error, StaleHead) for error in run.errors)

    again = Durably(services, cut=100, thread_id=run.thread_id)  # what the supervisor does
    assert (await again.carry()).status == "completed"
    assert jsonable(await again.output()) == {"out": ["a", "b", "c"]}
