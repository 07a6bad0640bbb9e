"""Graphs of every kind are loaded once, and one that cannot be loaded says where and why."""

import asyncio
import json
import sys
import textwrap
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.pregel import Pregel
from typing_extensions import TypedDict

from durablegraph.errors import ConfigurationError, NotFound
from durablegraph.graphs.loader import imported
from durablegraph.graphs.registry import Registry
from durablegraph.graphs.sources import Source
from tests.unit.graphs.driving import Words

SOURCE = """
from typing_extensions import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    name: str

def greet(state: State) -> State:
    return {"name": "hello"}

builder = StateGraph(State).add_node(greet).add_edge(START, "greet")
graph = builder.compile()
number = 7
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Any]:
    """Write an app of files and a langgraph.json; what it imports is forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)

    def write(graphs: dict[str, Any], files: dict[str, str], **members: Any) -> Registry:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": graphs, **members}))
        return Registry.from_file(tmp_path / "langgraph.json")

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


async def test_a_graph_is_loaded_from_its_file_with_its_schemas(app: Any) -> None:
    registry = app({"greeter": "./flows_one/greeter.py:graph"}, {"flows_one/greeter.py": SOURCE})
    assert registry.names == ("greeter",)
    loaded = await registry.load("greeter")
    assert loaded.input_schema["properties"] == {"name": {"title": "Name", "type": "string"}}
    assert loaded.output_schema["type"] == "object"
    assert await loaded.graph.ainvoke({}) == {"name": "hello"}


async def test_a_graph_is_loaded_once_however_many_ask_for_it(app: Any) -> None:
    registry = app({"greeter": "./flows_two/greeter.py:graph"}, {"flows_two/greeter.py": SOURCE})
    first, second = await asyncio.gather(registry.load("greeter"), registry.load("greeter"))
    assert first is second


async def test_a_file_is_imported_under_the_name_that_its_neighbours_use(app: Any) -> None:
    """Stored values name the module of their class, so two names of one module would be two classes."""
    registry = app(
        {"one": "./flows_three/one.py:graph", "two": "flows_three.one:graph"},
        {"flows_three/one.py": SOURCE, "flows_three/other.py": "import flows_three.one\n"},
    )
    assert (await registry.load("one")).graph is (await registry.load("two")).graph
    assert (await registry.load("one")).graph.builder.state_schema.__module__ == "flows_three.one"


async def test_a_file_whose_name_is_a_known_modules_is_still_itself(app: Any) -> None:
    registry = app({"json": "./json.py:graph"}, {"json.py": SOURCE})
    assert await (await registry.load("json")).graph.ainvoke({}) == {"name": "hello"}
    assert json.loads("1") == 1


async def test_files_of_one_name_in_three_folders_are_each_themselves(tmp_path: Path, app: Any) -> None:
    folders = ("one", "two", "three")
    app({"g": "./one/same.py:graph"}, {f"{name}/same.py": f"folder = {name!r}" for name in folders})
    found = [imported("graph 'g'", Source("./same.py", "folder"), tmp_path / name) for name in folders]
    assert found == list(folders)


async def test_variables_are_set_before_a_graph_is_imported_and_never_override(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DG_TEST_KEPT", "outside")
    monkeypatch.delenv("DG_TEST_SET", raising=False)
    source = SOURCE + "\nimport os\nfound = (os.environ['DG_TEST_SET'], os.environ['DG_TEST_KEPT'])\n"
    registry = app(
        {"g": "./flows_env/g.py:graph"},
        {"flows_env/g.py": source},
        env={"DG_TEST_SET": "file", "DG_TEST_KEPT": "file"},
    )
    await registry.load("g")
    assert sys.modules["flows_env.g"].found == ("file", "outside")
    monkeypatch.delenv("DG_TEST_SET")


@pytest.mark.parametrize(
    ("graph", "source", "said"),
    [
        ("./absent.py:graph", "", "does not exist. Correct the path"),
        ("./bad_a.py:grahp", SOURCE, "has no 'grahp'. It has the graphs builder, graph"),
        ("./bad_b.py:graph", "graph = None", "is nothing \\(None\\); expected a compiled graph"),
        ("./bad_c.py:number", SOURCE, "is a value of type int; expected"),
        (
            "./bad_d.py:graph",
            "import no_such_module_anywhere",
            "named 'no_such_module_anywhere'.*line 1.*Install",
        ),
        ("./bad_e.py:graph", "def broken(:", "line 1: .*Correct the file"),
        ("./bad_f.py:graph", "\n\nraise KeyError('OPENAI_API_KEY')", "raised KeyError: 'OPENAI_API_KEY'.*line 3"),
        ("./bad_g.py:graph", "def graph(): raise RuntimeError('no key')", "factory graph raised RuntimeError: no key"),
        ("./bad_h.py:graph", "def graph(one, two): ...", "needs the arguments one, two; expected none"),
        ("./bad_i.py:graph", "def graph(): return 3", "value of type int"),
        ("no_such_package.graphs:graph", "", "no module named 'no_such_package'"),
    ],
    ids=lambda value: str(value)[:20].strip(),
)
async def test_a_graph_that_cannot_be_loaded_says_why(app: Any, graph: str, source: str, said: str) -> None:
    place = graph.partition(":")[0].removeprefix("./")
    registry = app({"g": graph}, {place: source} if source else {})
    for _ in range(2):  # the second time it is no different
        with pytest.raises(ConfigurationError, match=f"graph 'g'(.|\n)*{said}"):
            await registry.load("g")


async def test_an_unknown_graph_names_those_that_there_are() -> None:
    registry = Registry()
    registry.register("b", builder())
    registry.register("a", builder())
    with pytest.raises(NotFound, match="there are: a, b") as error:
        await registry.load("c")
    assert error.value.facts == {"available": ["a", "b"]}


def builder() -> Any:
    return StateGraph(Words).add_node("n", lambda _: {"out": ["n"]}).add_edge(START, "n")


def plain() -> Any:
    return builder().compile()


async def later() -> Any:
    return builder()


def with_config(config: dict[str, Any]) -> Any:
    assert config == {"configurable": {}}
    return builder()


def with_defaults(name: str = "x", *, size: int = 1) -> Any:
    return builder()


@entrypoint()
async def functional(words: list[str]) -> list[str]:
    return words


@pytest.mark.parametrize(
    "given",
    [plain(), builder(), plain, later, with_config, with_defaults, functional],
    ids=("compiled", "builder", "factory", "coroutine", "with_config", "with_defaults", "functional"),
)
async def test_every_kind_of_graph_can_be_registered(given: Any) -> None:
    registry = Registry()
    registry.register("g", given)
    assert isinstance((await registry.load("g")).graph, Pregel)


async def test_context_managers_stay_open_until_the_registry_closes() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def first() -> Any:
        events.append("first in")
        yield plain()
        events.append("first out")

    @contextmanager
    def second() -> Any:
        events.append("second in")
        yield builder()
        events.append("second out")

    registry = Registry()
    registry.register("first", first)
    registry.register("second", second)
    await registry.load("first")
    await registry.load("second")
    assert events == ["first in", "second in"]
    await registry.close()
    assert events == ["first in", "second in", "second out", "first out"]


async def test_a_checkpointer_of_the_graphs_own_is_told_about() -> None:
    registry = Registry()
    registry.register("own", builder().compile(checkpointer=InMemorySaver()))
    registry.register("off", builder().compile(checkpointer=False))
    assert "InMemorySaver" in (await registry.load("own")).notices[0]
    assert "checkpointer=False" in (await registry.load("off")).notices[0]


async def test_a_context_schema_is_shown() -> None:
    @dataclass
    class Context:
        user: str

    registry = Registry()
    registry.register("g", StateGraph(Words, context_schema=Context).add_node("n", lambda _: {}).add_edge(START, "n"))
    assert (await registry.load("g")).context_schema["properties"]["user"]["type"] == "string"


async def test_a_type_without_a_schema_does_not_keep_a_graph_from_loading() -> None:
    class Odd:
        def __init__(self, value: int) -> None:
            self.value = value

    registry = Registry()
    registry.register("g", StateGraph(Odd).add_node("n", lambda _: {}).add_edge(START, "n"))
    assert (await registry.load("g")).name == "g"


async def test_untracked_channels_are_told_about() -> None:
    class Counting(TypedDict, total=False):
        calls: Annotated[int, UntrackedValue]

    registry = Registry()
    registry.register("g", StateGraph(Counting).add_node("n", lambda _: {}).add_edge(START, "n"))
    assert "UntrackedValue channels (calls)" in (await registry.load("g")).notices[0]
