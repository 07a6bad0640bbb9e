"""What must be right before anything is started: files read and checked, the port taken, the state locked."""

import fcntl
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from durablegraph.host.app.loading import app_environment, check_script
from durablegraph.host.errors import AppLoadError, HostConfigurationError
from durablegraph.host.front.listening import bind
from durablegraph.host.hub.options import DurableOptions
from durablegraph.host.settings import HostSettings, LocalSettings, read_host_settings, read_local_settings

DEFAULT_PORT = 7071
STATE_SETTING = "DURABLEGRAPH_STATE"
_WORKERS_SETTING = "FUNCTIONS_WORKER_PROCESS_COUNT"
_MOST_WORKERS = 10


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How to run one app.

    `workers` is the number of worker processes, 0 for none (all in one process), None for what the app setting
    FUNCTIONS_WORKER_PROCESS_COUNT says; `port` None takes local.settings.json's, else 7071, and 0 any free one.
    """

    root: Path
    state: Path
    host: str = "127.0.0.1"
    port: int | None = None
    workers: int | None = None
    enable_auth: bool = False
    trace: Path | None = None
    drain_seconds: float = 10.0
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was read and taken; `environment` is the app's."""

    options: HostOptions
    settings: HostSettings
    durable: DurableOptions
    local: LocalSettings
    environment: Mapping[str, str]
    script: Path
    bound: socket.socket
    workers: int
    zone: tzinfo

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.bound.getsockname()[1])


def check_app(options: HostOptions) -> None:
    """See that there is an app at all, before anything is written beside it. Raises HostError."""
    if not options.root.is_dir():
        raise AppLoadError(f"Found no folder {options.root}, expected the app's. Name it with --app.")
    check_script(options.root, {**read_local_settings(options.root).values, **options.environment})


def prepare(options: HostOptions) -> Prepared:
    """Read, check and bind. Raises HostError; nothing needs undoing then."""
    local = read_local_settings(options.root)
    early = {**local.values, **options.environment}
    settings = read_host_settings(options.root, early)
    script = check_script(options.root, early)
    workers = _workers(options, early)
    durable = DurableOptions.from_host_json(settings.durable, environ=early, function_timeout=settings.function_timeout)
    zone = _zone(early)
    bound = bind(options.host, _port(options, local))
    environment = app_environment(options.root, local.values, bound.getsockname()[1], options.environment)
    environment.setdefault(STATE_SETTING, str(options.state))
    environment["DURABLEGRAPH_LOG_LEVEL"] = settings.log_levels.get("default", "Information")
    return Prepared(options, settings, durable, local, environment, script, bound, workers, zone)


class StateLock:
    """Holds a state folder for one host. The lock ends with the process, however that ends."""

    def __init__(self, state: Path, what: str) -> None:
        """Take the lock. Raises HostConfigurationError that says who has it."""
        state.mkdir(parents=True, exist_ok=True)
        self._file = (state / "host.lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "somebody who has not said who"
            self._file.close()
            raise HostConfigurationError(
                f"Found the state folder {state} in use by {holder}, expected it to be free: "
                "one folder serves one host at a time. Stop that host, or take another folder with --state.",
            ) from error
        self._file.truncate(0)
        self._file.write(f"{what}, process {os.getpid()}, since {datetime.now(UTC).isoformat(timespec='seconds')}")
        self._file.flush()

    def release(self) -> None:
        """Give the folder free."""
        self._file.truncate(0)
        self._file.close()


def state_identity(state: Path) -> str:
    """An id that stays with the state folder."""
    path = state / "host.json"
    if path.is_file():
        return str(json.loads(path.read_text(encoding="utf-8"))["id"])
    identity = os.urandom(16).hex()
    path.write_text(json.dumps({"id": identity}), encoding="utf-8")
    return identity


def _port(options: HostOptions, local: LocalSettings) -> int:
    if options.port is not None:
        return options.port
    return local.port if local.port is not None else DEFAULT_PORT


def _workers(options: HostOptions, environment: Mapping[str, str]) -> int:
    if options.workers is not None:
        if 0 <= options.workers <= _MOST_WORKERS:
            return options.workers
        raise HostConfigurationError(f"--workers: found {options.workers}, expected 0 to {_MOST_WORKERS}. Correct it.")
    text = environment.get(_WORKERS_SETTING, "1")
    if not text.isdigit() or not 1 <= int(text) <= _MOST_WORKERS:
        raise HostConfigurationError(
            f"{_WORKERS_SETTING}: found {text!r}, expected a whole number from 1 to {_MOST_WORKERS}. Correct it.",
        )
    return int(text)


def _zone(environment: Mapping[str, str]) -> tzinfo:
    name = environment.get("WEBSITE_TIME_ZONE")
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise HostConfigurationError(
            f"WEBSITE_TIME_ZONE: found {name!r}, expected a name such as Europe/Berlin. Correct it.",
        ) from error
