"""The graphs that ship as attributes: ``…served_shipped:NAME``, each taken from its module as langgraph.json says."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langgraph.pregel import Pregel

from tests.support.catalogue_graphs.case import Built
from tests.support.catalogue_graphs.serving import factory

ROOT = Path(__file__).resolve().parents[3]
NAMED: dict[str, str] = json.loads((ROOT / "langgraph.json").read_text())["graphs"]


def named(target: str) -> Callable[[], Built]:
    """How to get what ``./graphs/file.py:attribute`` names: a graph, or what a factory of that name makes."""
    path, attribute = target.split(":")

    def build() -> Any:
        found = getattr(importlib.import_module(f"graphs.{Path(path).stem}"), attribute)
        return found if isinstance(found, Pregel) else found()

    return build


globals().update({name: factory(name, named(target)) for name, target in NAMED.items()})
