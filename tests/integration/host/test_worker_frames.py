"""Frames between the host and a real child worker: larger than any buffer, cut off by a death, past a blocked loop."""

import asyncio
import os
import signal
import time

import pytest

from durablegraph.host.invocation import Datum, Invocation, InvocationTimedOut, WorkerExited
from durablegraph.host.worker.child import ChildWorker
from tests.support.embedded import write_app

LARGE = 6_000_000
APP = """
    import time
    import azure.durable_functions as df

    app = df.DFApp()

    @app.activity_trigger(input_name="x")
    def sync_echo(x: str) -> str:
        return x

    @app.activity_trigger(input_name="x")
    async def async_echo(x: str) -> str:
        return x

    @app.activity_trigger(input_name="x")
    async def blocks(x: str) -> str:
        time.sleep(60)
        return x
"""


def call(function, text):
    return Invocation("id", function, "activity", {"x": Datum("json", f'"{text}"')})


class Watched(ChildWorker):
    """Counts what arrives, and kills its process at the first part of a frame that is not whole."""

    lethal = False
    reads = 0

    def buffer_updated(self, nbytes):
        super().buffer_updated(nbytes)
        self.reads += 1
        if self.lethal and self.busy:
            os.kill(self.pid, signal.SIGKILL)


@pytest.fixture
async def worker(tmp_path):
    started = Watched(write_app(tmp_path / "app", APP) / "function_app.py", os.environ)
    await started.start()
    yield started
    await started.stop()


async def test_frames_larger_than_every_buffer_arrive_whole_in_both_directions(worker):
    texts = [str(n) * LARGE for n in range(4)]
    calls = [worker.invoke(call(("sync_echo", "async_echo")[n % 2], text), timeout=60) for n, text in enumerate(texts)]
    small = worker.invoke(call("sync_echo", "small"), timeout=60)
    results = await asyncio.gather(*calls)
    assert [result.output.value for result in results] == [f'"{text}"' for text in texts]
    assert (await small).output.value == '"small"'
    assert worker.reads > 4 * LARGE // (1 << 18)
    assert worker.busy == 0


async def test_a_worker_killed_while_it_sends_a_frame_loses_the_calls_it_had(worker):
    worker.lethal = True
    calls = [worker.invoke(call("async_echo", "x" * LARGE), timeout=60) for _ in range(2)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(end) for end in ends] == [WorkerExited, WorkerExited]
    assert ends[0].exit_code == 128 + signal.SIGKILL


async def test_a_worker_killed_before_it_has_read_a_frame_loses_the_call(worker):
    os.kill(worker.pid, signal.SIGSTOP)
    answer = worker.invoke(call("sync_echo", "x" * LARGE), timeout=60)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerExited):
        await answer
    with pytest.raises(WorkerExited):
        await worker.invoke(call("sync_echo", "too late"), timeout=60)


async def test_a_worker_whose_loop_is_blocked_ends_with_its_host_without_a_kill(worker):
    answer = worker.invoke(call("blocks", "x"), timeout=60)
    await worker.drain(0.5)
    began = time.monotonic()
    await worker.stop()
    assert time.monotonic() - began < 2
    assert worker.exited.result() == 0
    with pytest.raises(WorkerExited):
        await answer


async def test_a_call_that_nobody_waits_for_any_more_does_not_cost_the_worker_at_its_timeout(worker):
    worker.invoke(call("blocks", "x"), timeout=0.2).cancel()
    await asyncio.sleep(0.5)
    assert worker.usable


async def test_a_call_past_its_timeout_costs_the_worker(worker):
    with pytest.raises(InvocationTimedOut):
        await worker.invoke(call("blocks", "x"), timeout=0.2)
    assert not worker.usable
