"""Azurite for tests: installed once from npm into tests/.azurite, one in-memory emulator for each test process."""

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.ports import free_port

_HERE = Path(__file__).resolve().parent.parent
_HOME = _HERE / ".azurite"
_PINS = _HERE / "azurite"
_INSTALL_SECONDS = 600
_START_SECONDS = 60
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of a running Azurite (blobs only); its containers are shared by the session's tests."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Azurite needs Node.js and npm, which are not installed here")
    install()
    with running() as connection_string:
        yield connection_string


def install() -> None:
    """Install the pinned Azurite unless it is there; other test processes wait meanwhile."""
    _HOME.mkdir(exist_ok=True)
    pinned = (_PINS / "package-lock.json").read_bytes()
    with _only_one_process():
        marker = _HOME / "installed-lock.json"
        if marker.exists() and marker.read_bytes() == pinned:
            return
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_PINS / name, _HOME / name)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        done = subprocess.run(
            command, cwd=_HOME, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False, shell=False
        )
        if done.returncode != 0:
            pytest.fail(f"npm could not install Azurite into {_HOME}:\n{done.stdout}{done.stderr}")
        marker.write_bytes(pinned)


@contextmanager
def running(folder: Path | None = None) -> Iterator[str]:
    """An Azurite of one's own, in memory unless a folder is given; yields its connection string."""
    port = free_port()
    command = ["node", str(_PINS / "serve.js"), str(_HOME), str(port), *([str(folder)] if folder else [])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            _wait_until_ready(server)
            yield connection_string(port)
        finally:
            server.kill()  # it has nothing to save, and its orderly end waits for idle connections


def connection_string(port: int) -> str:
    """How to reach the emulator's account through a port of this machine."""
    address = f"http://127.0.0.1:{port}/devstoreaccount1"
    return f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={_KEY};BlobEndpoint={address};"


def _wait_until_ready(server: subprocess.Popen[str]) -> None:
    """Return when the server says so; what it prints later is read away, for a full pipe would stop it."""
    assert server.stdout is not None
    timer = threading.Timer(_START_SECONDS, server.kill)
    timer.start()
    said: list[str] = []
    for line in server.stdout:
        said.append(line)
        if "successfully listen" in line:
            timer.cancel()
            threading.Thread(target=server.stdout.read, daemon=True).start()
            return
    timer.cancel()
    pytest.fail(f"Azurite did not start:\n{''.join(said)}")


@contextmanager
def _only_one_process() -> Iterator[None]:
    """A lock between processes that ends with its holder, on every platform: SQLite's."""
    with closing(sqlite3.connect(_HOME / "lock.db", timeout=_INSTALL_SECONDS, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        yield
