"""What the pages say can be followed, run, parsed and looked up."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import PAGES, REFERENCE
from docs.makers.settings import known_variables
from tests.unit.docs.pages import DOCS, ROOT, Block, blocks, blocks_in, pages, prose

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
VARIABLE = re.compile(r"DURABLEGRAPH_[A-Z_]*[A-Z]")


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def linked(page: Path) -> dict[str, Path]:
    """The links of a page that stay in the repository, and where they lead."""
    found = LINK.findall(prose(page)) + LINK.findall(page.read_text(encoding="utf-8"))
    inside = [link for link in found if not re.match(r"[a-z]+:", link)]
    return {link: (page.parent / link.partition("#")[0]).resolve() if link[0] != "#" else page for link in inside}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_made_from_the_code_says_what_the_code_says_now(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link, target in linked(page).items():
        assert target.exists(), f"{link} leads nowhere"
        if "#" in link:
            assert link.partition("#")[2] in anchors(target), f"{link}: no such heading"


def test_every_page_is_reached_from_the_index() -> None:
    reached, todo = set(), [DOCS / "README.md"]
    while todo:
        page = todo.pop()
        if page not in reached and page.suffix == ".md" and page.exists():
            reached.add(page)
            todo += linked(page).values()
    assert [str(page.relative_to(ROOT)) for page in DOCS.rglob("*.md") if page not in reached] == [], (
        "name the page in docs/README.md"
    )


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_variable_that_is_mentioned_exists(page: Path) -> None:
    mentioned = set(VARIABLE.findall(page.read_text(encoding="utf-8")))
    assert mentioned <= known_variables()


@pytest.mark.parametrize("block", blocks_in("json"), ids=str)
def test_every_json_block_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", blocks_in("python"), ids=str)
def test_every_python_block_runs(block: Block, tmp_path: Path) -> None:
    ast.parse(block.text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DURABLEGRAPH_", "APP_"))}
    environment["PYTHONPATH"] = f"{ROOT / 'lib'}{os.pathsep}{ROOT}"
    script = tmp_path / "block.py"
    script.write_text(block.text, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="JavaScript is checked where Node is installed")
@pytest.mark.parametrize("block", blocks_in("js"), ids=str)
def test_every_javascript_block_is_javascript(block: Block, tmp_path: Path) -> None:
    script = tmp_path / "block.mjs"
    script.write_text(block.text, encoding="utf-8")
    ran = subprocess.run(["node", "--check", str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr


def test_every_block_names_its_language() -> None:
    assert [str(block) for page in pages() for block in blocks(page) if not block.language] == []
