"""Where the host under test is: at an address that answers, or in the Azure Functions Core Tools on the PATH."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

ADVICE = (
    "found no host: expected an address in FUNCTIONS_HOST, or `func` (Azure Functions Core Tools) on the PATH; "
    "see docs/how-to/test-on-the-real-host.md"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A host, by its address and, where it is on this machine, by its app's folder and its storage.

    `folder` holds the nodes' notes in `executions/`, `storage` is the connection string of the app's blobs.
    """

    url: str
    folder: Path | None = None
    storage: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What answers at an address: the project's app, the recorded app, or neither."""

    product: bool
    recorded: bool


def given(environment: Mapping[str, str]) -> list[Place]:
    """The addresses in FUNCTIONS_HOST, several with commas between; FUNCTIONS_APP and FUNCTIONS_STORAGE are of all."""
    urls = [url.strip().rstrip("/") for url in environment.get("FUNCTIONS_HOST", "").split(",") if url.strip()]
    folder, storage = environment.get("FUNCTIONS_APP"), environment.get("FUNCTIONS_STORAGE")
    return [Place(url, Path(folder) if folder else None, storage) for url in urls]


def core_tools() -> str | None:
    """The path of `func`."""
    return shutil.which("func")


def served(url: str) -> Served:
    """Ask what is there. Raises httpx.TransportError when nothing is."""
    with httpx.Client(base_url=url, timeout=30, headers=keys(os.environ)) as client:
        product = client.get("/api/openapi.json")
        recorded = client.post("/api/client/no_such_operation", json={})
    return Served(
        product=product.status_code == httpx.codes.OK and "/graphs/{graph}/runs" in product.text,
        recorded=recorded.status_code != httpx.codes.NOT_FOUND,
    )


def keys(environment: Mapping[str, str]) -> dict[str, str]:
    """The header with the function key, when FUNCTIONS_KEY names one."""
    key = environment.get("FUNCTIONS_KEY")
    return {"x-functions-key": key} if key else {}
