"""Calls of a loaded app, through the worker that needs no second process."""

import asyncio
import sys
import textwrap

import pytest

from durablegraph.host.errors import AppLoadError
from durablegraph.host.invocation import Datum, Invocation, InvocationTimedOut, WorkerExited
from durablegraph.host.worker.in_process import InProcessWorker

APP = """
    import asyncio, time
    import azure.functions as func
    import azure.durable_functions as df

    app = df.DFApp()

    @app.activity_trigger(input_name="x")
    def sync(x, context: func.Context):
        return [x, context.function_name, context.invocation_id]

    @app.activity_trigger(input_name="x")
    async def fails(x):
        raise KeyError(x)

    @app.activity_trigger(input_name="x")
    def exits(x):
        raise SystemExit(x)

    @app.activity_trigger(input_name="x")
    async def exits_async(x):
        raise SystemExit(x)

    @app.activity_trigger(input_name="x")
    async def cancels(x):
        raise asyncio.CancelledError("by itself")

    @app.activity_trigger(input_name="x")
    async def hangs(x):
        await asyncio.sleep(30)

    @app.activity_trigger(input_name="x")
    def unserialisable(x):
        return {1, 2}

    @app.timer_trigger(arg_name="t", schedule="0 0 0 * * *")
    def timer(t):
        return "not allowed"

    @app.orchestration_trigger(context_name="context")
    def orchestrator(context):
        yield context.call_activity("sync", context.get_input())
"""


@pytest.fixture
async def worker(tmp_path, monkeypatch):
    name = f"app_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(APP))
    monkeypatch.syspath_prepend(str(tmp_path))
    worker = InProcessWorker(tmp_path / f"{name}.py")
    await worker.start()
    yield worker
    await worker.stop()
    sys.modules.pop(name)


def call(function, text="null", kind="activity", binding="x"):
    return Invocation("id", function, kind, {binding: Datum("string" if kind != "timer" else "json", text)})


async def result_of(worker, *given, timeout=5.0):  # noqa: ASYNC109 -- the contract's word
    return await worker.invoke(call(*given), timeout=timeout)


async def test_a_sync_function_gets_its_input_and_its_context(worker):
    result = await result_of(worker, "sync", '{"a": 1}')
    assert result.output == Datum("json", '[{"a": 1}, "sync", "id"]')


async def test_an_exception_becomes_type_text_and_stack(worker):
    error = (await result_of(worker, "fails", '"key"')).error
    assert error.message == "KeyError: 'key'"
    assert error.type == "KeyError"
    assert "raise KeyError(x)" in error.stack
    assert "KeyError: 'key'" not in error.stack


@pytest.mark.parametrize(
    ("function", "text", "code"),
    [("exits", "3", 3), ("exits", '"bye"', 1), ("exits", "null", 0), ("exits_async", "4", 4)],
)
async def test_a_system_exit_is_the_end_of_a_worker_but_not_of_the_host(worker, function, text, code):
    with pytest.raises(WorkerExited) as ended:
        await result_of(worker, function, text)
    assert ended.value.exit_code == code
    assert (await result_of(worker, "sync")).error is None


async def test_a_function_that_cancels_itself_has_failed(worker):
    assert (await result_of(worker, "cancels")).error.message == "CancelledError: by itself"


async def test_a_call_past_its_time_is_given_up(worker):
    with pytest.raises(InvocationTimedOut):
        await result_of(worker, "hangs", timeout=0.05)


async def test_cancelling_a_call_cancels_its_function(worker):
    running = asyncio.create_task(result_of(worker, "hangs"))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_result_that_is_no_json_is_a_failure(worker):
    error = (await result_of(worker, "unserialisable")).error
    assert error.message == "ValueError: activity trigger output must be json serializable ({1, 2})"


async def test_a_timer_must_not_return_a_value(worker):
    error = (await result_of(worker, "timer", "{}", "timer", "t")).error
    assert error.message == "RuntimeError: function 'timer' without a $return binding returned a non-None value"


async def test_a_function_that_is_not_there_is_a_failure(worker):
    assert "function 'none' is not loaded" in (await result_of(worker, "none")).error.message


async def test_files_of_the_worker_are_named_from_their_own_roots(worker):
    stack = (await result_of(worker, "fails", "1")).error.stack
    assert 'File "durablegraph/host/app/calls.py"' in stack


async def test_an_app_that_does_not_import_is_a_load_error_with_its_traceback(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken_app.py").write_text("import azure.functions\nraise OSError('no disk')\n")
    with pytest.raises(AppLoadError) as failure:
        await InProcessWorker(tmp_path / "broken_app.py").start()
    assert "OSError: no disk" in str(failure.value)
    assert "broken_app.py" in str(failure.value)
