"""A pytest plugin: every root `stream`/`astream` of a checkpointed graph goes through the shipped super-step.

`invoke`, `ainvoke` and `stream_events` all go through these two, so the plugin covers them. A synchronous call runs in
an event loop of its own: the library only ever calls `astream`, so that is what the synchronous tests are sent to.

Left alone are nested runs, graphs without a checkpointer, and ``durability="exit"``, which asks for intermediate
checkpoints not to exist.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from fanned import fanned
from langgraph._internal._config import ensure_config
from langgraph._internal._constants import CONFIG_KEY_CHECKPOINTER, CONFIG_KEY_TASK_ID
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.pregel import Pregel
from stepwise import Call, in_a_loop, stepwise
from stored import in_the_place_of_sqlite, on_sqlite

from durablegraph import BlobCheckpointSaver
from durablegraph.graphs.contract import StepRequest, StreamOptions

MODE = os.environ.get("CONFORMANCE_MODE", "step")
STEPS = int(os.environ.get("CONFORMANCE_STEPS", "1"))
PLAIN_STREAM = Pregel.stream
PLAIN_ASTREAM = Pregel.astream
ASYNC_METHODS = ("get_tuple", "put", "put_writes", "delete_thread", "get_delta_channel_history")

counts = {"runs": 0, "calls": 0, "tasks": 0, "stood": 0}


def taken(graph: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Call | None:
    """The call to step through, its arguments taken out of `options`; None for one that is to be left alone."""
    value = args[0] if args else options.pop("input")
    config = args[1] if len(args) > 1 else options.pop("config", None)
    merged = ensure_config(graph.config, config)
    place = merged.get("configurable", {})
    if (
        CONFIG_KEY_TASK_ID in place
        or options.get("durability") == "exit"
        or "checkpoint_during" in options
        or merged["recursion_limit"] < 1
        or "thread_id" not in place
    ):
        return None
    try:
        saver = graph._resolve_checkpointer(merged)
    except RuntimeError:
        return None
    if not isinstance(saver, BaseCheckpointSaver):
        return None
    options.pop("durability", None)
    given = dict(config or {})
    given["configurable"] = {k: v for k, v in given.get("configurable", {}).items() if k != CONFIG_KEY_CHECKPOINTER}
    control = options.pop("control", None)
    modes = options.pop("stream_mode", None)
    request = StepRequest(
        thread_id=str(place["thread_id"]),
        run_id=None,
        kind="start",
        expect=None,
        recursion_limit=merged["recursion_limit"],
        input=value,
        config=given,
        context=options.pop("context", None),
        interrupt_before=options.pop("interrupt_before", None),
        interrupt_after=options.pop("interrupt_after", None),
        steps=STEPS,
        nested=MODE == "nested",
        sticky=MODE == "sticky",
        stream=StreamOptions(
            modes=graph.stream_mode if modes is None else modes,
            subgraphs=options.pop("subgraphs", False),
            version=options.pop("version", "v1"),
            output_keys=options.pop("output_keys", None),
            extra=options,
        ),
    )
    return Call(graph, saver, request, control)


def stream(self: Any, *args: Any, **options: Any) -> Iterator[Any]:
    call = taken(self, args, dict(options))
    if call is None:
        yield from PLAIN_STREAM(self, *args, **options)
        return
    if not isinstance(call.saver, BlobCheckpointSaver):
        call.saver = _with_asynchronous_methods(call.saver)
    try:
        yield from in_a_loop(driven(_plain_again(call)))
    finally:
        _count(call)


async def astream(self: Any, *args: Any, **options: Any) -> Any:
    call = taken(self, args, dict(options))
    parts = PLAIN_ASTREAM(self, *args, **options) if call is None else driven(_plain_again(call))
    try:
        async for part in parts:
            yield part
    finally:
        await parts.aclose()
        if call is not None:
            _count(call)


def driven(call: Call) -> Any:
    return fanned(call) if MODE == "fan-out" else stepwise(call)


def _count(call: Call) -> None:
    counts["runs"] += 1
    counts["calls"] += call.steps
    counts["tasks"] += call.tasks
    counts["stood"] += call.stood


def _plain_again(call: Call) -> Call:
    """The same call of a graph whose `astream` is LangGraph's own again, whatever a test put in its place."""
    call.graph = _with_methods(call.graph, astream=PLAIN_ASTREAM)
    call.graph.__dict__ = {name: value for name, value in call.graph.__dict__.items() if name != "astream"}
    return call


def _with_asynchronous_methods(saver: Any) -> Any:
    """The same saver; its asynchronous methods are its synchronous ones, which is all that some savers have."""

    def asynchronous(name: str) -> Any:
        async def method(self: Any, *args: Any, **options: Any) -> Any:
            return getattr(self, name)(*args, **options)

        return method

    async def alist(self: Any, *args: Any, **options: Any) -> Any:
        for found in self.list(*args, **options):
            yield found

    return _with_methods(saver, alist=alist, **{f"a{name}": asynchronous(name) for name in ASYNC_METHODS})


def _with_methods(thing: Any, **methods: Any) -> Any:
    made = object.__new__(type(type(thing).__name__, (type(thing),), methods))
    made.__dict__ = thing.__dict__
    return made


def pytest_configure() -> None:
    if MODE != "plain":
        Pregel.stream, Pregel.astream = stream, astream


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if MODE == "stored":
        in_the_place_of_sqlite()
        others = [item for item in items if not on_sqlite(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if on_sqlite(item)]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    counts.update(runs=0, calls=0, tasks=0, stood=0)
    yield
    item.user_properties.extend((f"conformance_{name}", number) for name, number in counts.items())
