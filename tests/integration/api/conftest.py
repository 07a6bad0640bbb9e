import httpx
import pytest

from tests.support.drive import Host
from tests.support.small import small_app


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """The project's own app in a real host process."""
    running = Host(small_app(tmp_path_factory.mktemp("api") / "app"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def api(host):
    with httpx.Client(base_url=f"{host.url}/api", timeout=60) as client:
        yield client
