"""Pieces of Markdown."""

from collections.abc import Iterable, Sequence

MADE = "<!-- Made from the code by `make docs`; change the code, not this page. -->"


def page(title: str, *blocks: str) -> str:
    """A page: its title, the note that it is made, and blocks with an empty line between them."""
    return "\n\n".join([f"# {title}", MADE, *(block for block in blocks if block)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; no text when there are no rows."""
    lines = [_row(cells) for cells in rows]
    if not lines:
        return ""
    return "\n".join([_row(head), "|" + "---|" * len(head), *lines])


def code(text: object) -> str:
    """Text in a code span."""
    return f"`{text}`"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"
