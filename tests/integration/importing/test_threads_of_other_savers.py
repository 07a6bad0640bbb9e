"""Whatever a saver holds is the same here after an import: values, ids, parents, metadata, writes, namespaces."""

import sys
import types

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from durablegraph import BlobCheckpointSaver
from durablegraph.graphs.jsonable import jsonable
from durablegraph.importing.copying import Outcome, copy_thread
from durablegraph.importing.untouched import UntouchedSerializer, leave_untouched
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.catalogue import CASES
from tests.support.plain import OVER, PlainRun, compiled, config_of, history_of, next_input, run_plainly, without_chance
from tests.unit.execution.durably import Durably, services_for

PLAIN = {"configurable": {"thread_id": "plain"}}


class Counting(InMemorySaver):
    """A saver whose versions are whole numbers, as `BaseCheckpointSaver` makes them."""

    def get_next_version(self, current, channel):
        return BaseCheckpointSaver.get_next_version(self, current, channel)


async def opened(kind, folder, stack):
    if kind == "memory":
        return InMemorySaver()
    if kind == "counting":
        return Counting()
    return await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(folder / "theirs.db")))


@pytest.fixture
async def stack():
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as found:
        yield found


def ours(objects):
    return BlobCheckpointSaver(objects, allowed_types=True)


async def copied(theirs, objects, thread="plain", **more):
    """Import one thread from a saver whose values are left as they are, which changes it for good."""
    kept, theirs.serde = theirs.serde, theirs.serde
    leave_untouched(theirs)
    try:
        return await copy_thread(
            theirs,
            lambda: BlobCheckpointSaver(objects, serde=UntouchedSerializer()),
            thread,
            **{"dry_run": False, **more},
        )
    finally:
        theirs.serde = kept


async def everything(saver, thread="plain"):
    """All that a saver tells of a thread, oldest first."""
    found = [each async for each in saver.alist({"configurable": {"thread_id": thread}})]
    told = []
    for each in sorted(found, key=lambda one: (one.checkpoint["id"], one.config["configurable"]["checkpoint_ns"])):
        parent = each.parent_config and each.parent_config["configurable"]["checkpoint_id"]
        writes = [(task, channel, repr(value)) for task, channel, value in each.pending_writes]
        values = {name: repr(value) for name, value in each.checkpoint["channel_values"].items()}
        told.append(
            (
                each.config["configurable"]["checkpoint_ns"],
                each.checkpoint["id"],
                each.checkpoint["ts"],
                parent,
                each.metadata,
                values,
                sorted(writes),
                each.checkpoint.get("updated_channels"),
            )
        )
    return told


SOME = sorted({*list(CASES)[::8], "delta_channel", "delta_channel_in_parallel"})


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, "sqlite") for name in CASES), *((name, kind) for name in SOME for kind in ("memory", "counting"))],
)
async def test_an_imported_thread_is_the_same(kind, name, stack, tmp_path):
    theirs, objects = await opened(kind, tmp_path, stack), MemoryObjectStore()
    await run_plainly(CASES[name], tmp_path / "ran", theirs)

    report = await copied(theirs, objects)

    there = await everything(theirs)
    assert (report.outcome, report.checkpoints) == (Outcome.COPIED, len(there))
    assert await everything(ours(objects)) == there
    graph = compiled(CASES[name].build(), theirs)
    try:
        history = await history_of(graph, PLAIN)
    except Exception:  # LangGraph itself cannot show it
        history = None
    if history is not None:
        graph.checkpointer = ours(objects)
        assert await history_of(graph, PLAIN) == history
    assert (await copied(theirs, objects)).outcome is Outcome.PRESENT


ASKING = [name for name, case in CASES.items() if (case.asks or case.stops) and name != "nested_untracked_value"]
"""Not the one whose UntrackedValue lasts as long as its run: the run that finishes it is a new one."""


@pytest.mark.parametrize("name", ASKING)
async def test_a_run_that_waits_is_imported_and_finished_durably(name, tmp_path, stack):
    case = CASES[name]
    plain = await run_plainly(case, tmp_path / "plain")
    theirs = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(tmp_path / "theirs.db")))
    graph = compiled(case.build(), theirs)
    told, given = PlainRun(), case.input
    try:
        await graph.ainvoke(given, config_of(case, "plain"), context=case.context)
    except Exception:
        pytest.skip("it fails before it asks")
    given = next_input(await graph.aget_state(config_of(case, "plain")), case.answer, told)
    if given is OVER or case.later:
        pytest.skip("it does not wait in its only run")
    objects = MemoryObjectStore()
    assert (await copied(theirs, objects)).outcome is Outcome.COPIED

    run = Durably(services_for(graph, objects=objects), cut=2, deliveries=2, thread_id="plain")
    command = {"resume": given.resume} if isinstance(given, Command) else None
    await run.start(None, command=command, config=dict(case.config), context=case.context)

    def answer(wait):
        if wait.kind == "breakpoint":
            return None
        answers = {item.id: case.answer(item.value) for item in wait.interrupts}
        return answers if len(answers) > 1 else next(iter(answers.values()))

    record = await run.carry(answer)
    assert record.status == ("failed" if plain.error else "completed")
    if not plain.error:
        assert jsonable(without_chance(await run.output())) == jsonable(plain.output)
    graph.checkpointer = ours(objects)
    if plain.unreadable is None:
        assert await history_of(graph, PLAIN) == plain.history


async def test_threads_come_from_postgres(postgres, bring, app, tmp_path):
    async with AsyncPostgresSaver.from_conn_string(postgres) as theirs:
        await theirs.setup()
        await theirs.adelete_thread("plain")
        await run_plainly(CASES[ASKING[0]], tmp_path / "ran", theirs)
        there = await everything(theirs)
    reports = await bring(f"postgres:{postgres}", threads=("plain",))
    assert [report.outcome for report in reports] == [Outcome.COPIED]
    async with BlobCheckpointSaver.from_path(app / ".durablegraph" / "objects.db", allowed_types=True) as saver:
        assert await everything(saver) == there
    assert "plain" in {report.thread for report in await bring(postgres, dry_run=True)}


async def test_a_class_that_cannot_be_imported_here_comes_along(tmp_path):
    """A value's class is not needed to copy it, and is there again where it can be imported."""
    from dataclasses import make_dataclass

    module = types.ModuleType("elsewhere")
    sys.modules["elsewhere"] = module
    module.Order = make_dataclass("Order", [("number", int)])
    module.Order.__module__ = "elsewhere"
    theirs, objects = InMemorySaver(), MemoryObjectStore()
    from tests.unit.graphs.driving import chain

    await chain(("a", lambda _: {"out": [module.Order(7)]}), checkpointer=theirs).ainvoke({"out": []}, PLAIN)
    del sys.modules["elsewhere"]
    assert (await copied(theirs, objects)).outcome is Outcome.COPIED
    sys.modules["elsewhere"] = module
    try:
        found = await ours(objects).aget_tuple(PLAIN)
        assert found.checkpoint["channel_values"]["out"] == [module.Order(7)]
    finally:
        del sys.modules["elsewhere"]
