"""Threads of savers that are not ours, and an app to bring them into."""

import json
from pathlib import Path

import pytest

from durablegraph.importing.command import Wanted, import_threads
from durablegraph.settings import Settings
from tests.unit.execution.durably import NOW


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "langgraph.json").write_text(json.dumps({"graphs": {"g": "./g.py:graph"}}))
    return folder


@pytest.fixture
def bring(app):
    """Import into the app, and say what became of each thread."""

    async def bring(source: str, **more):
        wanted = Wanted(source, **more)
        return [report async for report in import_threads(wanted, Settings(), {}, app, NOW)]

    return bring
