"""A graph's own saver is opened once per worker, set up once, and used asynchronously whatever it is."""

import asyncio
import json
import sqlite3
import sys
import textwrap
from contextlib import asynccontextmanager, contextmanager

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from durablegraph import BlobCheckpointSaver
from durablegraph.errors import ConfigurationError, TransientError
from durablegraph.graphs.registry import Registry
from durablegraph.storage.memory import MemoryObjectStore
from tests.unit.execution.durably import Durably, services_for
from tests.unit.graphs.driving import chain

AT = {"configurable": {"thread_id": "thread", "checkpoint_ns": ""}}


def graph(**compiled):
    return chain(("a", lambda _: {"out": ["a"]}), **compiled)


class Own(BlobCheckpointSaver):
    """A saver of somebody's own that has to be set up, and notes it."""

    def __init__(self, fails=0, error=ConnectionRefusedError):
        super().__init__(MemoryObjectStore())
        self.setups, self.fails, self.error = 0, fails, error

    async def setup(self):
        self.setups += 1
        if self.setups <= self.fails:
            raise self.error("no")


async def loaded(given=None, **compiled):
    registry = Registry()
    registry.register("g", graph(**compiled), checkpointer=given)
    return await registry.load("g")


async def test_a_graph_runs_on_the_saver_that_it_was_compiled_with(tmp_path):
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "own.db")) as own:
        found = await loaded(checkpointer=own)
        services = services_for(found.graph, checkpointer=found.checkpointer)
        run = Durably(services)
        await run.start({"out": []})
        assert (await run.carry()).status == "completed"
        assert (await own.aget_tuple(AT)).checkpoint["channel_values"]["out"] == ["a"]
        assert await services.saver.aget_tuple(AT) is None
        assert (await services.state("g", "thread")).values == {"out": ["a"]}
        assert await services.head("g", "thread") == (await own.aget_tuple(AT)).checkpoint["id"]
    assert "AsyncSqliteSaver, which cannot refuse a late commit" in found.notices[0]


async def test_a_saver_in_memory_is_not_used_where_a_graph_was_compiled_with_it():
    assert (await loaded(checkpointer=InMemorySaver())).checkpointer is None


async def test_a_saver_in_memory_is_refused_where_it_is_asked_for():
    with pytest.raises(ConfigurationError, match="InMemorySaver, which forgets everything"):
        await loaded(InMemorySaver())


async def test_the_saver_given_in_code_wins_over_the_one_compiled_in():
    given, compiled = Own(), Own()
    assert (await loaded(given, checkpointer=compiled)).checkpointer is given


async def test_a_saver_that_fences_is_told_nothing_about():
    assert (await loaded(Own())).notices == ()


def factories(events):
    @asynccontextmanager
    async def manager():
        events.append("opened")
        yield Own()
        events.append("closed")

    @contextmanager
    def sync_manager():
        events.append("opened")
        yield Own()
        events.append("closed")

    async def returns():
        return Own()

    def returns_manager(config):
        return manager()

    return {"manager": manager, "sync": sync_manager, "returns": returns, "returns manager": returns_manager}


@pytest.mark.parametrize("name", ["manager", "sync", "returns", "returns manager"])
async def test_a_factory_is_called_once_and_what_it_made_is_set_up_once_and_closed(name):
    events = []
    registry = Registry()
    registry.register("g", graph(), checkpointer=factories(events)[name])
    found = await asyncio.gather(*(registry.load("g") for _ in range(5)))
    saver = found[0].checkpointer
    assert isinstance(saver, Own)
    assert {id(each.checkpointer) for each in found} == {id(saver)}
    assert saver.setups == 1
    await registry.close()
    assert events == ([] if name == "returns" else ["opened", "closed"])


def test_what_was_opened_is_closed_when_the_workers_loop_ends():
    events = []

    async def worker():
        registry = Registry()
        registry.register("g", graph(), checkpointer=factories(events)["manager"])
        await registry.load("g")
        assert events == ["opened"]

    asyncio.run(worker())
    assert events == ["opened", "closed"]


async def test_workers_that_set_up_the_same_tables_at_once_try_again():
    own = Own(fails=2, error=sqlite3.IntegrityError)
    assert (await loaded(own)).checkpointer is own
    assert own.setups == 3


async def test_a_service_that_does_not_answer_may_answer_later():
    registry, own = Registry(), Own(fails=3)
    registry.register("g", graph(), checkpointer=own)
    with pytest.raises(TransientError, match=r"setup\(\) of its Own raised ConnectionRefusedError: no"):
        await registry.load("g")
    assert (await registry.load("g")).checkpointer is own


@pytest.mark.parametrize("error", [ConnectionRefusedError, sqlite3.OperationalError, TimeoutError])
async def test_a_factory_that_does_not_reach_its_service_may_be_called_again(error):
    calls = []

    @asynccontextmanager
    async def make():
        calls.append(1)
        if len(calls) == 1:
            raise error("no")
        yield Own()

    registry = Registry()
    registry.register("g", graph(), checkpointer=make)
    with pytest.raises(TransientError, match="the checkpointer of graph 'g': its factory"):
        await registry.load("g")
    assert isinstance((await registry.load("g")).checkpointer, Own)


async def test_a_graph_whose_own_factory_does_not_reach_its_service_may_be_loaded_later():
    def make():
        raise ConnectionRefusedError("no")

    registry = Registry()
    registry.register("g", make)
    with pytest.raises(TransientError):
        await registry.load("g")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, "is a value of type int; expected a BaseCheckpointSaver"),
        (lambda: None, r"is nothing \(None\); expected"),
        (lambda a, b: a or b, "needs the arguments a, b"),
        (lambda: 1 / 0, "ZeroDivisionError"),
    ],
)
async def test_what_is_no_saver_is_refused(given, said):
    with pytest.raises(ConfigurationError, match=said):
        await loaded(given)


async def test_a_synchronous_saver_is_asked_in_threads(tmp_path):
    with SqliteSaver.from_conn_string(str(tmp_path / "own.db")) as own:
        found = await loaded(own)
        assert isinstance(found.checkpointer, SqliteSaver)
        assert await found.checkpointer.aget_tuple(AT) is None
        run = Durably(services_for(found.graph, checkpointer=found.checkpointer), thread_id="thread")
        await run.start({"out": []})
        await run.carry()
        assert own.get_tuple(AT).checkpoint["channel_values"]["out"] == ["a"]
        await found.checkpointer.adelete_thread("thread")
        assert own.get_tuple(AT) is None


APP = {
    "graphs.py": """
        from typing_extensions import TypedDict
        from langgraph.graph import START, StateGraph

        class State(TypedDict, total=False):
            n: int

        builder = StateGraph(State).add_node("a", lambda state: {"n": 1}).add_edge(START, "a")
    """,
    "saver.py": """
        from contextlib import asynccontextmanager
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        opened = []

        @asynccontextmanager
        async def make():
            opened.append(1)
            async with AsyncSqliteSaver.from_conn_string("app.db") as saver:
                yield saver
    """,
}


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    for name, text in APP.items():
        (tmp_path / name).write_text(textwrap.dedent(text))

    def write(checkpointer):
        content = {"graphs": dict.fromkeys("ab", "./graphs.py:builder"), "checkpointer": checkpointer}
        (tmp_path / "langgraph.json").write_text(json.dumps(content))
        return Registry.from_file(tmp_path / "langgraph.json")

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


async def test_langgraph_json_names_one_saver_for_all_graphs(app):
    registry = app({"path": "./saver.py:make"})
    first, second = [(await registry.load(name)).checkpointer for name in "ab"]
    assert first is second
    assert isinstance(first, AsyncSqliteSaver)
    assert sys.modules["saver"].opened == [1]
    registry.register("own", graph(), checkpointer=Own())
    assert isinstance((await registry.load("own")).checkpointer, Own)
    await registry.close()


@pytest.mark.parametrize(
    ("checkpointer", "said"),
    [
        ("./saver.py:make", '"checkpointer" is "./saver.py:make"; expected an object'),
        ({"path": "saver"}, r'"checkpointer.path" is "saver"; expected "./path/to/file.py:attribute"'),
        ({"path": 7}, '"checkpointer.path" is 7'),
    ],
)
def test_a_wrong_checkpointer_in_langgraph_json_is_named(app, checkpointer, said):
    with pytest.raises(ConfigurationError, match=said):
        app(checkpointer)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("./missing.py:make", "does not exist"),
        ("./saver.py:mkae", "has no 'mkae'"),
        ("./saver.py:opened", "of type list"),
    ],
)
async def test_a_saver_that_cannot_be_loaded_says_where(app, path, said):
    with pytest.raises(ConfigurationError, match=said) as refused:
        await app({"path": path}).load("a")
    assert "the checkpointer of langgraph.json" in str(refused.value)
