from pathlib import Path

import httpx
import pytest

from tests.support.drive import Host, make_app

SMALL = ("expense_approval",)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """The project's own app in a real host process."""
    from tests.support.drive import ROOT

    app = make_app(tmp_path_factory.mktemp("api") / "app", [])
    (app / "langgraph.json").write_text((Path(__file__).parent / "langgraph.json").read_text())
    (app / "graphs").symlink_to(ROOT / "graphs")
    (app / "small.py").write_text((Path(__file__).parent / "small.py").read_text())
    running = Host(app)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def api(host):
    with httpx.Client(base_url=f"{host.url}/api", timeout=60) as client:
        yield client
