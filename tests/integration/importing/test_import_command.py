"""The command may be repeated, cut short and pointed at the wrong thing, and says what it did."""

import hashlib
import json
import operator
import sqlite3
from typing import Annotated

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from durablegraph import BlobCheckpointSaver, cli
from durablegraph.errors import ConfigurationError
from durablegraph.importing.copying import Outcome, copy_thread
from durablegraph.importing.untouched import UntouchedSerializer
from durablegraph.model.records import RunRecord
from durablegraph.storage import lifecycle
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.runs import RunStore
from durablegraph.storage.sqlite import SqliteObjectStore
from tests.support.stores import WRITING, FaultStore, SimulatedCrash, When, crash
from tests.unit.execution.durably import NOW


class State(TypedDict, total=False):
    out: Annotated[list, operator.add]


def asking(question="?"):
    builder = StateGraph(State)
    builder.add_node("a", lambda _: {"out": ["a"]})
    builder.add_node("ask", lambda _: {"out": [interrupt(question)]})
    builder.add_edge(START, "a")
    builder.add_edge("a", "ask")
    return builder


def at(thread):
    return {"configurable": {"thread_id": thread}}


@pytest.fixture
def theirs(tmp_path):
    path = tmp_path / "theirs.db"
    with SqliteSaver.from_conn_string(str(path)) as saver:
        for thread in ("one", "two"):
            asking().compile(checkpointer=saver).invoke({"out": []}, at(thread))
    return path


def ours(app):
    return BlobCheckpointSaver.from_path(app / ".durablegraph" / "objects.db")


def unset(monkeypatch):
    """Settings that the command line may set for its process are gone, now and after the test."""
    for name in ("AzureWebJobsStorage", "DURABLEGRAPH_STATE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def outcomes(reports):
    return {report.thread: report.outcome for report in reports}


async def test_all_threads_are_imported_once_and_the_api_can_list_them(theirs, bring, app):
    first = await bring(f"sqlite:{theirs}")
    assert outcomes(first) == {"one": Outcome.COPIED, "two": Outcome.COPIED}
    assert [(report.checkpoints, report.writes) for report in first] == [(3, 3)] * 2
    assert outcomes(await bring(f"sqlite:{theirs}")) == {"one": Outcome.PRESENT, "two": Outcome.PRESENT}
    objects = SqliteObjectStore(app / ".durablegraph" / "objects.db")
    record = (await RunStore(objects).thread("one")).value
    assert (record.graph, record.metadata, record.active_run) == ("g", {"imported_from": "sqlite"}, None)
    assert record.created_at <= record.updated_at
    await objects.aclose()


async def test_a_dry_run_counts_and_writes_nothing(theirs, bring, app):
    reports = await bring(f"sqlite:{theirs}", dry_run=True)
    assert [(report.outcome, report.checkpoints) for report in reports] == [(Outcome.COPIED, 3)] * 2
    async with ours(app) as saver:
        assert await saver.aget_tuple(at("one")) is None


async def test_the_source_is_only_read(theirs, bring):
    before = hashlib.sha256(theirs.read_bytes()).hexdigest()
    await bring(f"sqlite:{theirs}")
    assert hashlib.sha256(theirs.read_bytes()).hexdigest() == before


async def test_only_the_threads_asked_for_are_imported(theirs, bring):
    assert outcomes(await bring(f"sqlite:{theirs}", threads=("two", "three"))) == {
        "two": Outcome.COPIED,
        "three": Outcome.REFUSED,
    }


async def test_a_copy_that_is_cut_short_anywhere_is_completed_by_the_next():
    source = InMemorySaver()
    asking().compile(checkpointer=source).invoke({"out": []}, at("t"))
    there = [each async for each in source.alist(at("t"))]
    source.serde = UntouchedSerializer()
    points = 0
    while True:
        points += 1
        raw = MemoryObjectStore()
        store = FaultStore(raw, at=points, when=When.AFTER, fault=crash, kinds=WRITING)
        try:
            await copy_thread(source, lambda s=store: saver_on(s), "t", dry_run=False)
        except SimulatedCrash:
            report = await copy_thread(source, lambda r=raw: saver_on(r), "t", dry_run=False)
            assert report.outcome in {Outcome.COMPLETED, Outcome.PRESENT}
        else:
            break
        found = [each async for each in BlobCheckpointSaver(raw).alist(at("t"))]
        assert [each.checkpoint for each in found] == [each.checkpoint for each in there]
        assert [each.pending_writes for each in found] == [each.pending_writes for each in there]
    assert points > 3


def saver_on(objects):
    return BlobCheckpointSaver(objects, serde=UntouchedSerializer())


async def test_another_thread_of_the_same_id_is_refused_and_left_alone(theirs, bring, app):
    async with ours(app) as saver:
        await asking("other").compile(checkpointer=saver).ainvoke({"out": []}, at("one"))
        before = [each async for each in saver.alist(at("one"))]
    reports = {report.thread: report for report in await bring(f"sqlite:{theirs}")}
    assert reports["one"].outcome is Outcome.REFUSED
    assert "another thread of this id is here" in reports["one"].reason
    assert reports["two"].outcome is Outcome.COPIED
    async with ours(app) as saver:
        assert [each async for each in saver.alist(at("one"))] == before


async def test_a_thread_that_went_on_here_is_present(theirs, bring, app):
    await bring(f"sqlite:{theirs}")
    async with ours(app) as saver:
        graph = asking().compile(checkpointer=saver)
        assert (await graph.ainvoke(Command(resume="yes"), at("one")))["out"] == ["a", "yes"]
    assert outcomes(await bring(f"sqlite:{theirs}"))["one"] is Outcome.PRESENT


async def test_a_thread_that_went_on_there_is_completed(theirs, bring, app):
    await bring(f"sqlite:{theirs}")
    with SqliteSaver.from_conn_string(str(theirs)) as saver:
        asking().compile(checkpointer=saver).invoke(Command(resume="yes"), at("one"))
    report = (await bring(f"sqlite:{theirs}", threads=("one",)))[0]
    assert (report.outcome, report.checkpoints) == (Outcome.COMPLETED, 1), report.reason
    async with ours(app) as saver:
        assert (await saver.aget_tuple(at("one"))).checkpoint["channel_values"]["out"] == ["a", "yes"]


async def test_a_thread_that_went_on_differently_on_both_sides_is_refused(theirs, bring, app):
    await bring(f"sqlite:{theirs}")
    async with ours(app) as saver:
        await asking().compile(checkpointer=saver).ainvoke(Command(resume="here"), at("one"))
    with SqliteSaver.from_conn_string(str(theirs)) as saver:
        asking().compile(checkpointer=saver).invoke(Command(resume="there"), at("one"))
    assert outcomes(await bring(f"sqlite:{theirs}"))["one"] is Outcome.REFUSED


async def test_a_thread_with_an_active_run_is_refused(theirs, bring, app):
    objects = SqliteObjectStore(app / ".durablegraph" / "objects.db")
    record = RunRecord(run_id="r", graph="g", thread_id="one", created_at=NOW, updated_at=NOW)
    await lifecycle.claim(RunStore(objects), record, NOW)
    await objects.aclose()
    report = (await bring(f"sqlite:{theirs}"))[0]
    assert (report.outcome, report.reason) == (Outcome.REFUSED, "run r is working on it here")


async def test_an_id_that_the_api_does_not_take_is_refused(theirs, bring):
    with SqliteSaver.from_conn_string(str(theirs)) as saver:
        asking().compile(checkpointer=saver).invoke({"out": []}, at("a/b c"))
    assert outcomes(await bring(f"sqlite:{theirs}"))["a/b c"] is Outcome.REFUSED


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("sqlite:missing.db", "there is no file missing.db"),
        ("sqlite", "there is no file"),
        ("nothing", "expected one of sqlite:PATH"),
        ("./missing.py:make", "does not exist"),
        ("json:loads", "needs|loads|expected"),
        ("postgres:postgresql://nobody@127.0.0.1:1/none", "cannot be opened: OperationalError"),
    ],
)
async def test_a_source_that_cannot_be_opened_says_why(source, said, bring):
    with pytest.raises(ConfigurationError, match=said):
        await bring(source)


async def test_a_file_that_is_no_savers_says_so(tmp_path, bring):
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE other (n)").connection.close()
    with pytest.raises(ConfigurationError, match="no such table: checkpoints"):
        await bring(f"sqlite:{tmp_path / 'empty.db'}")


async def test_any_saver_that_a_factory_of_the_app_gives_is_a_source(theirs, bring, app):
    (app / "source.py").write_text(
        "from functools import partial\n"
        "from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver\n"
        f"make = partial(AsyncSqliteSaver.from_conn_string, {str(theirs)!r})\n"
    )
    assert outcomes(await bring("./source.py:make")) == {"one": Outcome.COPIED, "two": Outcome.COPIED}


def test_the_command_line_tells_of_each_thread_and_ends_with_one_when_some_were_refused(
    theirs, app, tmp_path, capsys, monkeypatch
):
    unset(monkeypatch)
    target = f"sqlite:{tmp_path / 'target.db'}"
    command = ["import-threads", "--from", f"sqlite:{theirs}", "--app", str(app), "--to", target]
    assert cli.main([*command, "--dry-run"]) == 0
    assert "2 threads: 2 copied; 6 checkpoints (nothing was written)" in capsys.readouterr().out
    assert cli.main(command) == 0
    assert capsys.readouterr().out == (
        "one: copied, 3 checkpoints, 3 tasks' writes\ntwo: copied, 3 checkpoints, 3 tasks' writes\n"
        "2 threads: 2 copied; 6 checkpoints\n"
    )
    assert cli.main([*command, "--thread", "three"]) == 1
    assert "three: refused: the source has no such thread" in capsys.readouterr().out
    assert cli.main(["import-threads", "--from", "nothing", "--app", str(app)]) == 1
    assert "expected one of" in capsys.readouterr().err


def test_settings_come_from_local_settings_json_too(theirs, app, tmp_path, monkeypatch, capsys):
    unset(monkeypatch)
    values = {"AzureWebJobsStorage": "", "DURABLEGRAPH_STATE": str(tmp_path / "state")}
    (app / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    assert cli.main(["import-threads", "--from", f"sqlite:{theirs}", "--app", str(app)]) == 0
    assert (tmp_path / "state" / "objects.db").is_file()
