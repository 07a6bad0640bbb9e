"""How `durablegraph dev` starts, refuses to start, reloads and ends."""

import json
import os
import signal
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.embedded import RunningHost, hosting, write_app

HELLO = """
    import asyncio
    import os
    import azure.functions as func
    from greeting import WORD

    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.route(route="hello")
    def hello(req):
        return func.HttpResponse(f"{WORD} {os.getpid()}")

    @app.route(route="loop")
    async def loop(req):
        return func.HttpResponse(type(asyncio.get_running_loop()).__module__)

    @app.route(route="leave")
    def leave(req):
        os._exit(3)

    @app.activity_trigger(input_name="with_underscore") if hasattr(app, "activity_trigger") else (lambda f: f)
    def misnamed(with_underscore):
        pass
"""


def hello_app(folder, word="hello"):
    return write_app(folder, HELLO, greeting_py=f"WORD = {word!r}\n")


def refused(app, *arguments, **environment):
    host = RunningHost(app, arguments, environment)
    host.launch()
    try:
        return host.wait(), host.log
    finally:
        host.kill()


def words(host):
    return host.get("/api/hello").text.split()


def test_the_banner_shows_functions_addresses_and_errors(tmp_path):
    with hosting(hello_app(tmp_path / "app")) as host:
        host.log_until("listening on")
        assert f"{host.base.replace('127.0.0.1', 'localhost')}/api/hello" in host.log
        assert "The 'misnamed' function is in error: The binding name with_underscore is invalid." in host.log
        assert "misnamed" in host.get("/admin/host/status").json()["errors"][0]


def test_a_folder_without_an_app_is_refused_with_advice(tmp_path):
    (tmp_path / "empty").mkdir()
    code, log = refused(tmp_path / "empty")
    assert code == 1
    assert "Found no function_app.py" in log
    assert "--app" in log
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_folder_that_does_not_exist_is_refused_and_not_made(tmp_path):
    code, log = refused(tmp_path / "missing")
    assert code == 1
    assert "Found no folder" in log
    assert not (tmp_path / "missing").exists()


def test_an_app_that_does_not_import_is_refused_with_its_own_traceback(tmp_path):
    code, log = refused(write_app(tmp_path / "app", "import azure.functions\nimport nosuchmodule\n"))
    assert code == 1
    assert "ModuleNotFoundError: No module named 'nosuchmodule'" in log
    assert 'function_app.py", line 2' in log
    assert "durablegraph/host" not in log


def test_a_script_without_an_app_object_is_refused(tmp_path):
    _, log = refused(write_app(tmp_path / "app", "x = 1\n"))
    assert "Could not find top level function app instances in function_app.py" in log


def test_a_bad_host_json_is_refused_with_the_place(tmp_path):
    app = hello_app(tmp_path / "app")
    (app / "host.json").write_text('{"version": "2.0",\n "functionTimeout": }', encoding="utf-8")
    code, log = refused(app)
    assert code == 1
    assert "host.json: found text that is not JSON at line 2" in log


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize(("wanted", "module"), [("", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio")])
def test_the_app_runs_on_the_event_loop_that_is_asked_for(tmp_path, wanted, module, workers):
    app = hello_app(tmp_path / "app")
    (app / "local.settings.json").write_text(json.dumps({"Values": {"DURABLEGRAPH_EVENT_LOOP": wanted}}))
    with hosting(app, "--workers", workers) as host:
        assert host.get("/api/loop").text.split(".")[0] == module


def test_an_unknown_event_loop_is_refused(tmp_path):
    code, log = refused(hello_app(tmp_path / "app"), DURABLEGRAPH_EVENT_LOOP="trio")
    assert code == 1
    assert "DURABLEGRAPH_EVENT_LOOP: found 'trio', expected 'asyncio' or 'uvloop'. Correct it." in log


def test_a_port_in_use_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, log = refused(hello_app(tmp_path / "app"), "--port", port)
    assert code == 1
    assert f"Found port {port}" in log
    assert "--port" in log


def test_a_second_host_on_the_same_state_is_refused_and_told_who_has_it(tmp_path):
    with hosting(hello_app(tmp_path / "app")) as host:
        other = hello_app(tmp_path / "other")
        code, log = refused(other, "--state", str(host.state))
        assert code == 1
        assert f"process {host.process.pid}" in log
        assert "--state" in log


def test_a_state_folder_is_free_again_after_a_kill(tmp_path):
    app = hello_app(tmp_path / "app")
    with hosting(app) as host:
        host.kill()
    with hosting(app) as host:
        assert words(host)[0] == "hello"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_host_and_its_workers_cleanly(tmp_path, number):
    with hosting(hello_app(tmp_path / "app")) as host:
        worker = int(words(host)[1])
        host.signal(number)
        assert host.wait() == 0
        assert gone(worker)


def test_workers_die_with_a_killed_host(tmp_path):
    with hosting(hello_app(tmp_path / "app")) as host:
        worker = int(words(host)[1])
        host.kill()
        assert gone(worker)


def test_a_worker_that_ends_is_replaced_and_its_request_fails(tmp_path):
    with hosting(hello_app(tmp_path / "app")) as host:
        before = words(host)[1]
        assert host.get("/api/leave").status_code == 500
        assert words(host)[1] != before
        assert "exited with code 3" in host.log


def test_several_workers_share_the_calls_under_load(tmp_path):
    code = """
        import os, time
        import azure.functions as func
        app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

        @app.route(route="slow")
        def slow(req):
            time.sleep(0.3)
            return func.HttpResponse(str(os.getpid()))
    """
    with hosting(write_app(tmp_path / "app", code), "--workers", "2") as host, ThreadPoolExecutor(4) as threads:
        pids = set(threads.map(lambda _: host.get("/api/slow").text, range(4)))
    assert len(pids) == 2


def test_no_workers_means_the_app_runs_in_the_hosts_process(tmp_path):
    with hosting(hello_app(tmp_path / "app"), "--workers", "0") as host:
        assert words(host) == ["hello", str(host.process.pid)]


def test_a_change_of_an_imported_file_is_served_after_a_reload(tmp_path):
    app = hello_app(tmp_path / "app")
    with hosting(app) as host:
        assert words(host)[0] == "hello"
        (app / "greeting.py").write_text("WORD = 'good evening'\n", encoding="utf-8")
        host.log_until("Loaded:")
        assert words(host)[0] == "good"


def test_a_broken_edit_keeps_the_old_app_and_shows_the_error(tmp_path):
    app = hello_app(tmp_path / "app")
    with hosting(app) as host:
        (app / "greeting.py").write_text("WORD = \n", encoding="utf-8")
        host.log_until("the one before goes on")
        assert "SyntaxError" in host.log
        assert words(host)[0] == "hello"
        (app / "greeting.py").write_text("WORD = 'mended again'\n", encoding="utf-8")
        host.log_until("Loaded:")
        assert words(host)[0] == "mended"


def test_no_reload_leaves_the_app_alone(tmp_path):
    app = hello_app(tmp_path / "app")
    with hosting(app, "--no-reload") as host:
        (app / "greeting.py").write_text("WORD = 'new'\n", encoding="utf-8")
        time.sleep(1.5)
        assert words(host)[0] == "hello"


def gone(pid, seconds=5.0):
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_host_whose_hub_cannot_write_ends_with_an_error_instead_of_hanging(tmp_path):
    code = """
        import azure.durable_functions as df
        app = df.DFApp()

        @app.orchestration_trigger(context_name="context")
        def loop(context):
            return 1
    """
    with hosting(write_app(tmp_path / "app", code)) as host:
        with sqlite3.connect(host.state / "hub-TestHubName.db") as other:
            other.execute("DROP TABLE history")
        host.post("/runtime/webhooks/durabletask/orchestrators/loop")
        assert host.wait() == 1
        assert "The hub cannot go on" in host.log
