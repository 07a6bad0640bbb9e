"""The commands on bad input: a sentence that says what was found and what to do, and the exit code."""

import json
import os

import pytest

from durablegraph import cli

COMMANDS = {
    "rotate-keys": [],
    "rebuild-lists": [],
    "retain": ["--dry-run"],
    "import-threads": ["--from", "sqlite:missing.db"],
}
LIVE = [name for name in COMMANDS if name != "import-threads"]


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A folder of an app without graphs of its own, and an environment without settings."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(("DURABLEGRAPH_", "AzureWebJobsStorage"))]:
        del os.environ[name]
    monkeypatch.setattr("sys.path", ["unused"])
    (tmp_path / "graph.py").write_text("from langgraph.graph import StateGraph\n")
    (tmp_path / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": {"g": "./graph.py:made"}}))
    yield tmp_path
    os.environ.clear()  # the commands take the settings of an app's file into the environment
    os.environ.update(before)


def said(capsys):
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return told.err


@pytest.mark.parametrize("command", COMMANDS)
def test_an_app_that_is_not_there_is_told(command, app, capsys):
    assert cli.main([command, *COMMANDS[command], "--app", str(app / "nowhere")]) == 1
    assert "found no folder" in (told := said(capsys))
    assert "--app" in told
    assert not (app / "nowhere").exists()


@pytest.mark.parametrize("command", LIVE)
def test_a_state_folder_that_is_not_there_is_told_and_not_made(command, app, capsys):
    assert cli.main([command, *COMMANDS[command], "--app", str(app), "--state", str(app / "typo")]) == 1
    assert "--state" in said(capsys)
    assert not (app / "typo").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_state_that_is_a_file_is_told(command, app, capsys):
    (app / "file").write_text("no folder")
    assert cli.main([command, *COMMANDS[command], "--app", str(app), "--state", str(app / "file")]) == 1
    assert "expected the one of the state" in said(capsys)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("text", "found"), [("{", "local.settings.json"), ('{"Values": {"DURABLEGRAPH_KEEP_LAST": "none"}}', "KEEP_LAST")]
)
def test_settings_that_are_wrong_are_named(command, text, found, app, capsys):
    (app / "local.settings.json").write_text(text)
    assert cli.main([command, *COMMANDS[command], "--app", str(app)]) == 1
    assert found in said(capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_prefix_that_would_be_swept_away_is_refused(command, app, capsys, monkeypatch):
    monkeypatch.setenv("DURABLEGRAPH_PREFIX", "team/runs")
    monkeypatch.setenv("DURABLEGRAPH_ENCRYPTION_KEYS", f"v1={'A' * 43}=")
    (app / "missing.db").touch()
    assert cli.main([command, *COMMANDS[command], "--app", str(app)]) == 1
    assert "choose another name" in said(capsys)


def test_a_host_that_does_not_answer_is_told(app, capsys):
    assert cli.main(["retain", "--app", str(app), "--url", "http://127.0.0.1:9"]) == 1
    assert "does not answer" in said(capsys)
    assert cli.main(["retain", "--app", str(app), "--url", "localhost:7071"]) == 1
    assert "http://localhost:7071" in said(capsys)


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["retain", "--no-such-option"], ["dev", "--port", "x"], ["new"]]
)
def test_arguments_that_it_does_not_know_end_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage:" in said(capsys)


def test_nothing_asked_for_shows_what_there_is(capsys):
    assert cli.main([]) == 2
    assert "rebuild-lists" in capsys.readouterr().out


def test_lists_of_an_app_are_made_anew(app, capsys):
    (app / ".durablegraph").mkdir()
    assert cli.main(["rebuild-lists", "--app", str(app)]) == 0
    assert capsys.readouterr().out == "0 runs, 0 threads and 0 schedules listed anew.\n"
