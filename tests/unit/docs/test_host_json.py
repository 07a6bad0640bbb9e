"""docs/reference/host-json.md explains exactly the lines that host.json has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
LINE = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value


def explained() -> dict[str, tuple[str, str]]:
    page = (ROOT / "docs/reference/host-json.md").read_text(encoding="utf-8")
    return {name: (value, why) for name, value, why in LINE.findall(page)}


def lines() -> dict[str, Any]:
    return dict(leaves(json.loads((ROOT / "host.json").read_text(encoding="utf-8"))))


def test_every_line_of_host_json_is_explained_and_no_other() -> None:
    assert set(explained()) == set(lines())


def test_the_page_shows_the_values_that_host_json_has() -> None:
    assert {name: json.loads(value) for name, (value, _) in explained().items()} == lines()


def test_every_explanation_says_something() -> None:
    assert [name for name, (_, why) in explained().items() if len(why) < 30] == []
