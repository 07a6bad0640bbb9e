"""The commands that the documentation prints, run as printed against a real host, which is killed where they say so."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.embedded import RunningHost
from tests.support.ports import free_port
from tests.unit.docs.pages import DOCS, ROOT, Block, blocks

SETUP = ("make ", "git ", "pip ", "python -m venv")
"""Lines that set the project up: the environment of this test is what they make."""

SHELL = r"""
set -euo pipefail
set -o allexport
curl() { command curl --fail-with-body --max-time 90 "$@"; }
[ -f variables ] && . ./variables
%s
export -p > variables
"""
"""A block in the shell that all blocks of a page share: what one assigns the next may use. A refused request fails."""


class Reader:
    """Somebody who types a page's commands in the app's folder, and starts the app again when it is gone."""

    def __init__(self, app: Path, port: int) -> None:
        self.app = app
        self.port = port
        self.said: list[tuple[Block, str]] = []
        self.host = RunningHost(app, ("--port", str(port), "--no-reload"))

    def read(self, page: Path) -> None:
        """Do what the page says. A JSON block right after a command is what the command prints, perhaps shortened."""
        self.host.start()
        printed = ""
        for block in blocks(page):
            if block.language == "bash" and not any(line.startswith(SETUP) for line in block.text.splitlines()):
                printed = self.run(block)
            elif block.language == "json" and printed and not block.before:
                assert agrees(json.loads(block.text), json.loads(printed)), f"{block}: printed was {printed}"
                printed = ""

    def run(self, block: Block) -> str:
        """Run a block and answer what it prints."""
        text = block.text.replace("7071", str(self.port)).replace("/tmp/", f"{self.app}/")
        ran = subprocess.run(
            ["bash", "-c", SHELL % text], cwd=self.app, capture_output=True, text=True, timeout=120, check=False
        )
        assert ran.returncode == 0, f"{block}: exit code {ran.returncode}\n{ran.stdout}\n{ran.stderr}\n{self.host.log}"
        self.said.append((block, ran.stdout))
        if "kill" in block.words:
            assert self.host.wait(10) != 0
            self.host.start()
        return ran.stdout

    def answers(self, *words: str) -> list[Any]:
        """What the blocks printed that have these words in their text, as JSON."""
        return [json.loads(said) for block, said in self.said if all(word in block.text for word in words)]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    app = tmp_path / "app"
    app.mkdir()
    for folder in ("orchestrators", "activities", "http_starters", "graphs"):
        shutil.copytree(ROOT / folder, app / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("function_app.py", "host.json", "langgraph.json"):
        shutil.copy(ROOT / file, app / file)
    (app / "lib").symlink_to(ROOT / "lib")
    reader = Reader(app, free_port())
    yield reader
    reader.host.kill()


def agrees(shown: Any, printed: Any) -> bool:
    """Whether a page shows what was printed: members may be left out, and `…` in a text stands for anything."""
    match shown, printed:
        case dict(), dict():
            return all(name in printed and agrees(value, printed[name]) for name, value in shown.items())
        case list(), list():
            return len(shown) == len(printed) and all(map(agrees, shown, printed))
        case str(), str() if "…" in shown:
            return re.fullmatch(".*".join(map(re.escape, shown.split("…"))), printed, re.DOTALL) is not None
    return bool(shown == printed)


def test_the_tutorial_works_as_printed(reader: Reader) -> None:
    reader.read(DOCS / "tutorial" / "first-run.md")

    assert sum("kill" in block.words for block, _ in reader.said) == 2
    before, after = reader.answers("runs/$RUN?wait=20")[0], reader.answers('runs/$RUN"\n')[0]
    assert (before["status"], before["next"]) == ("interrupted", ["ask_approver"])
    question = before["interrupts"][0]
    assert question["value"]["findings"] == ["740.00 EUR is above the limit of 500 for travel"]
    assert "oneOf" in question["response_schema"]
    assert after == before

    ended = reader.answers("first-run-status.json")[0]
    assert ended["runtimeStatus"] == "Completed"
    assert ended["output"]["trail"] == [
        "validated",
        "policy: 740.00 EUR is above the limit of 500 for travel",
        "approved by kim",
        "booked as entry 1",
    ]
    documents = reader.answers("wait=60")[0]
    assert (documents["status"], len(documents["output"]["entries"])) == ("completed", 5)
    history = reader.answers("history?limit=10")[0]
    assert [entry["metadata"]["step"] for entry in history] == list(range(len(history) - 2, -2, -1))


def test_the_readme_works_as_printed(reader: Reader) -> None:
    reader.read(ROOT / "README.md")

    assert reader.said
    runs = reader.host.get("/api/runs?limit=100").json()["runs"]
    assert runs
    assert [run for run in runs if run["status"] == "failed"] == []
