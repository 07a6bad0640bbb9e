"""With the wheel and nothing of the repository: a new app is written, runs, and its graphs are tested."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import httpx
import pytest

from durablegraph.errors import ConfigurationError
from durablegraph.new_app import PARTS, begin, template
from tests.support.ports import free_port

TEST = """
import sys

from langgraph.graph import START, MessagesState, StateGraph
from durablegraph import new_app
from durablegraph.testing import after_activity

builder = StateGraph(MessagesState)
builder.add_node("greet", lambda state: {"messages": [("ai", "hello")]})
builder.add_edge(START, "greet")


def test_a_graph_alone_outlives_a_crash(durable_app):
    assert str(new_app.template()).endswith("durablegraph/template")
    app = durable_app(graphs={"greeter": builder.compile()})
    app.crash(at=after_activity(1))
    run = app.start("greeter", {"messages": [{"role": "user", "content": "hi"}]}).until_end()
    assert [message["content"] for message in run.output["messages"]] == ["hi", "hello"]
    assert app.crashes == 1
    triggers = sys.modules["orchestrators.run_graph"]
    app.crash()
    assert sys.modules["orchestrators.run_graph"] is not triggers, "the triggers outlived their process"
"""


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """The environment of a process that has the wheel's library, and of this repository nothing."""
    target = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True)
    return {**os.environ, "PYTHONPATH": str(target), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def ran(command, folder, environment, seconds=120):
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def test_graphs_alone_are_tested_with_the_wheel(site, tmp_path):
    (tmp_path / "test_it.py").write_text(TEST)
    done = ran([sys.executable, "-m", "pytest", "-q", "-p", "durablegraph.testing.plugin"], tmp_path, site)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_new_app_is_written_and_loads(site, tmp_path):
    done = ran([sys.executable, "-m", "durablegraph.cli", "new", "my app"], tmp_path, site)
    assert done.returncode == 0, done.stderr
    told = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
    assert told == ["pip install 'durablegraph[host,models]'", "durablegraph dev --app 'my app'"]
    app = tmp_path / "my app"
    assert {each.name for each in app.iterdir()} == {*PARTS, "requirements.txt"}
    assert "durablegraph[identity,models]==" in (app / "requirements.txt").read_text()
    (tmp_path / "test_it.py").write_text(
        "def test_it(durable_app):\n"
        "    run = durable_app('my app').start('document_pipeline', {'folder': '.'}).until_end()\n"
        "    assert 'lighthouse' in run.output['index'], run.output\n"
    )
    done = ran([sys.executable, "-m", "pytest", "-q", "-p", "durablegraph.testing.plugin"], tmp_path, site)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_folder_with_something_in_it_is_refused(site, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    done = ran([sys.executable, "-m", "durablegraph.cli", "new", "."], tmp_path, site)
    assert done.returncode == 1
    assert done.stderr == ". holds mine.txt, expected an empty folder: name another one.\n"
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_is_refused(tmp_path):
    (tmp_path / "app").write_text("")
    with pytest.raises(ConfigurationError, match="is a file"):
        begin(tmp_path / "app")


def test_a_virtual_environment_and_a_repository_may_be_there(tmp_path):
    for name in (".venv", ".git"):
        (tmp_path / name).mkdir()
    begin(tmp_path)
    assert (tmp_path / "function_app.py").read_bytes() == (template() / "function_app.py").read_bytes()


def test_a_call_that_was_cut_short_is_completed_by_the_next(tmp_path, monkeypatch):
    import durablegraph.new_app as module

    with monkeypatch.context() as patch:
        patch.setattr(module.metadata, "version", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            begin(tmp_path)
    (tmp_path / "host.json").write_text("{")
    begin(tmp_path)
    assert (tmp_path / "host.json").read_bytes() == (template() / "host.json").read_bytes()
    assert {each.name for each in tmp_path.iterdir()} == {*PARTS, "requirements.txt"}
    with pytest.raises(ConfigurationError, match="and more, expected an empty folder"):
        begin(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_user_with_only_the_wheel_starts_an_app_and_tests_graphs(wheel, tmp_path):
    """A virtual environment of its own, with what the package index gives for the wheel's own requirements."""
    home = tmp_path / "home"
    venv.create(home, with_pip=True)
    places = {name: str(home / "bin" / name) for name in ("python", "durablegraph", "pytest")}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    install = [places["python"], "-m", "pip", "install", "--quiet", f"{wheel}[host,testing]"]
    subprocess.run(install, check=True, env=clean, timeout=1000)
    done = ran([places["durablegraph"], "new", "app"], tmp_path, clean)
    assert done.returncode == 0, done.stderr
    (tmp_path / "test_it.py").write_text(TEST)
    done = ran([places["pytest"], "-q", "test_it.py"], tmp_path, clean)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        host = subprocess.Popen(
            [places["durablegraph"], "dev", "--app", "app", "--port", str(port)],
            cwd=tmp_path, env=clean, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        ended = piped(f"http://127.0.0.1:{port}", tmp_path / "log")
    finally:
        host.terminate()
        host.wait(30)
    assert ended["status"] == "completed", ended


def piped(url: str, log: Path):
    """A run of a shipped graph that asks nobody, as the host tells it when it has ended."""
    with httpx.Client(base_url=url, transport=httpx.HTTPTransport(retries=8), timeout=90) as client:
        started = client.post("/api/graphs/document_pipeline/runs", json={"input": {"folder": "."}})
        assert started.status_code == httpx.codes.ACCEPTED, started.text + log.read_text()
        return client.get(f"/api/runs/{started.json()['id']}", params={"wait": 60}).json()
