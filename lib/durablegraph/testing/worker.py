"""The worker as a test sees it: counts, records, repeats, and dies where the test says."""

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from durablegraph.host.invocation import FunctionIndex, Invocation, InvocationResult, Worker
from durablegraph.testing.differences import change_of_mind
from durablegraph.testing.journaling import ActivityCall, Record, Turn
from durablegraph.testing.lives import Life
from durablegraph.testing.moments import What, When


class Deliveries:
    """Which activities are delivered twice; None among the names stands for all."""

    def __init__(self) -> None:
        self.twice: set[str | None] = set()

    def of(self, name: str) -> int:
        """How often an activity of this name runs for each call."""
        return 2 if {None, name.lower()} & self.twice else 1


class WatchedWorker:
    """Wraps the worker of one life. When that life is over, no call returns: nobody is there to hear it."""

    def __init__(self, inner: Worker, life: Life, record: Record, deliveries: Deliveries) -> None:
        self._inner, self._life, self._record, self._deliveries = inner, life, record, deliveries
        self._names: Mapping[str, str] = {}
        self.in_flight: dict[str, Invocation] = {}

    async def start(self) -> FunctionIndex:
        """Load the app."""
        index = await self._inner.start()
        self._names = {function.name: function.durable_name for function in index.functions}
        return index

    async def invoke(self, call: Invocation, *, timeout: float | None) -> InvocationResult:  # noqa: ASYNC109 -- the contract's word
        """Run one call."""
        self.in_flight[call.id] = call
        try:
            match call.kind:
                case "activity":
                    result = await self._activity(call, timeout)
                case "orchestrator":
                    result = await self._turn(call, timeout)
                case _:
                    result = await self._inner.invoke(call, timeout=timeout)
        except BaseException:
            if self._life.dead and not _cancelled():
                await _never()
            raise
        finally:
            self.in_flight.pop(call.id, None)
        if self._life.dead:
            await _never()
        return result

    async def stop(self) -> None:
        """Forget the app."""
        await self._inner.stop()

    async def _activity(self, call: Invocation, timeout: float | None) -> InvocationResult:  # noqa: ASYNC109 -- as above
        name = self._names.get(call.function, call.function)
        if self._life.reach(What.ACTIVITY, When.BEFORE, name):
            await _never()
        for _ in range(self._deliveries.of(name) - 1):
            await self._run(name, call, timeout)
        return await self._run(name, call, timeout)

    async def _run(self, name: str, call: Invocation, timeout: float | None) -> InvocationResult:  # noqa: ASYNC109 -- as above
        given = next((str(datum.value) for datum in call.inputs.values() if datum.kind == "string"), "null")
        self._record.activities.append(ActivityCall(name, call.instance_id or "", given))
        result = await self._inner.invoke(call, timeout=timeout)
        if self._life.reach(What.ACTIVITY, When.AFTER, name):
            await _never()
        return result

    async def _turn(self, call: Invocation, timeout: float | None) -> InvocationResult:  # noqa: ASYNC109 -- as above
        """Run the turn twice: the second answer has to be the first one."""
        first = turn_of(call, await self._inner.invoke(call, timeout=timeout))
        second = await self._inner.invoke(call, timeout=timeout)
        name = self._names.get(call.function, call.function)
        if told := change_of_mind(name, first, turn_of(call, second)):
            self._record.changes_of_mind.append(told)
        self._record.add(call.instance_id or "", first)
        return second


def turn_of(call: Invocation, result: InvocationResult) -> Turn:
    """A call of an orchestrator and its result as a turn."""
    request = str(next(datum.value for datum in call.inputs.values()))
    if result.error is not None:
        return Turn(request, None, result.error.message)
    return Turn(request, None if result.output is None else str(result.output.value))


async def _never() -> NoReturn:
    if _cancelled():  # by a cancellation that `wait_for` swallowed because its call had just ended
        raise asyncio.CancelledError
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable: the future is only ever cancelled")


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and bool(task.cancelling())
