"""Runs LangGraph's own test suite through the shipped super-steps and prints the score.

    python -m tests.conformance.langgraph --upstream DIR

`DIR` is an unpacked source distribution of the installed LangGraph version (``pip download --no-binary :all: --no-deps
langgraph==VERSION``) or a checkout of its repository. Needs the dependency group ``conformance``.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from tests.conformance.langgraph.score import Score, read, table

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parents[2] / "lib"
MODES = ("step", "sticky", "nested", "fan-out", "stored")
NEEDED = ("pytest_mock", "syrupy", "xdist", "pytest_timeout", "redis", "psycopg", "uvloop", "Crypto")
REPEATS = 3
"""How often what fails is run again, alone: some tests measure milliseconds, which a busy machine does not have."""
BEGIN, END = "<!-- score: begin -->", "<!-- score: end -->"


def main() -> int:
    asked = _arguments()
    suite = _suite(asked.upstream)
    scores = []
    with tempfile.TemporaryDirectory(prefix="langgraph-conformance-") as folder:
        for mode in asked.modes:
            score = _run(mode, suite, Path(folder) / mode, asked)
            print(score.line, flush=True)  # noqa: T201 -- the command's answer
            scores.append(score)
    for score in scores:
        for name, reason in score.unexplained:
            print(f"unexplained in {score.mode}: {name}: {reason}")  # noqa: T201 -- the command's answer
    if asked.write:
        _write(asked.write, table(scores, metadata.version("langgraph")))
    return 1 if any(score.unexplained for score in scores) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.langgraph", description=__doc__)
    parser.add_argument("--upstream", type=Path, required=True, help="source distribution or checkout of LangGraph")
    parser.add_argument("--modes", nargs="+", default=MODES, choices=(*MODES, "plain"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=Path, help="page whose table between the score marks is replaced")
    parser.add_argument("--select", help="only tests that match, as pytest's -k")
    parser.add_argument("--keep", type=Path, help="folder to keep reports and output in")
    return parser.parse_args()


def _suite(upstream: Path) -> Path:
    root = upstream / "libs" / "langgraph" if (upstream / "libs" / "langgraph").is_dir() else upstream
    if not (root / "tests" / "conftest.py").is_file():
        sys.exit(
            f"{root} has no tests/conftest.py: expected an unpacked source distribution or a checkout of LangGraph"
        )
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    if version != metadata.version("langgraph"):
        sys.exit(
            f"{root} has the tests of LangGraph {version}, but {metadata.version('langgraph')} is installed; "
            "use the tests of the installed version"
        )
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        sys.exit(f"LangGraph's tests need {', '.join(missing)}; install the dependency group 'conformance'")
    return root / "tests"


def _run(mode: str, suite: Path, folder: Path, asked: argparse.Namespace) -> Score:
    """Run a copy of the tests: beside their own sources they would import those instead of the installed package."""
    folder.mkdir()
    shutil.copytree(suite, folder / "tests")
    (folder / "pytest.ini").write_text("[pytest]\ncache_dir = .cache\n")
    selected = ["-k", asked.select] if asked.select else []
    score = read(mode, _pytest(mode, folder, "all", "-n", str(asked.workers), *selected))
    for number in range(1, REPEATS + 1):
        if score.failed:
            again = _pytest(mode, folder, f"repeated-{number}", "--last-failed", *selected)
            score = score.after_repeating(read(mode, again))
    if asked.keep:
        shutil.copytree(folder, asked.keep / mode, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tests", ".cache"))
    return score


def _pytest(mode: str, folder: Path, name: str, *options: str) -> Path:
    report, output = folder / f"{name}.xml", folder / f"{name}.txt"
    command = [sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir=.", "-p", "conformance_plugin", "-q"]
    paths = os.pathsep.join((str(HERE), str(LIBRARY)))
    with output.open("w") as written:
        subprocess.run(
            [*command, "--timeout=120", f"--junitxml={report}", *options, "tests"],
            cwd=folder,
            env={**os.environ, "NO_DOCKER": "true", "CONFORMANCE_MODE": mode, "PYTHONPATH": paths},
            stdout=written,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if not report.is_file():
        sys.exit(f"pytest did not run:\n{output.read_text()[-3000:]}")
    return report


def _write(page: Path, text: str) -> None:
    before, _, rest = page.read_text().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        sys.exit(f"{page} has no {BEGIN} … {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
