"""What the import of the app imports: what the Functions host indexes, and no LangGraph, which takes longest.

Each test is a fresh process, in most of which the thread that imports LangGraph afterwards is kept from starting.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

APP = """
import sys
from durablegraph import warming
left_out = []
warming.warm = lambda *modules: left_out.extend(modules)
import function_app

def loaded():
    return sorted({name.partition(".")[0] for name in sys.modules} & {"langgraph", "langchain_core", "langchain"})
"""

SERVED = """
import asyncio, json
from datetime import UTC, datetime
from durablegraph import opening
from durablegraph.api.http import ApiRequest
from durablegraph.api.routes import by_name
from durablegraph.api.serving import serve
from durablegraph.model.messages import Cursor
from durablegraph.model.records import PendingInterrupt, RunRecord, RunRequest, WaitRecord
from durablegraph.storage import lifecycle
from durablegraph.storage.events import created

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AT = {"created_at": NOW, "updated_at": NOW}

class Instances:
    async def view(self, run_id):
        from durablegraph.api.instances import InstanceView
        return InstanceView("Running", None)
    async def ring(self, run_id, event):
        pass

async def main():
    services = await opening.services()
    wanted = RunRequest(run_id="r", graph="five", thread_id="t", input={}, created_at=NOW, stream_mode=("values",))
    await services.runs.create(wanted, RunRecord(run_id="r", graph="five", thread_id="t", streams=True, **AT))
    await services.events.begin("r", created(wanted))
    record = (await services.runs.load("r")).value
    await lifecycle.claim(services.runs, record, NOW)
    record = await lifecycle.begin(services.runs, record, NOW)
    asked = PendingInterrupt(id="i", value="well?", node="ask")
    wait = WaitRecord(wait=1, kind="interrupt", cursor=Cursor(), next=("ask",), interrupts=(asked,), created_at=NOW)
    await lifecycle.interrupt(services.runs, record, wait, NOW)
    for name, body in (
        ("list_runs", b""), ("get_run", b""), ("get_run_status", b""), ("list_threads", b""), ("get_thread", b""),
        ("stream_run", b""), ("list_schedules", b""), ("health_live", b""), ("get_openapi", b""),
        ("raise_run_event", b'"yes"'), ("get_run", b""), ("cancel_run", b""),
    ):
        path = {"run": "r", "thread": "t", "event": "resume"}
        request = ApiRequest("GET", "http://host/api", path, {}, {"content-type": "application/json"}, body)
        answer = await serve(by_name()[name], services, Instances(), request, lambda: NOW)
        print(name, answer.status, loaded())
    await services.objects.aclose()

asyncio.run(main())
"""


def process(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the code as a worker of the app in `folder`, whose code is the project's own."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("DURABLEGRAPH_", "AzureWebJobs"))
    }
    paths = os.pathsep.join((str(ROOT), str(ROOT / "lib")))
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**clean, "PYTHONPATH": paths, "AzureWebJobsScriptRoot": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "langgraph.json").write_text('{"graphs": {"five": "./five.py:graph"}}')
    return tmp_path


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_importing_the_app_imports_neither_langgraph_nor_langchain() -> None:
    assert told(process(f"{APP}print(loaded())", ROOT)) == ["[]"]


def test_what_reads_and_signals_is_served_without_langgraph(app: Path) -> None:
    lines = [line.split(" ", 2) for line in told(process(APP + SERVED, app))]
    assert [name for name, _, loaded in lines if loaded != "[]"] == []
    assert [(name, status) for name, status, _ in lines if status not in {"200", "202", "204"}] == []
    assert len(lines) == 12


def test_what_was_left_out_is_imported_by_the_thread(app: Path) -> None:
    code = """
import asyncio, sys
import function_app
from durablegraph import opening, warming
asyncio.run(warming.warmed())
before = set(sys.modules)
from durablegraph.execution.advance import advance
from durablegraph.execution.fanning import run_chunk
opening.services_on(opening.configuration(), None).kept
from durablegraph.graphs.loading import Loading
print([name for name in set(sys.modules) - before if name.startswith(("durablegraph", "lang"))])
"""
    assert told(process(code, app)) == ["[]"]


@pytest.mark.parametrize(
    ("file", "environment", "said"),
    [
        ('{"graphs": {"five": "five"}}', {}, "langgraph.json: graph 'five' is \"five\""),
        ("not JSON", {}, "langgraph.json"),
        (None, {"DURABLEGRAPH_KEEP_LAST": "none"}, "DURABLEGRAPH_KEEP_LAST='none'"),
        (None, {"DURABLEGRAPH_ALLOWED_TYPES": "Money"}, "DURABLEGRAPH_ALLOWED_TYPES has 'Money'"),
        (None, {"AzureWebJobsStorage": "AccountName=x"}, "AzureWebJobsStorage is not a storage connection string"),
    ],
)
def test_what_is_wrong_in_files_and_settings_is_told_at_import(
    app: Path, file: str | None, environment: dict[str, str], said: str
) -> None:
    if file is not None:
        (app / "langgraph.json").write_text(file)
    done = process(APP, app, **environment)
    assert done.returncode == 1
    assert "ConfigurationError" in done.stderr.splitlines()[-1]
    assert said in done.stderr.splitlines()[-1]
