"""An app of a few small graphs beside the shipped ones, for tests of the HTTP surface."""

import shutil
from pathlib import Path

from tests.support.drive import ROOT, make_app

HERE = Path(__file__).parent


def small_app(folder: Path) -> Path:
    """Lay the app out in `folder`, which must not exist."""
    app = make_app(folder, [], served="")
    (app / "graphs").symlink_to(ROOT / "graphs")
    for name in ("small.py", "langgraph.json"):
        shutil.copy(HERE / name, app / name)
    return app
