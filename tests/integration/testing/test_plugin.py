"""The plugin in a project of its own: found by pytest, told by marker or ini which app to open."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent / "samples"
TEST = """
import pytest
{marker}
def test_it(durable_app):
    app = durable_app({given})
    run = app.orchestrate("ask_for_approval", {{"manager": "kim"}})
    app.clock.advance(hours=72)
    assert run.output == "escalated past kim"
"""


@pytest.fixture
def project(tmp_path):
    """Runs pytest on one test in a new project; the result's text."""

    def run(given="", marker="", ini="", test=TEST):
        (tmp_path / "test_it.py").write_text(test.format(given=given, marker=marker))
        (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = --strict-markers --strict-config\n{ini}\n")
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "durablegraph.testing.plugin", str(tmp_path)]
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return ran.stdout + ran.stderr

    return run


@pytest.mark.parametrize(
    "told",
    [
        {"given": repr(str(SAMPLES))},
        {"marker": f"@pytest.mark.durable_app({str(SAMPLES)!r}, limit=20)"},
        {"ini": f"durable_app = {SAMPLES}"},
    ],
    ids=["argument", "marker", "ini"],
)
def test_the_fixture_opens_the_app_that_it_is_told(project, told):
    assert "1 passed" in project(**told)


def test_a_folder_without_an_app_is_refused_with_what_to_do(project):
    assert "Found no function_app.py" in project()


def test_a_marker_with_two_folders_is_refused(project):
    assert "found 2 arguments" in project(marker="@pytest.mark.durable_app('a', 'b')")


def test_a_crash_that_never_came_is_an_error_of_the_test(project):
    told = project(
        given=repr(str(SAMPLES)),
        test="""
from durablegraph.testing import after_activity

def test_it(durable_app):
    app = durable_app({given})
    app.crash(at=after_activity(9))
""",
    )
    assert "CrashNeverCame: Ordered, and never reached: after activity 9 (counted 0)" in told


def test_pytest_does_not_load_langgraph_for_projects_that_do_not_use_the_fixture():
    code = "import sys, durablegraph.testing.plugin; print({'langgraph', 'azure', 'httpx'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "set()"


def test_one_process_has_one_app_at_a_time():
    from durablegraph.testing import DurableApp

    with DurableApp(SAMPLES) as app:
        with pytest.raises(RuntimeError, match=r"close\(\) it first"):
            DurableApp(SAMPLES)
        assert app.activity("escalate", {"manager": "kim"}) == "escalated past kim"
    with pytest.raises(RuntimeError, match="The app is closed"):
        app.activity("escalate", {"manager": "kim"})


def test_an_app_that_does_not_load_leaves_the_process_as_it_was(tmp_path):
    from durablegraph.host.errors import AppLoadError
    from durablegraph.testing import DurableApp

    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text("raise ValueError('not today')")
    before = Path.cwd(), list(sys.path), dict(os.environ)
    with pytest.raises(AppLoadError, match="not today"):
        DurableApp(tmp_path)
    assert (Path.cwd(), list(sys.path), dict(os.environ)) == before
    with DurableApp(SAMPLES) as app:
        assert app.crashes == 0
