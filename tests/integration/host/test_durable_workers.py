"""What becomes of durable work when workers die, time out or are replaced, as recorded on the real engine."""

import json
import os
import signal
import time

import pytest

from tests.support.embedded import hosting, write_app

APP = """
    import asyncio, json, os, time
    from pathlib import Path
    import azure.durable_functions as df
    import azure.functions as func

    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    VERSION = "one"

    @app.orchestration_trigger(context_name="context")
    def once(context):
        try:
            return (yield context.call_activity("work", context.get_input()))
        except Exception as error:
            return str(error).split(" \\n ")[0]

    @app.orchestration_trigger(context_name="context")
    def persistent(context):
        retry = df.RetryOptions(first_retry_interval_in_milliseconds=1000, max_number_of_attempts=5)
        return (yield context.call_activity_with_retry("work", retry, context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def in_turn(context):
        yield context.wait_for_external_event("Go")
        Path(context.get_input()).write_text(str(os.getpid()))
        time.sleep(20)

    @app.orchestration_trigger(context_name="context")
    def version(context):
        before = yield context.call_activity("version_of", 1)
        yield context.wait_for_external_event("Go")
        return [before, (yield context.call_activity("version_of", 2))]

    @app.activity_trigger(input_name="x")
    def version_of(x):
        return VERSION

    @app.activity_trigger(input_name="task")
    def work(task: dict):
        path = Path(task["path"])
        attempts = int(path.read_text().split()[0]) + 1 if path.exists() else 1
        path.write_text(f"{attempts} {os.getpid()}")
        if attempts <= task.get("bad", 0):
            if task["how"] == "exit":
                os._exit(5)
            if task["how"] == "system_exit":
                raise SystemExit("enough")
            time.sleep(60)
        return f"attempt {attempts}"

    @app.activity_trigger(input_name="x")
    @app.durable_client_input(client_name="client")
    async def starts_another(x, client):
        return await client.start_new("once", "other", x)

    @app.orchestration_trigger(context_name="context")
    def delegates(context):
        return (yield context.call_activity("starts_another", context.get_input()))

    @app.route(route="client")
    @app.durable_client_input(client_name="client")
    async def through_the_client(req: func.HttpRequest, client):
        instance = await client.start_new("version")
        await client.raise_event(instance, "Go", None)
        for _ in range(100):
            status = await client.get_status(instance)
            if status.runtime_status == df.OrchestrationRuntimeStatus.Completed:
                return func.HttpResponse(json.dumps(status.output))
            await asyncio.sleep(0.1)
        return func.HttpResponse(str(status), status_code=500)
"""


@pytest.fixture
def app(tmp_path):
    return write_app(tmp_path / "app", APP)


def begin(host, name, given):
    path = f"/runtime/webhooks/durabletask/orchestrators/{name}/i"
    assert host.post(path, json=json.dumps(given)).status_code == 202, host.log


def seen(path, seconds=20.0):
    begun = time.monotonic()
    while not path.exists() or not path.read_text():
        assert time.monotonic() - begun < seconds
        time.sleep(0.02)
    return path.read_text().split()


@pytest.mark.parametrize(("how", "code"), [("exit", 5), ("system_exit", 1)])
def test_an_activity_that_ends_its_worker_fails_once_and_is_not_repeated(app, tmp_path, how, code):
    with hosting(app) as host:
        begin(host, "once", {"path": str(tmp_path / "w"), "bad": 9, "how": how})
        output = host.until("i")["output"]
    assert output.startswith("Activity function 'work' failed: ")
    assert output.endswith(f"exited with code {code} (0x{code:X})")
    assert seen(tmp_path / "w")[0] == "1"


def test_a_killed_worker_costs_one_attempt_of_an_activity_with_retry(app, tmp_path):
    with hosting(app) as host:
        begin(host, "persistent", {"path": str(tmp_path / "w"), "bad": 1, "how": "hang"})
        os.kill(int(seen(tmp_path / "w")[1]), signal.SIGKILL)
        assert host.until("i")["output"] == "attempt 2"


def test_a_worker_killed_in_a_turn_fails_its_instance_for_good(app, tmp_path):
    with hosting(app) as host:
        begin(host, "in_turn", str(tmp_path / "pid"))
        host.until("i", "Running")
        host.post("/runtime/webhooks/durabletask/instances/i/raiseEvent/Go", json=1)
        os.kill(int(seen(tmp_path / "pid")[0]), signal.SIGKILL)
        status = host.until("i")
    assert status["runtimeStatus"] == "Failed"
    assert "exited with code 137 (0x89)" in status["output"]


def test_an_activity_past_the_function_timeout_fails_with_the_hosts_text_and_its_worker_is_replaced(app, tmp_path):
    (app / "host.json").write_text('{"version": "2.0", "functionTimeout": "00:00:02"}')
    with hosting(app) as host:
        begin(host, "once", {"path": str(tmp_path / "w"), "bad": 1, "how": "hang"})
        output = host.until("i")["output"]
        assert output == "Activity function 'work' failed: Timeout value of 00:00:02 was exceeded by function: work"
        begin_again = host.post("/runtime/webhooks/durabletask/orchestrators/version/j")
        assert begin_again.status_code == 202
        host.until("j", "Running")


def test_an_activity_in_flight_when_the_host_is_killed_runs_again(app, tmp_path):
    with hosting(app) as host:
        begin(host, "once", {"path": str(tmp_path / "w"), "bad": 1, "how": "hang"})
        seen(tmp_path / "w")
        host.kill()
    with hosting(app) as host:
        assert host.until("i")["output"] == "attempt 2"


def test_a_stopping_host_lets_an_activity_end(app, tmp_path):
    slow = APP.replace("time.sleep(60)", 'time.sleep(2); return "ended in peace"')
    write_app(app, slow)
    with hosting(app) as host:
        begin(host, "once", {"path": str(tmp_path / "w"), "bad": 1, "how": "hang"})
        seen(tmp_path / "w")
        assert host.stop() == 0
    with hosting(app) as host:
        assert host.until("i")["output"] == "ended in peace"
    assert seen(tmp_path / "w")[0] == "1"


def test_a_run_in_flight_goes_on_through_a_reload(app):
    with hosting(app) as host:
        begin(host, "version", None)
        host.until("i", "Running")
        code = (app / "function_app.py").read_text()
        (app / "function_app.py").write_text(code.replace('VERSION = "one"', 'VERSION = "two and more"'))
        host.log_until("Loaded:")
        host.post("/runtime/webhooks/durabletask/instances/i/raiseEvent/Go", json=1)
        assert host.until("i")["output"] == ["one", "two and more"]


def test_the_sdks_client_works_from_http_functions(app):
    with hosting(app) as host:
        assert host.get("/api/client").json() == ["one", "one"]


def test_an_activity_may_have_a_durable_client_too(app, tmp_path):
    with hosting(app) as host:
        begin(host, "delegates", {"path": str(tmp_path / "w")})
        assert host.until("i")["output"] == "other"
        assert host.until("other")["output"] == "attempt 1"


def test_the_trace_has_a_line_for_each_call_and_for_the_clients_requests(app, tmp_path):
    trace = tmp_path / "trace.ndjson"
    with hosting(app, "--trace", str(trace)) as host:
        host.get("/api/client")
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    kinds = [row["kind"] for row in rows if row["ev"] == "invocation"]
    assert kinds.count("activity") == 2
    assert kinds.count("orchestrator") >= 2
    assert kinds.count("http") == 1
    rpc = [(row["method"], row["status"]) for row in rows if row["ev"] == "http"]
    assert rpc[:2] == [("POST", 202), ("POST", 202)]
    turn = next(row for row in rows if row.get("kind") == "orchestrator")
    assert turn["input"]["history"][0]["EventType"] == 12
    assert turn["output"]["schemaVersion"] == 2
