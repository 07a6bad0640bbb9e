"""Runs a graph as a sequence of super-steps behind the face of one `stream` call, through the shipped `SuperStep`."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl

from durablegraph.errors import RunError
from durablegraph.graphs.contract import StepRequest, StepStatus
from durablegraph.graphs.superstep import SuperStep


@dataclass
class Call:
    """One `stream` call of a test, and how many calls of ours it took."""

    graph: Any
    saver: Any
    start: StepRequest
    control: RunControl | None
    steps: int = 0
    tasks: int = 0
    stood: int = 0


async def stepwise(call: Call) -> AsyncIterator[Any]:
    """The parts of the whole run; raises what a plain run raises."""
    request, step = call.start, SuperStep(call.graph, call.saver, call.start, control=call.control)
    try:
        while True:
            call.steps += 1
            async with aclosing(plainly(step.parts())) as parts:
                async for part in parts:
                    yield part
            outcome = step.outcome
            if outcome.status is not StepStatus.ADVANCE:
                return
            if call.control is not None and call.control.drain_requested:
                raise GraphDrained(call.control.drain_reason or "shutdown")
            request = replace(request, inside=outcome.inside) if outcome.again else after(call.start, outcome)
            if await step.go_on(request):
                call.stood += 1
            else:
                step = SuperStep(call.graph, call.saver, request, control=call.control)
    finally:
        await step.leave()


def after(start: StepRequest, outcome: Any) -> StepRequest:
    return replace(
        start,
        kind="advance",
        expect=outcome.checkpoint_id,
        stop=outcome.stop,
        replay=outcome.replay,
        inside=outcome.inside,
        input=None,
    )


async def plainly(parts: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Parts, with the graph's own exceptions instead of the library's."""
    try:
        async with aclosing(parts) as inner:
            async for part in inner:
                yield part
    except RunError as error:
        if error.__cause__ is None:
            raise
        raise error.__cause__ from error.__cause__.__cause__


def in_a_loop(parts: Any) -> Iterator[Any]:
    """Iterate an asynchronous generator in an event loop of its own, in a thread of its own, as the caller sees it.

    The thread's tasks have the caller's context variables; the next part is asked for when the caller asks for it.
    """
    context, loop = contextvars.copy_context(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        while True:
            try:
                yield _there(loop, context, parts.__anext__)
            except StopAsyncIteration:
                return
    finally:
        _there(loop, context, parts.aclose)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _there(loop: asyncio.AbstractEventLoop, context: contextvars.Context, make: Callable[[], Any]) -> Any:
    done: Future[tuple[Any, BaseException | None]] = Future()

    async def run() -> None:
        try:
            done.set_result((await make(), None))
        except BaseException as error:  # handed to the caller's thread, StopAsyncIteration too
            done.set_result((None, error))

    loop.call_soon_threadsafe(lambda: loop.create_task(run(), context=context))
    made, error = done.result()
    if error is not None:
        raise error
    return made
