"""The same as `stepwise`, but each task of a super-step of several is a call of its own, all at the same time.

What the calls stream is merged into the order in which one plain super-step streams it: all starts of tasks first.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from langgraph.errors import GraphDrained
from stepwise import Call, after, plainly

from durablegraph.graphs.contract import ChunkOutcome, Replay, StepOutcome, StepRequest, StepStatus, StreamOptions
from durablegraph.graphs.describe import describe
from durablegraph.graphs.fanout import TaskStep, chunks, may_fan_out
from durablegraph.graphs.superstep import SuperStep


async def fanned(call: Call) -> AsyncIterator[Any]:
    """The parts of the whole run; raises what a plain run raises."""
    request = first = replace(call.start, fan_out_from=2)
    while True:
        made: list[StepOutcome] = []
        async with aclosing(_step(call, request, made)) as parts:
            async for part in parts:
                yield part
        if made[0].status is not StepStatus.ADVANCE:
            return
        request = after(first, made[0])
        if not may_fan_out(made[0]) or any(task.done or task.error for task in made[0].tasks):
            continue
        done: list[ChunkOutcome] = []
        async with aclosing(_tasks(call, request, made[0], done)) as parts:
            async for part in parts:
                yield part
        if failures := [failure for chunk in done for failure in chunk.failures]:
            raise failures[0].cause
        if any(chunk.asking or chunk.stopped for chunk in done):
            for part in await _tail(call, request, done):
                yield part
            return
        request = replace(request, fanned_out=True, replay=_visited([chunk.replay for chunk in done]))


async def _step(call: Call, request: StepRequest, made: list[StepOutcome]) -> AsyncIterator[Any]:
    call.steps += 1
    step = SuperStep(call.graph, call.saver, request, control=call.control)
    async with aclosing(plainly(step.parts())) as parts:
        async for part in parts:
            yield part
    if step.outcome.status is StepStatus.ADVANCE and call.control is not None and call.control.drain_requested:
        raise GraphDrained(call.control.drain_reason or "shutdown")
    made.append(step.outcome)


async def _tasks(
    call: Call, request: StepRequest, outcome: StepOutcome, made: list[ChunkOutcome]
) -> AsyncIterator[Any]:
    steps = [TaskStep(call.graph, call.saver, request, chunk, control=call.control) for chunk in chunks(outcome.tasks)]
    call.tasks += len(steps)
    ended = 0
    starts = _Starts(len(steps), call.start.stream)
    async with aclosing(_arriving(steps)) as found:
        async for at, part, error in found:
            if part is not _ENDED:
                for each in starts.arrived(at, part):
                    yield each
                continue
            ended += 1
            for each in starts.ended(at):
                yield each
            if error is not None:
                raise error
            if ended == len(steps):
                break
    made += [step.outcome for step in steps]


_ENDED = object()


async def _arriving(steps: Sequence[TaskStep]) -> AsyncIterator[Any]:
    arriving: asyncio.Queue[Any] = asyncio.Queue()

    async def run(at: int, step: TaskStep) -> None:
        error = None
        try:
            async with aclosing(step.parts()) as parts:
                async for part in parts:
                    arriving.put_nowait((at, part, None))
        except Exception as raised:
            error = raised
        arriving.put_nowait((at, _ENDED, error))

    running = [asyncio.create_task(run(at, step)) for at, step in enumerate(steps)]
    try:
        while True:
            yield await arriving.get()
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class _Starts:
    """Holds everything back until each task has shown its start, where starts are shown."""

    def __init__(self, number: int, options: StreamOptions | None) -> None:
        modes = options.modes if options else ()
        shown = {modes} if isinstance(modes, str) else set(modes)
        self._waiting = set(range(number)) if shown & {"tasks", "debug"} else set()
        self._options = options
        self._first: list[tuple[int, Any]] = []
        self._rest: list[Any] = []

    def arrived(self, at: int, part: Any) -> list[Any]:
        if not self._waiting:
            return [part]
        if _is_start(part, self._options):
            self._first.append((at, part))
        else:
            self._rest.append(part)
        return self.ended(at)

    def ended(self, at: int) -> list[Any]:
        if not self._waiting:
            return []
        self._waiting.discard(at)
        if self._waiting:
            return []
        held = [part for _, part in sorted(self._first, key=lambda found: found[0])] + self._rest
        self._first, self._rest = [], []
        return held


def _is_start(part: Any, options: StreamOptions | None) -> bool:
    inside, mode, payload = opened(part, options)
    if inside:
        return False
    if mode == "debug":
        return bool(payload.get("type") == "task")
    return mode == "tasks" and "input" in payload


def opened(part: Any, options: StreamOptions | None) -> tuple[Any, str, Any]:
    """Namespace, mode and payload of a part in any of LangGraph's shapes."""
    assert options is not None
    if options.version == "v2":
        return part["ns"], part["type"], part["data"]
    if isinstance(options.modes, str):
        inside, payload = part if options.subgraphs else ((), part)
        return inside, options.modes, payload
    return part if options.subgraphs else ((), *part)


async def _tail(call: Call, request: StepRequest, made: Sequence[ChunkOutcome]) -> list[Any]:
    """What a plain run shows last when it stops at an interrupt: the values with all finished tasks' writes."""
    options = call.start.stream
    assert options is not None
    modes = [options.modes] if isinstance(options.modes, str) else options.modes
    told = await describe(call.graph, call.saver, call.start.thread_id, stop=request.stop or 0)
    tail = []
    if any(chunk.finished for chunk in made) and "values" in modes:
        tail.append(("values", _chosen(call.graph, told.values, options.output_keys)))
    if not told.interrupts and "updates" in modes:
        tail.append(("updates", {"__interrupt__": ()}))
    return [_shaped(call.graph, mode, payload, options) for mode, payload in tail]


def _chosen(graph: Any, values: Any, keys: Any) -> Any:
    wanted = graph.stream_channels_asis if keys is None else keys
    if isinstance(graph.stream_channels_asis, str):
        return values
    return values.get(wanted) if isinstance(wanted, str) else {key: values[key] for key in wanted if key in values}


def _shaped(graph: Any, mode: str, payload: Any, options: StreamOptions) -> Any:
    if options.version == "v2":
        if mode != "values":
            return {"type": mode, "ns": (), "data": payload}
        mapper = graph._output_mapper
        return {"type": mode, "ns": (), "data": mapper(payload) if mapper else payload, "interrupts": ()}
    named = (payload,) if isinstance(options.modes, str) else (mode, payload)
    whole = ((), *named) if options.subgraphs else named
    return whole[0] if len(whole) == 1 else whole


def _visited(replays: Sequence[Replay | None]) -> Replay | None:
    """What a run that travels in time remembers after all tasks of a super-step."""
    known = [replay for replay in replays if replay is not None]
    if not known:
        return None
    places = dict.fromkeys(place for replay in known for place in replay.visited)
    return Replay(bound=known[0].bound, visited=tuple(places))
