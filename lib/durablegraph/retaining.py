"""The command `durablegraph retain`: ask the app's host for a slice of the sweep, or tell what a round would remove."""

import asyncio
import os
import urllib.error
import urllib.request
from pathlib import Path

from durablegraph import clock, opening
from durablegraph import settings as settings_module
from durablegraph.errors import ConfigurationError
from durablegraph.storage.retention import Report, survey

TIMER = "retain"
"""The function that the host is asked to call."""
_SECONDS = 30


def dry_run(folder: Path) -> Report:
    """What a round would remove if it began now, for the app in `folder` whose settings are in the environment."""
    return asyncio.run(_survey(folder))


async def _survey(folder: Path) -> Report:
    services = opening.open_services(settings_module.load(), os.environ, folder)
    try:
        return await survey(await services.retention(_nothing, strict=False), clock.now())
    finally:
        await services.objects.aclose()


async def _nothing(run_id: str) -> None:
    """A survey purges no instance."""


def told(report: Report) -> str:
    """What a person reads: a line for each kind."""
    return "\n".join([f"{report.keys} keys listed. A round would remove:", *(report.kinds() or ["nothing"])])


def ask_host(url: str, key: str | None) -> None:
    """Let the host at `url` call the timer's function now; raises ConfigurationError when it does not."""
    headers = {"Content-Type": "application/json", **({"x-functions-key": key} if key else {})}
    address = f"{url.rstrip('/')}/admin/functions/{TIMER}"
    if not address.startswith(("http://", "https://")):
        raise ConfigurationError(f"--url {url!r} is no address of a host: give one such as http://localhost:7071")
    request = urllib.request.Request(address, b'{"input": ""}', headers, method="POST")  # noqa: S310 -- checked above
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310 -- as above
            return
    except urllib.error.HTTPError as error:
        raise ConfigurationError(
            f"{address} answered {error.code}: give the app's master key with --key, and check that it is this app"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{address} does not answer ({error}): start the host, or name it by --url") from error
