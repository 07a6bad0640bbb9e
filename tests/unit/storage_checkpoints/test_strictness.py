"""What is stored is rebuilt only as types of the graph's state and as data classes: by default, wherever it is read."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import ormsgpack
import pytest
from langgraph.checkpoint.serde.jsonplus import (
    EXT_CONSTRUCTOR_KW_ARGS,
    EXT_CONSTRUCTOR_SINGLE_ARG,
    JsonPlusSerializer,
)
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from durablegraph import BlobCheckpointSaver, opening
from durablegraph import settings as settings_module
from durablegraph.services import Services
from durablegraph.storage.checkpoints.serde import AppSerializer, TypeNotAllowedError
from tests.conformance.storage.checkpoints.savers import at, made

CALLED: list[Any] = []

SENDS = [Send("work", {"n": n, "text": ["é", None]}, timeout=n or None) for n in range(3)]


def call(given: Any) -> Any:
    """What somebody who can write to the storage would like to have called."""
    CALLED.append(given)
    return given


class Plain:
    """No data class: it could do anything when it is made."""

    def __init__(self, n: int) -> None:
        self.n = n


@dataclass
class OfTheState:
    n: int


@dataclass
class OfNoSchema:
    n: int


class State(TypedDict, total=False):
    own: OfTheState
    anything: Any


def ext(kind: int, *content: Any) -> tuple[str, bytes]:
    """A stored value that asks for a call."""
    return "msgpack", ormsgpack.packb(ormsgpack.Ext(kind, ormsgpack.packb(content)))


CALLS_A_FUNCTION = ext(EXT_CONSTRUCTOR_SINGLE_ARG, __name__, "call", "boo")
PLAIN, OWN, DATA = (
    ext(EXT_CONSTRUCTOR_KW_ARGS, __name__, name, {"n": 1}) for name in ("Plain", "OfTheState", "OfNoSchema")
)
NOT_IMPORTED = ext(EXT_CONSTRUCTOR_SINGLE_ARG, "this", "c", "boo")

Opened = Callable[..., Services]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """The services of an app with one graph, as a worker opens them; nothing is set but what the test says."""
    (tmp_path / "langgraph.json").write_text('{"graphs": {"unused": "./unused.py:graph"}}')
    monkeypatch.delenv("LANGGRAPH_STRICT_MSGPACK", raising=False)
    CALLED.clear()

    def open_(types: str = "") -> Services:
        monkeypatch.setenv("DURABLEGRAPH_ALLOWED_TYPES", types)
        services = opening.open_services(settings_module.load(), {}, tmp_path)
        builder = StateGraph(State)
        builder.add_node("node", lambda state: state)
        builder.add_edge(START, "node")
        builder.add_edge("node", END)
        services.graphs.register("graph", builder.compile())
        return services

    return open_


async def serde_of(services: Services) -> Any:
    return services.saver_of(await services.graphs.load("graph")).serde


async def test_types_of_the_graphs_state_and_data_classes_are_rebuilt(opened: Opened) -> None:
    serde = await serde_of(opened())
    assert serde.loads_typed(OWN) == OfTheState(1)
    assert serde.loads_typed(DATA) == OfNoSchema(1)


async def test_the_graphs_own_types_reach_a_saver_that_knows_no_other(opened: Opened) -> None:
    services = opened()
    services.kept.saver = BlobCheckpointSaver(services.objects)
    with pytest.raises(TypeNotAllowedError):
        services.saver.serde.loads_typed(OWN)
    serde = await serde_of(services)
    assert serde.loads_typed(OWN) == OfTheState(1)
    with pytest.raises(TypeNotAllowedError):
        serde.loads_typed(DATA)


async def test_nothing_else_is_called_or_imported(opened: Opened) -> None:
    serde = await serde_of(opened())
    for stored in (CALLS_A_FUNCTION, NOT_IMPORTED):
        with pytest.raises(TypeNotAllowedError):
            serde.loads_typed(stored)
    assert CALLED == []
    assert "this" not in sys.modules
    assert opened("*").saver.serde.loads_typed(CALLS_A_FUNCTION) == "boo"  # the stored bytes do ask for the call
    assert CALLED == ["boo"]


async def test_a_class_that_is_no_data_class_is_refused_unless_the_setting_names_it(opened: Opened) -> None:
    with pytest.raises(TypeNotAllowedError, match="Plain"):
        (await serde_of(opened())).loads_typed(PLAIN)
    assert (await serde_of(opened(f"{__name__}:Plain"))).loads_typed(PLAIN).n == 1


async def test_a_checkpoint_that_asks_for_a_call_is_refused_when_it_is_read(opened: Opened) -> None:
    services = opened()
    saver = services.saver_of(await services.graphs.load("graph"))

    class Writer(type(saver.serde)):  # type: ignore[misc]  # whatever class the app's is
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            return CALLS_A_FUNCTION if obj == "evil" else super().dumps_typed(obj)

    writing = saver.with_allowlist([])
    writing.serde = Writer()
    checkpoint = made({"anything": "evil"})
    await writing.aput(
        at("thread"), checkpoint, {"source": "loop", "step": 0, "parents": {}}, checkpoint["channel_versions"]
    )
    with pytest.raises(TypeNotAllowedError):
        await saver.aget_tuple(at("thread"))
    assert CALLED == []
    await services.objects.aclose()


async def test_a_cached_result_that_asks_for_a_call_is_a_miss(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    services = opened()
    cache = services.kept.node_cache
    assert cache is not None
    names = (("node",), "evil"), (("node",), "data")
    loads = cache.serde.loads_typed
    cache.serde = type(
        "Writer", (), {"dumps_typed": lambda _, value: value, "loads_typed": lambda _, data: loads(data)}
    )()
    await cache.aset({names[0]: (CALLS_A_FUNCTION, None), names[1]: (DATA, None)})
    assert await cache.aget(names) == {names[1]: OfNoSchema(1)}
    assert CALLED == []
    assert "cannot be read; the node runs again" in caplog.text
    await services.objects.aclose()


@dataclass
class Kept:
    """A data class that no schema names."""

    number: int


def test_a_type_that_no_schema_names_is_rebuilt_every_time() -> None:
    serde = AppSerializer()
    written = serde.dumps_typed(Kept(1))

    assert [serde.loads_typed(written) for _ in range(3)] == [Kept(1)] * 3


@pytest.mark.parametrize(
    "value", [SENDS[0], SENDS[1], SENDS, [], [*SENDS, "a node"], [Send("inner", SENDS)], (SENDS[0], 1)], ids=repr
)
def test_sends_are_stored_byte_for_byte_as_langgraph_stores_them(value):
    stored = AppSerializer().dumps_typed(value)
    assert stored == JsonPlusSerializer().dumps_typed(value)
    read = AppSerializer().loads_typed(stored)
    assert read == ([*value] if isinstance(value, tuple) else value)
