"""With encryption on, no value of a run is anywhere on the disk; with it off, the same search finds all of them."""

import base64
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.azurite import install, running
from tests.support.drive import ROOT, Host, make_app, until
from tests.support.marked import places_of

KINDS = (
    *("input", "metadata", "config", "state", "node", "cached", "item", "event"),
    *("interrupt", "answer", "output", "failure"),
)
KEYS = {f"v{number}": base64.b64encode(secrets.token_bytes(32)).decode() for number in (1, 2)}
DATABASE_OF_OBJECTS = {"objects.db", "objects.db-wal"}


@dataclass(frozen=True, slots=True)
class Place:
    """An app, the folders that everything it stores ends up in, and the marks it is given."""

    host: Host
    folders: tuple[Path, ...]
    marks: Mapping[str, str]

    def found(self) -> dict[str, set[str]]:
        return places_of(self.marks, *self.folders)

    @property
    def api(self) -> httpx.Client:
        return httpx.Client(base_url=f"{self.host.url}/api", timeout=90)


@pytest.fixture(params=["sqlite", pytest.param("azurite", marks=pytest.mark.azurite)])
def storage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(request: pytest.FixtureRequest, storage: str, tmp_path: Path) -> Iterator[Place]:
    """`keys` of the test's parameters are those of the app; empty: encryption is off."""
    marks = {kind: f"{kind}{secrets.token_hex(12)}" for kind in KINDS}
    app = make_app(tmp_path / "app", [], served="")
    for file in (ROOT / "tests" / "support" / "secrets_app").glob("*.*"):
        shutil.copy(file, app / file.name)
    environment = {"MARKS": json.dumps(marks), "AzureWebJobsStorage": "", "DURABLEGRAPH_ENCRYPTION_KEYS": ""}
    if encrypted := request.param:
        environment["DURABLEGRAPH_ENCRYPTION_KEYS"] = encrypted
    folders = [app / ".durablegraph"]
    with ExitStack() as ending:
        if storage == "azurite":
            if shutil.which("npm") is None:
                pytest.skip("Azurite needs Node.js and npm, which are not installed here")
            install()
            folders.append(tmp_path / "azurite")
            folders[-1].mkdir()
            environment["AzureWebJobsStorage"] = ending.enter_context(running(folders[-1]))
        host = Host(app, environment)
        ending.callback(host.kill)
        host.start()
        yield Place(host, tuple(folders), marks)


def _listed(api: httpx.Client) -> list[str]:
    return [one["status"] for one in api.get("/runs").json()["runs"]]


def run_everything(place: Place) -> None:
    """A run through all places where a value of its caller or of its nodes could be kept, and one that fails."""
    marks = place.marks
    body = {
        "input": {"word": marks["input"]},
        "metadata": {"about": marks["metadata"]},
        "config": {"configurable": {"user": marks["config"]}},
        "stream_mode": ["custom", "values"],
    }
    with place.api as api:
        run = api.post("/graphs/secrets/runs", json=body).raise_for_status().json()["id"]
        shown = api.get(f"/runs/{run}", params={"wait": 60}).json()
        assert shown["interrupts"][0]["value"] == {"question": marks["interrupt"]}, shown
        api.post(f"/runs/{run}/events/resume", json=marks["answer"]).raise_for_status()
        shown = api.get(f"/runs/{run}", params={"wait": 60}).json()
        assert (shown["status"], shown["output"]) == ("completed", {"result": marks["output"]})
        assert shown["metadata"] == {"about": marks["metadata"]}
        state = api.get(f"/threads/{shown['thread_id']}/state").json()["values"]
        assert (state["answer"], state["cached"], state["trail"]) == (
            marks["answer"],
            marks["cached"],
            [marks["node"], "noted"],
        )
        failed = api.post("/graphs/failing/runs", json={"input": {"word": "x"}}).json()["id"]
        shown = api.get(f"/runs/{failed}", params={"wait": 60}).json()
        assert shown["error"]["message"] == marks["failure"]
        assert until(lambda: _listed(api) == ["failed", "completed"], 5)  # lists follow records soon
    written_down(place, run)


def completed(api: httpx.Client, run: str) -> None:
    """Wait until the run has taken its answer and ended."""
    deadline = time.monotonic() + 60
    while (status := api.get(f"/runs/{run}", params={"wait": 5}).json()["status"]) != "completed":
        assert time.monotonic() < deadline, f"the run is {status}"
        time.sleep(0.2)


def written_down(place: Place, run: str) -> None:
    """Wait until Azurite has written its database, in which names and metadata of blobs are; it does so by and by."""
    database = next((folder / "__azurite_db_blob__.json" for folder in place.folders if folder.name == "azurite"), None)
    deadline = time.monotonic() + 30
    while database is not None and not (database.exists() and run in database.read_text()):
        assert time.monotonic() < deadline, "Azurite wrote no database"
        time.sleep(0.2)


@pytest.mark.parametrize("place", [f"v1={KEYS['v1']}"], indirect=True, ids=["encrypted"])
def test_with_encryption_no_value_is_anywhere_on_the_disk(place: Place) -> None:
    run_everything(place)
    assert place.found() == {}
    place.host.stop()
    assert place.found() == {}


@pytest.mark.parametrize("place", [""], indirect=True, ids=["clear"])
def test_the_same_search_finds_every_value_without_encryption(place: Place, storage: str) -> None:
    run_everything(place)
    found = place.found()
    assert set(found) == set(KINDS)
    durables_own = {file for files in found.values() for file in files if not stored_by_us(file, storage)}
    assert durables_own == set()  # Durable's history holds ids only, with encryption or without


@pytest.mark.parametrize("place", [f"v1={KEYS['v1']}"], indirect=True, ids=["encrypted"])
def test_an_answer_that_is_sent_to_durables_own_webhook_stays_in_its_history(place: Place, storage: str) -> None:
    with place.api as api:
        run = api.post("/graphs/secrets/runs", json={"input": {"word": place.marks["input"]}}).json()["id"]
        assert api.get(f"/runs/{run}", params={"wait": 60}).json()["status"] == "interrupted"
        raised = f"{place.host.url}/runtime/webhooks/durabletask/instances/{run}/raiseEvent/resume"
        httpx.post(raised, json=place.marks["answer"], timeout=30).raise_for_status()
        completed(api, run)
    written_down(place, run)
    found = place.found()
    assert set(found) == {"answer"}  # as the how-to says: what to do about it stands there
    assert not any(stored_by_us(file, storage) for file in found["answer"])


@pytest.mark.parametrize("place", [f"v1={KEYS['v1']}"], indirect=True, ids=["encrypted"])
def test_a_run_that_waits_goes_on_after_a_rotation_with_the_old_key_removed(place: Place, storage: str) -> None:
    if storage != "sqlite":
        pytest.skip("one storage is enough: the objects are the same")
    host = place.host
    with place.api as api:
        run = api.post("/graphs/secrets/runs", json={"input": {"word": place.marks["input"]}}).json()["id"]
        assert api.get(f"/runs/{run}", params={"wait": 60}).json()["status"] == "interrupted"
    host.stop()
    host.start(DURABLEGRAPH_ENCRYPTION_KEYS=f"v2={KEYS['v2']},v1={KEYS['v1']}")
    said = rotate(place, f"v2={KEYS['v2']},v1={KEYS['v1']}")  # while the app runs
    assert " 0 left." in said
    host.stop()
    host.start(DURABLEGRAPH_ENCRYPTION_KEYS=f"v2={KEYS['v2']}")
    with place.api as api:
        shown = api.get(f"/runs/{run}").json()
        assert shown["interrupts"][0]["value"] == {"question": place.marks["interrupt"]}
        api.post(f"/runs/{run}/events/resume", json=place.marks["answer"]).raise_for_status()
        shown = api.get(f"/runs/{run}", params={"wait": 60}).json()
        assert (shown["status"], shown["output"]) == ("completed", {"result": place.marks["output"]})
    with closing(sqlite3.connect(host.state / "objects.db")) as database:
        under = {bytes(data[8:10]) for (data,) in database.execute("SELECT data FROM durablegraph_objects")}
    assert under == {b"v2"}
    assert place.found() == {}


def rotate(place: Place, keys: str) -> str:
    command = [sys.executable, "-m", "durablegraph.cli", "rotate-keys", "--app", str(place.host.app)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "lib"),
        "DURABLEGRAPH_ENCRYPTION_KEYS": keys,
        "AzureWebJobsStorage": "",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stored_by_us(file: str, storage: str) -> bool:
    """Whether this file belongs to the object store, not to Durable."""
    if storage == "sqlite":
        return file in DATABASE_OF_OBJECTS
    return file.startswith(("__blobstorage__", "__azurite_db"))
