"""`extensions.durableTask` of host.json, checked once at start.

Source: DurableTaskOptions and AzureStorageOptions of the extension. Settings that only a distributed storage backend
has are accepted and checked where the real host refuses to start on a bad value, and otherwise ignored.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from os import cpu_count
from typing import Any, TypeVar

from durablegraph.host.errors import HostConfigurationError
from durablegraph.host.settings import resolve_percent
from durablegraph.host.timespan import parse_timespan

_HUB_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{2,49}")
_PER_CPU = 10
_PREFIX = "host.json: extensions.durableTask"
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
Choice = TypeVar("Choice", bound=StrEnum)


class VersionMatch(StrEnum):
    """Which versions of an orchestration the host takes."""

    NONE = "None"
    STRICT = "Strict"
    CURRENT_OR_OLDER = "CurrentOrOlder"


class VersionFailure(StrEnum):
    """What happens to an orchestration whose version the host does not take."""

    REJECT = "Reject"
    FAIL = "Fail"


class Overridable(StrEnum):
    """Which existing instances a start with the same id may replace."""

    NON_RUNNING = "NonRunningStates"
    ANY = "AnyState"


@dataclass(frozen=True, slots=True)
class DurableOptions:
    """Options of one hub. `timers_fire_early` truncates delays to whole seconds, as Azure Storage's queues do."""

    hub_name: str = "TestHubName"
    connection_name: str = "Storage"
    max_activities: int = _PER_CPU
    max_orchestrators: int = _PER_CPU
    max_entities: int = _PER_CPU
    max_entity_batch: int = 5000
    max_actions: int = 100_000
    store_inputs: bool = False
    overridable: Overridable = Overridable.NON_RUNNING
    default_version: str | None = None
    version_match: VersionMatch = VersionMatch.CURRENT_OR_OLDER
    version_failure: VersionFailure = VersionFailure.REJECT
    function_timeout: timedelta | None = None
    timers_fire_early: bool = True

    @classmethod
    def from_host_json(
        cls,
        durable: Mapping[str, Any],
        *,
        environ: Mapping[str, str],
        function_timeout: float | None = None,
        cpus: int | None = None,
    ) -> "DurableOptions":
        """Read `extensions.durableTask`; `function_timeout` in seconds. HostConfigurationError names a bad setting."""
        reader = _Reader({key.lower(): value for key, value in durable.items()})
        concurrency = _PER_CPU * (cpus or cpu_count() or 1)
        if reader.flag("extendedSessionsEnabled"):
            raise HostConfigurationError(
                f"{_PREFIX}.extendedSessionsEnabled: found true, expected false: extended sessions do not work "
                "with Python. Remove the setting.",
            )
        _check_storage(reader.section("storageProvider"))
        limit = None if function_timeout is None else timedelta(seconds=function_timeout)
        return cls(
            hub_name=_hub_name(reader.text("hubName"), environ),
            connection_name=reader.section("storageProvider").text("connectionName") or "Storage",
            max_activities=reader.count("maxConcurrentActivityFunctions", concurrency),
            max_orchestrators=reader.count("maxConcurrentOrchestratorFunctions", concurrency),
            max_entities=reader.count("maxConcurrentEntityFunctions", concurrency),
            max_entity_batch=reader.count("maxEntityOperationBatchSize", 5000),
            max_actions=reader.count("maxOrchestrationActions", 100_000),
            store_inputs=reader.flag("storeInputsInOrchestrationHistory"),
            overridable=reader.choice("overridableExistingInstanceStates", Overridable, Overridable.NON_RUNNING),
            default_version=reader.text("defaultVersion"),
            version_match=reader.choice("versionMatchStrategy", VersionMatch, VersionMatch.CURRENT_OR_OLDER),
            version_failure=reader.choice("versionFailureStrategy", VersionFailure, VersionFailure.REJECT),
            function_timeout=limit,
        )


@dataclass(frozen=True, slots=True)
class _Reader:
    """A JSON object whose member names are compared without case."""

    members: Mapping[str, Any]
    path: str = _PREFIX

    def refuse(self, name: str, expected: str) -> HostConfigurationError:
        found = json.dumps(self.members.get(name.lower()))
        return HostConfigurationError(f"{self.path}.{name}: found {found}, expected {expected}. Correct or remove it.")

    def text(self, name: str) -> str | None:
        value = self.members.get(name.lower())
        if value is None or isinstance(value, str):
            return value
        raise self.refuse(name, "a string")

    def flag(self, name: str) -> bool:
        value = self.members.get(name.lower(), False)
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        raise self.refuse(name, "true or false")

    def count(self, name: str, default: int) -> int:
        value = self.members.get(name.lower(), default)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        raise self.refuse(name, "a whole number above zero")

    def choice(self, name: str, kind: type[Choice], default: Choice) -> Choice:
        value = self.members.get(name.lower())
        if value is None:
            return default
        for option in kind:
            if isinstance(value, str) and value.lower() == option.value.lower():
                return option
        raise self.refuse(name, "one of " + ", ".join(option.value for option in kind))

    def section(self, name: str) -> "_Reader":
        value = self.members.get(name.lower(), {})
        if not isinstance(value, Mapping):
            raise self.refuse(name, "an object")
        return _Reader({key.lower(): item for key, item in value.items()}, f"{self.path}.{name}")


def _check_storage(storage: _Reader) -> None:
    """The embedded host has its own storage; what the real one would refuse is refused here too."""
    kind = storage.text("type") or "AzureStorage"
    if kind.lower() not in {"azurestorage", "mssql", "azuremanaged", "netherite"}:
        raise storage.refuse("type", "AzureStorage (known providers: AzureStorage, mssql, AzureManaged, Netherite)")
    for name in ("controlQueueVisibilityTimeout", "workItemQueueVisibilityTimeout"):
        text = storage.text(name)
        span = parse_timespan(text) if text is not None else _MINUTE
        if span is None or not _MINUTE <= span <= _HOUR:
            raise storage.refuse(name, "a duration between 00:01:00 and 01:00:00")
    partitions = storage.count("partitionCount", 4)
    if partitions > 16:  # noqa: PLR2004 -- the limit of the Azure Storage provider
        raise storage.refuse("partitionCount", "a number from 1 to 16")


def _hub_name(text: str | None, environ: Mapping[str, str]) -> str:
    if text is None:
        site = re.sub(r"[^A-Za-z0-9]", "", environ.get("WEBSITE_SITE_NAME", ""))[:45]
        if not site:
            return "TestHubName"
        return site if site[0].isalpha() and len(site) > 2 else f"t{site}Hub"  # noqa: PLR2004 -- the shortest hub name is three characters
    name = resolve_percent(text, environ, f"{_PREFIX}.hubName")
    if not _HUB_NAME.fullmatch(name):
        raise HostConfigurationError(
            f"{_PREFIX}.hubName: found {name!r}, expected 3 to 50 letters and digits that begin with a letter. "
            "Choose such a name.",
        )
    return name
