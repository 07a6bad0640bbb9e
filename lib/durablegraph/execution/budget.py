"""How long an activity may take: part of what the Functions host allows, so that we stop before it kills the worker."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from durablegraph.errors import ConfigurationError
from durablegraph.graphs.deadline import TimeBudget
from durablegraph.settings import Settings

OF_TIMEOUT = 0.9
"""The part of `functionTimeout` after which an activity is stopped: the rest is for storing what is to be stored."""

OF_BUDGET = 0.5
"""The part of the budget after which subgraphs are asked to stop at the end of their super-step."""

TRIES = 3
"""Calls in a row that may be stopped without having moved anything before the run fails."""

OVERRIDE = "AzureFunctionsJobHost__functionTimeout"

_TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d+)?)")


def time_budget(settings: Settings, environment: Mapping[str, str], folder: Path) -> TimeBudget | None:
    """The budget of every activity of the app in `folder`; None where neither setting nor host sets a limit.

    Raises ConfigurationError for a host.json that cannot be read as JSON; a duration that is none is the host's to
    refuse.
    """
    hard = settings.activity_seconds
    if hard is None:
        timeout = _seconds(environment.get(OVERRIDE) or _function_timeout(folder / "host.json"))
        hard = timeout * OF_TIMEOUT if timeout else None
    return TimeBudget(soft=hard * OF_BUDGET, hard=hard) if hard else None


def _function_timeout(path: Path) -> object:
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error}. Correct it, or set DURABLEGRAPH_ACTIVITY_SECONDS."
        ) from error
    return document.get("functionTimeout") if isinstance(document, dict) else None


def _seconds(timespan: object) -> float | None:
    """A .NET time span in seconds; None for ``-1``, which means no limit, and for anything else."""
    found = _TIMESPAN.fullmatch(timespan.strip()) if isinstance(timespan, str) else None
    if found is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
