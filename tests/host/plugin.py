"""A pytest plugin: the e2e suite as it is, on the host that FUNCTIONS_HOST names instead of one that it starts.

`tests.support.drive.Host` becomes a host that is there already. Tests that need more than an address, such as killing
it, are skipped with the reason.
"""

import os
import secrets
from pathlib import Path

import pytest

from durablegraph import BlobCheckpointSaver
from tests.host.places import Place, given, keys
from tests.support import drive
from tests.support.catalogue_graphs.case import Case

CANNOT = {
    "test_crash.py": "kills the host at moments that a hook inside the embedded host chooses",
    "test_proof.py": "kills the host",
    "test_docs.py": "starts the app with the commands that the pages print",
    "test_apps.py": "gives the host the address of a fake model when it starts it",
    "test_apps_killed.py": "runs in the test's own process, without a host",
    "test_another_saver.py": "starts hosts with a database of its own",
    "test_encryption.py": "starts hosts with keys of its own, and reads what they have stored",
    "test_scoreboard.py": "starts every peer by itself",
    "test_streaming.py": "serves a graph of its own",
    "test_supervision.py": "kills the host's worker process",
    "test_fan_out.py": "starts a host with two worker processes",
    "host_of_two": "starts a host with two worker processes",
    "test_both_processes": "starts a host with two worker processes",
}
"""Why tests of these names are not for a host that is there already. Names are parts of a test's id or its fixtures."""

CAN = ("test_catalogue.py",)
"""Modules of the e2e suite that need no more than the address and the folder; every other one stands in `CANNOT`."""

NEEDS_FOLDER = "reads what the nodes noted in the app's folder: name it in FUNCTIONS_APP when it is on this machine"
KEPT = ("[store]", "[cached_node]", "[expense_approval]")
"""Cases that leave something outside of their threads: a Store, a cache, a ledger that numbers its entries."""

NEEDS_FRESH = "an earlier run may have left a Store, a cache or a ledger: FUNCTIONS_FRESH=1 says that none did"
ONCE = "keeps something outside of its thread, and the e2e suite has run it already"
FOLDERLESS = ("test_supervision.py::test_a_purged_instance",)
"""Tests of a module in `CANNOT` or of any other that need nothing but the address."""


def reason(node: str, fixtures: list[str], *, folder: bool, fresh: bool = False) -> str | None:
    """Why a test cannot run on a host that is only known by its address, or None."""
    if any(name in node for name in FOLDERLESS):
        return None
    for name, why in CANNOT.items():
        if name in node or name in fixtures:
            return why
    if not fresh and any(name in node for name in KEPT):
        return NEEDS_FRESH
    if folder and "test_runs.py" in node and any(name in node for name in KEPT):
        return ONCE
    return None if folder or "e2e" not in node else NEEDS_FOLDER


def pytest_configure(config: pytest.Config) -> None:
    """Put the given host in the place of those that the tests would start."""
    places = given(os.environ)
    if not places:
        raise pytest.UsageError("FUNCTIONS_HOST names no address")
    _take_the_place(places[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot be."""
    folder, fresh = (bool(os.environ.get(name)) for name in ("FUNCTIONS_APP", "FUNCTIONS_FRESH"))
    for item in items:
        if why := reason(item.nodeid, list(getattr(item, "fixturenames", ())), folder=folder, fresh=fresh):
            item.add_marker(pytest.mark.skip(reason=why))


def pytest_runtest_setup() -> None:
    """Forget what earlier tests' nodes noted: here all share one folder."""
    if folder := os.environ.get("FUNCTIONS_APP"):
        for notes in (Path(folder) / "executions").glob("*"):
            notes.unlink()


def _take_the_place(place: Place) -> None:
    def start(self: drive.Host, **more: str) -> None:
        if more:
            pytest.skip(f"starts a host with other settings: {sorted(more)}")
        if not self.ready():
            pytest.fail(f"no host says that it runs at {place.url}")

    def kill(self: drive.Host) -> None:
        pytest.skip("kills the host")

    folder = place.folder or Path("/nowhere")
    replaced = {
        "url": property(lambda _: place.url),
        "executions": property(lambda _: folder / "executions"),
        "state": property(lambda _: folder / ".durablegraph"),
        "log": property(lambda _: "(the log of a host that these tests did not start)"),
        "alive": property(lambda _: True),
        "start": start,
        "spawn": start,
        "kill": kill,
        "stop": lambda _: None,
    }
    for name, value in replaced.items():
        setattr(drive.Host, name, value)
    _on_threads_of_its_own()
    _with_key(keys(os.environ))
    if place.storage:
        storage = place.storage
        opened = BlobCheckpointSaver.from_connection_string
        BlobCheckpointSaver.from_path = lambda _path, **facts: opened(  # type: ignore[method-assign,assignment] # on purpose
            storage, container="langgraph-checkpoints", **facts
        )


def _on_threads_of_its_own() -> None:
    """Mark the threads of this session: the host's storage may have those of others."""
    drive_case, mark = drive.Client.drive, secrets.token_hex(4)

    async def marked(self: drive.Client, case: Case, thread: str) -> drive.DrivenRun:
        return await drive_case(self, case, f"{thread}-{mark}")

    drive.Client.drive = marked  # type: ignore[method-assign] # on purpose


def _with_key(headers: dict[str, str]) -> None:
    if not headers:
        return
    send = drive.Client.send

    async def with_key(self: drive.Client, method: str, path: str, **facts: object) -> object:
        return await send(self, method, path, **{**facts, "headers": {**headers, **(facts.get("headers") or {})}})  # type: ignore[dict-item] # as httpx takes them

    drive.Client.send = with_key  # type: ignore[method-assign,assignment] # on purpose
