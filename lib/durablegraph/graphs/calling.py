"""Makes of a compiled graph and a request what LangGraph's `astream` is called with."""

import copy
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore

from durablegraph.graphs.contract import AtOnce, StepRequest
from durablegraph.graphs.internals import RESUMING, STREAM, Graph, listening
from durablegraph.graphs.limits import count_over_the_run
from durablegraph.graphs.run_scoped import kept_within_run, untracked
from durablegraph.graphs.saver_view import Watch, watched


def prepared(
    graph: Graph,
    saver: BaseCheckpointSaver[Any],
    watch: Watch,
    *,
    stop: int | None,
    store: BaseStore | None,
    cache: BaseCache[Any] | None,
) -> Graph:
    """A copy of the graph that saves through `watch` and counts its steps towards `stop`; nodes are shared."""
    made = copy.copy(graph)
    made.checkpointer = watched(saver, watch)
    if store is not None:
        made.store = store
    if cache is not None:
        made.cache = cache
    if stop is not None:
        made.channels = count_over_the_run(graph, stop)
    if untracked(graph):
        made.channels = kept_within_run(made.channels)
    return made


def call_config(
    request: StepRequest, *, resuming: bool | None, addressed: bool = False, at_once: AtOnce | None = None
) -> RunnableConfig:
    """The caller's config with the thread, the limit and the flag set; `addressed` keeps the checkpoint it names.

    `at_once` is called as the stream options say, where they ask for it.
    """
    place: dict[str, Any] = {**request.config.get("configurable", {}), "thread_id": request.thread_id}
    if not addressed:
        place.pop("checkpoint_id", None)
        place.pop("checkpoint_map", None)
    if resuming is not None:
        place[RESUMING] = resuming
    if at_once is not None and request.stream is not None and request.stream.at_once is not None:
        place[STREAM] = listening(at_once)
    config: Any = {**request.config, "configurable": place, "recursion_limit": request.recursion_limit}
    return config  # type: ignore[no-any-return]  # a TypedDict made by merging


def head_of(thread_id: str) -> RunnableConfig:
    """The config that addresses a thread's head."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
