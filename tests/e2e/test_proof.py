"""The proof itself, with few kills."""

import subprocess
import sys

import pytest

from tests.support.drive import ROOT

pytestmark = pytest.mark.timeout(240)


def test_a_run_that_is_killed_four_times_is_proven(tmp_path):
    report = tmp_path / "proof.html"
    command = [sys.executable, "-m", "proof", "--seed", "4", "--kills", "4", "--html", str(report)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=220, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Seed 4." in ran.stdout
    assert ran.stdout.count("inside an activity:") >= 2
    assert ran.stdout.count("was taken") == 3
    assert "Proven" in report.read_text()
