"""LangGraph's own suite, where a checkout of it is named, and the arithmetic of its score."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.langgraph.score import explanation, read, table

ROOT = Path(__file__).resolve().parents[3]
UPSTREAM = os.environ.get("LANGGRAPH")
REPORT = """<testsuites><testsuite>
<testcase name="test_a"><properties><property name="conformance_runs" value="1"/>
<property name="conformance_calls" value="3"/><property name="conformance_tasks" value="2"/>
<property name="conformance_stood" value="1"/></properties></testcase>
<testcase name="test_b"><failure message="assert 1 == 2"/></testcase>
<testcase name="test_c"><skipped message="no docker"/></testcase>
<testcase name="test_d"><error message="fixture broke"/></testcase>
<testcase name="test_send_with_untracked_value[memory]"><failure message="TypeError"/></testcase>
</testsuite></testsuites>"""


def test_a_report_becomes_a_score(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    score = read("step", tmp_path / "report.xml")
    assert score.line == "step: 1/4"
    assert (score.skipped, score.runs, score.calls, score.tasks, score.several) == (1, 1, 3, 2, 1)
    assert [name for name, _ in score.unexplained] == ["test_b", "test_d"]
    assert explanation("test_b") is None
    assert "| step | 1 | 4 | 1 | 1 | 3 | 1 | 2 | 1 |" in table([score], "9.9")


def test_what_passes_when_it_is_repeated_has_passed(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    (tmp_path / "again.xml").write_text(
        '<testsuites><testsuite><testcase name="test_b"/><testcase name="test_d"><failure message="no"/></testcase>'
        "</testsuite></testsuites>"
    )
    score = read("step", tmp_path / "report.xml").after_repeating(read("step", tmp_path / "again.xml"))
    assert (score.passed, score.failed) == (2, (("test_d", "no"),))


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.skipif(UPSTREAM is None, reason="LANGGRAPH names no source distribution of langgraph")
@pytest.mark.skipif(importlib.util.find_spec("syrupy") is None, reason="the dependency group 'conformance' is missing")
def test_langgraphs_own_suite_passes_but_for_what_is_explained() -> None:
    command = [sys.executable, "-m", "tests.conformance.langgraph", "--upstream", str(UPSTREAM)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
