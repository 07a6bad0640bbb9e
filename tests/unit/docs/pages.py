"""The pages of the documentation and what is in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^(?P<ticks>`{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=ticks)[ ]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `line` is where its text begins, `before` what stands between it and the block before."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    before: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page, the README and the other texts at the root included."""
    found = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    return sorted(found)


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    end = 0
    for found in _FENCE.finditer(text):
        language, *words = found["info"].split() or [""]
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, line, language, tuple(words), text[end : found.start()].strip(), found["text"])
        end = found.end()


def blocks_in(language: str) -> list[Block]:
    """The blocks in one language of all pages."""
    return [block for page in pages() for block in blocks(page) if block.language == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))
