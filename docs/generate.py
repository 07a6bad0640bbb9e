"""Write the reference pages that are made from the code: `python -m docs.generate`, `make docs`."""

import sys
from collections.abc import Callable
from pathlib import Path

from docs.makers.cli import cli_page
from docs.makers.costs import with_costs
from docs.makers.errors import errors_page
from docs.makers.http_api import http_api_page
from docs.makers.planning_page import PRESET_NAMES, PRESETS, host_json, with_plan
from docs.makers.settings import settings_page

REFERENCE = Path(__file__).parent / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "http-api.md": http_api_page,
    "errors.md": errors_page,
    "cli.md": cli_page,
}
"""File below `reference/` -> what makes it."""

COSTS = Path(__file__).parent / "explanation" / "costs.md"
"""A page that people write, but for one table."""

PLANNING = Path(__file__).parent / "explanation" / "planning.md"
"""The same, with tables that are made from what the page on costs tells."""


def main() -> None:
    """Write every page and name those that changed."""
    made = {REFERENCE / name: make() for name, make in PAGES.items()}
    made[COSTS] = with_costs(COSTS.read_text(encoding="utf-8"))
    made[PLANNING] = with_plan(PLANNING.read_text(encoding="utf-8"), made[COSTS])
    made |= {PRESETS / f"{name}.host.json": host_json(name) for name in PRESET_NAMES}
    for path, text in made.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"changed: {path}\n")


if __name__ == "__main__":
    main()
