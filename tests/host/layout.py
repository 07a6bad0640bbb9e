"""The two apps that the tests want served, as folders that need nothing else of this repository."""

import json
import shutil
from pathlib import Path

from tests.support.catalogue import CASES
from tests.support.drive import ROOT
from tests.support.recorded import FIXTURES
from tests.support.small import HERE as SMALL

_WITHOUT = shutil.ignore_patterns("__pycache__", "*.pyc")


def lay_out(folder: Path) -> tuple[Path, Path]:
    """`folder`/product and `folder`/recorded, which must not exist."""
    return _product(folder / "product"), _recorded(folder / "recorded")


def _product(app: Path) -> Path:
    """The project's triggers with every graph of the e2e suite that needs no model."""
    app.mkdir(parents=True)
    for name in ("activities", "orchestrators", "http_starters", "lib", "graphs"):
        shutil.copytree(ROOT / name, app / name, ignore=_WITHOUT)
    shutil.copytree(ROOT / "tests" / "support", app / "tests" / "support", ignore=_WITHOUT)
    for name in ("function_app.py", "host.json", "requirements.txt"):
        shutil.copy(ROOT / name, app / name)
    shutil.copy(SMALL / "small.py", app / "small.py")
    graphs = json.loads((SMALL / "langgraph.json").read_text())["graphs"]
    graphs |= {name: f"tests.support.catalogue_graphs.served_catalogue:{name}" for name in CASES}
    graphs |= json.loads((ROOT / "langgraph.json").read_text())["graphs"]
    (app / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}, indent=2))
    (app / "executions").mkdir()
    _settings(app, EXECUTIONS=str(app / "executions"), EXPENSE_LEDGER=str(app / "ledger.db"))
    return app


def _recorded(app: Path) -> Path:
    """The app of the recordings."""
    shutil.copytree(FIXTURES / "recorded_app" / "app", app, ignore=_WITHOUT)
    (app / "requirements.txt").write_text("azure-functions\nazure-functions-durable>=1.5,<2\n")
    _settings(app, REC_RUN=str(app.parent / "recorded-run"))
    return app


def _settings(app: Path, **more: str) -> None:
    values = {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "DURABLEGRAPH_HUB": "hosttest",
        "DURABLEGRAPH_STEPS_PER_EXECUTION": "2",
        "TOOL_AGENT_MODEL": "local",
        **more,
    }
    (app / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}, indent=2))
