"""A run that uses all of storage dies at each of its requests: it ends as a plain one, and nothing is left over."""

from datetime import timedelta
from typing import Any, cast

import pytest

from durablegraph.api.instances import Instances, InstanceView
from durablegraph.api.supervising import supervise
from durablegraph.storage.encryption import EncryptedStore, LocalKeys
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.prefixed import PrefixedStore
from durablegraph.storage.run_lists import STILLBORN
from tests.support.retaining import Place
from tests.support.stores import FaultStore, SimulatedCrash, When, crash
from tests.unit.execution.durably import NOW, Durably
from tests.unit.storage_indexes.listings import assert_lists_tell_the_records, assert_threads_follow_their_runs

from .everything import begun, services_on, told_by

_EVERY = 6
"""The requests are shared out among as many tests, of which one is quick enough for every day."""


class Hub:
    """A task hub in which every instance runs."""

    async def view(self, run_id: str) -> InstanceView:
        return InstanceView("Running")

    async def start(self, run_id: str, ticket: Any, *, new: bool = False) -> None:
        pass

    async def ring(self, run_id: str, event: str) -> None:
        pass


class Sealed:
    """Memory on a clock, below a prefix and encrypted."""

    def __init__(self) -> None:
        self.place = Place()

    def open(self, whole: ObjectStore | None = None) -> ObjectStore:
        """As a new worker opens it."""
        return EncryptedStore(
            PrefixedStore(whole or self.place.objects, "team/app"), LocalKeys({"v1": bytes(range(32))})
        )


async def a_run(objects: ObjectStore) -> Durably:
    """Carried on by whoever comes: what was answered is not answered again."""
    services = services_on(objects)
    run = await begun(services, "case:1", "run")
    await run.carry(lambda _: "fine")
    return run


async def told(objects: ObjectStore) -> tuple[Any, Any, list[Any]]:
    services = services_on(objects)
    found = await services.runs.load("run")
    assert found is not None
    state = (await services.state("g", "case:1")).values
    assert await services.runs.output("run") == state
    events = [event for _, event in await told_by(services, "run")]
    assert events[0].id == "created"
    assert events[-1].name == "end"
    return found.value.status, state, sorted({event.id for event in events if event.name == "status"})


@pytest.mark.parametrize("offset", range(_EVERY))
@pytest.mark.parametrize("when", When)
async def test_after_a_death_at_a_request_the_run_equals_a_plain_one_and_nothing_is_left(
    when: When, offset: int
) -> None:
    plain = Sealed()
    counted = FaultStore(plain.place.objects, at=0)
    await a_run(plain.open(counted))
    expected = await told(plain.open())
    for at in range(1 + offset, counted.seen + 1, _EVERY):
        sealed = Sealed()
        with pytest.raises(SimulatedCrash):
            await a_run(sealed.open(FaultStore(sealed.place.objects, at=at, when=when, fault=crash)))
        await a_run(sealed.open())
        assert await told(sealed.open()) == expected, at
        await _clean(sealed, at)


async def _clean(sealed: Sealed, at: int) -> None:
    objects = sealed.open()
    await supervise(services_on(objects), cast("Instances", Hub()), NOW + 2 * STILLBORN)
    await assert_lists_tell_the_records(objects)
    await assert_threads_follow_their_runs(objects)
    sealed.place.later(days=3)
    await sealed.place.sweep(objects, grace=timedelta(days=1))
    assert await sealed.place.strays(objects) == set(), at
