"""What host.json and local.settings.json say, read once and checked.

Source: the host's own documentation of host.json v2, and the local tools' of local.settings.json. Both files may
hold comments and trailing commas, as the host's own JSON reader allows them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from durablegraph.host.errors import HostConfigurationError
from durablegraph.host.timespan import parse_timespan

_DEFAULT_FUNCTION_TIMEOUT = 30 * 60.0
_OVERRIDE_PREFIX = "azurefunctionsjobhost__"
_NOT_STRICT = re.compile(
    r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/|,(?=\s*(?:(?://[^\n]*|/\*.*?\*/)\s*)*[}\]])', re.DOTALL
)
_PERCENT = re.compile(r"%([^%]+)%")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """`extensions.http` of host.json; -1 means no limit."""

    route_prefix: str = "api"
    max_concurrent_requests: int = -1
    max_outstanding_requests: int = -1
    custom_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CorsSettings:
    """Which origins may call from a browser; empty means none."""

    origins: tuple[str, ...] = ()
    credentials: bool = False


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """local.settings.json: application settings and what the local host takes from it."""

    values: Mapping[str, str] = field(default_factory=dict)
    cors: CorsSettings = field(default_factory=CorsSettings)
    port: int | None = None


@dataclass(frozen=True, slots=True)
class HostSettings:
    """host.json. `function_timeout` is in seconds, None for none; `durable` is `extensions.durableTask` as is."""

    http: HttpSettings = field(default_factory=HttpSettings)
    function_timeout: float | None = _DEFAULT_FUNCTION_TIMEOUT
    durable: Mapping[str, Any] = field(default_factory=dict)
    log_levels: Mapping[str, str] = field(default_factory=dict)


def read_host_settings(root: Path, environment: Mapping[str, str]) -> HostSettings:
    """Read `root`/host.json; absent means all defaults.

    Settings named ``AzureFunctionsJobHost__a__b`` in `environment` override the member ``a.b``, as on the real host.
    """
    path = root / "host.json"
    document = _overridden(_read_object(path), environment)
    if (version := document.get("version", "2.0")) != "2.0":
        raise HostConfigurationError(f'{path}: found "version": {version!r}, expected "2.0". Set it to "2.0".')
    extensions = _member(document, "extensions", path)
    logging = _member(document, "logging", path)
    return HostSettings(
        http=_http_settings(_member(extensions, "http", path), path),
        function_timeout=_function_timeout(document.get("functionTimeout"), path),
        durable=_member(extensions, "durableTask", path),
        log_levels={name: str(level) for name, level in _member(logging, "logLevel", path).items()},
    )


def read_local_settings(root: Path) -> LocalSettings:
    """Read `root`/local.settings.json; absent means nothing is set."""
    path = root / "local.settings.json"
    document = _read_object(path)
    if document.get("IsEncrypted"):
        raise HostConfigurationError(
            f'{path}: found "IsEncrypted": true, expected readable values. '
            "Decrypt the file (func settings decrypt) or write the values in plain text.",
        )
    values = dict(_member(document, "Values", path))
    for name, value in values.items():
        if isinstance(value, (dict, list)):
            raise HostConfigurationError(
                f"{path}: found {type(value).__name__} as the value of {name!r}, expected a string. "
                "Write nested settings with double underscores (A__B).",
            )
    local = _member(document, "Host", path)
    cors = tuple(part.strip() for part in str(local.get("CORS") or "").split(",") if part.strip())
    port = local.get("LocalHttpPort")
    return LocalSettings(
        values={name: _setting_text(value) for name, value in values.items() if value is not None},
        cors=CorsSettings(origins=cors, credentials=bool(local.get("CORSCredentials"))),
        port=_whole_number(port, f"{path}: Host.LocalHttpPort") if port is not None else None,
    )


def resolve_percent(text: str, environment: Mapping[str, str], what: str) -> str:
    """`text` with every ``%NAME%`` replaced by the application setting of that name."""

    def setting(found: re.Match[str]) -> str:
        for name, value in environment.items():
            if name.lower() == found[1].lower():
                return value
        raise HostConfigurationError(
            f"{what}: found {found[0]}, expected an application setting named {found[1]!r}. "
            "Add it to Values in local.settings.json or to the environment.",
        )

    return _PERCENT.sub(setting, text)


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8-sig")
    strict = _NOT_STRICT.sub(lambda found: found[1] or "", text)
    try:
        document = json.loads(strict or "{}")
    except json.JSONDecodeError as error:
        raise HostConfigurationError(
            f"{path}: found text that is not JSON at line {error.lineno}, column {error.colno} ({error.msg}), "
            "expected one JSON object. Correct that place.",
        ) from error
    if not isinstance(document, dict):
        raise HostConfigurationError(
            f'{path}: found a JSON {type(document).__name__}, expected an object. Write {{"version": "2.0"}}.',
        )
    return document


def _overridden(document: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    for name, text in environment.items():
        if not name.lower().startswith(_OVERRIDE_PREFIX):
            continue
        *parents, leaf = name[len(_OVERRIDE_PREFIX) :].split("__")
        inner = document
        for parent in parents:
            key = _spelled(inner, parent)
            inner[key] = dict(inner[key]) if isinstance(inner.get(key), dict) else {}
            inner = inner[key]
        inner[_spelled(inner, leaf)] = _setting_value(text)
    return document


def _spelled(members: Mapping[str, Any], name: str) -> str:
    return next((key for key in members if key.lower() == name.lower()), name)


def _setting_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _setting_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _member(document: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    value = document.get(_spelled(document, name))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise HostConfigurationError(
            f"{path}: found {json.dumps(value)} for {name!r}, expected an object. Correct or remove it.",
        )
    return value


def _http_settings(http: Mapping[str, Any], path: Path) -> HttpSettings:
    prefix = http.get("routePrefix", "api")
    if not isinstance(prefix, str):
        raise HostConfigurationError(
            f"{path}: found {json.dumps(prefix)} for extensions.http.routePrefix, expected a string. "
            'Write "api", or "" for no prefix.',
        )
    return HttpSettings(
        route_prefix=prefix.strip("/"),
        max_concurrent_requests=_whole_number(http.get("maxConcurrentRequests", -1), f"{path}: maxConcurrentRequests"),
        max_outstanding_requests=_whole_number(
            http.get("maxOutstandingRequests", -1),
            f"{path}: maxOutstandingRequests",
        ),
        custom_headers={name: str(value) for name, value in _member(http, "customHeaders", path).items()},
    )


def _whole_number(value: Any, what: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise HostConfigurationError(f"{what}: found {json.dumps(value)}, expected a whole number. Correct or remove it.")


def _function_timeout(value: Any, path: Path) -> float | None:
    if value is None:
        return _DEFAULT_FUNCTION_TIMEOUT
    if str(value).strip() == "-1":
        return None
    length = parse_timespan(value) if isinstance(value, str) else None
    if length is None or length.total_seconds() <= 0:
        raise HostConfigurationError(
            f"{path}: found {json.dumps(value)} for functionTimeout, expected a duration such as "
            '"00:10:00", or "-1" for none. Correct it.',
        )
    return length.total_seconds()
