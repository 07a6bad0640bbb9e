"""Which object store an app uses, by the convention of Azure Functions.

============================================================  ===================================================
Settings                                                      Store
============================================================  ===================================================
``AzureWebJobsStorage`` absent, empty or ``local``            SQLite, at the path given
``AzureWebJobsStorage=UseDevelopmentStorage=true``            Blob, on the emulator at 127.0.0.1:10000
``AzureWebJobsStorage=<connection string>``                   Blob
``AzureWebJobsStorage__accountName=<name>``                   Blob, with an identity
``AzureWebJobsStorage__blobServiceUri`` with ``__queue…``     Blob, with an identity; Durable needs queues and tables,
and ``__tableServiceUri``                                     so all three addresses are wanted
============================================================  ===================================================

As on the Functions host, a value of ``AzureWebJobsStorage`` itself wins over the settings of an identity. With those,
``__credential=managedidentity`` asks for a managed identity (``__clientId`` for a user-assigned one); otherwise
azure-identity's default chain is used, developers' sign-ins included. Nothing is read or opened
here: this module only says what was asked for.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from durablegraph.errors import ConfigurationError

DEFAULT_CONTAINER: Final = "langgraph-checkpoints"
PREFIX: Final = "AzureWebJobsStorage"
SAVER_VARIABLE: Final = "AZURE_STORAGE_CONNECTION_STRING"


@dataclass(frozen=True, slots=True)
class SqliteConnection:
    """One file on this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class BlobConnection:
    """A container reached with a connection string, which is a secret and never shown."""

    connection_string: str = field(repr=False)
    blob_address: str
    container: str
    is_emulator: bool


@dataclass(frozen=True, slots=True)
class IdentityConnection:
    """A container reached with an identity. Without `managed` a developer's sign-in will do."""

    blob_address: str
    container: str
    managed: bool
    client_id: str | None


Connection = SqliteConnection | BlobConnection | IdentityConnection

_EMULATOR_ACCOUNT: Final = "devstoreaccount1"
_EMULATOR_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_EMULATOR_PORT: Final = 10000
_PARTS: Final = (
    *("DefaultEndpointsProtocol", "EndpointSuffix", "AccountName", "AccountKey", "SharedAccessSignature"),
    *(
        f"{service}{kind}Endpoint"
        for service in ("Blob", "Queue", "Table", "File", "Dfs")
        for kind in ("", "Secondary")
    ),
    *("UseDevelopmentStorage", "DevelopmentStorageProxyUri"),
)
_PROXY: Final = "DevelopmentStorageProxyUri"
_CANONICAL: Final = {part.lower(): part for part in _PARTS}
_CONTAINER_NAME: Final = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
_ACCOUNT_NAME: Final = re.compile(r"[a-z0-9]{3,24}")
_ADDRESSES: Final = ("blobServiceUri", "queueServiceUri", "tableServiceUri")


def app_connection(settings: Mapping[str, str], *, local_path: Path, container: str = DEFAULT_CONTAINER) -> Connection:
    """The connection an app is configured for; `local_path` is the file when no account is named.

    Raises ConfigurationError, which names settings and never shows a value that could be a secret.
    """
    value = settings.get(PREFIX, "").strip()
    if value and value.lower() != "local":
        return string_connection(value, setting=PREFIX, container=container)
    identity = _identity_settings(settings)
    if identity and not value:
        return _identity_connection(identity, container)
    return SqliteConnection(local_path)


def saver_connection(settings: Mapping[str, str], *, container: str = DEFAULT_CONTAINER) -> Connection:
    """The connection of a saver that is used without an app: its own variable first, then the app's settings."""
    value = settings.get(SAVER_VARIABLE, "").strip()
    if value:
        return string_connection(value, setting=SAVER_VARIABLE, container=container)
    connection = app_connection(settings, local_path=Path(), container=container)
    if isinstance(connection, SqliteConnection):
        raise ConfigurationError(
            f"neither {SAVER_VARIABLE} nor {PREFIX} names a storage account; set one of them, "
            "or use the saver on a file of this machine (from_path)"
        )
    return connection


def string_connection(
    value: str, *, setting: str = "the connection string", container: str = DEFAULT_CONTAINER
) -> BlobConnection:
    """The connection that a connection string describes; `setting` is what messages call it."""
    parts = _parts(value.strip(), setting)
    if "UseDevelopmentStorage" in parts:
        parts = _emulator_parts(parts, setting)
    account, address = parts.get("AccountName"), parts.get("BlobEndpoint")
    if account is not None and not _ACCOUNT_NAME.fullmatch(account):
        raise _malformed(setting, parts, "an AccountName of 3-24 lower-case letters and digits")
    if "AccountKey" in parts and not _is_base64(parts["AccountKey"]):
        raise _malformed(setting, parts, "an AccountKey in base64 as the portal shows it")
    if not (account and "AccountKey" in parts) and not (parts.get("SharedAccessSignature") and (account or address)):
        raise _malformed(setting, parts, "AccountName with AccountKey, or SharedAccessSignature with BlobEndpoint")
    if address is None:
        protocol, suffix = parts.get("DefaultEndpointsProtocol", "https"), parts.get("EndpointSuffix")
        address = f"{protocol}://{account}.blob.{suffix or 'core.windows.net'}"
    return BlobConnection(
        ";".join(f"{name}={text}" for name, text in parts.items()),
        _address(address, f"the BlobEndpoint of {setting}"),
        _container(container),
        is_emulator=account == _EMULATOR_ACCOUNT,
    )


def _parts(value: str, setting: str) -> dict[str, str]:
    """The parts of a connection string under their canonical names."""
    if value.startswith("@Microsoft.KeyVault("):
        raise ConfigurationError(
            f"{setting} is still a Key Vault reference: the platform could not resolve it; give the app's identity the "
            "role 'Key Vault Secrets User' and look at the reference's state in the portal"
        )
    parts: dict[str, str] = {}
    for number, text in enumerate(filter(None, (part.strip() for part in value.split(";"))), 1):
        name, separator, content = text.partition("=")
        known = _CANONICAL.get(name.strip().lower())
        if known is None or not separator or not content.strip():
            what = "has no value" if known else "is none that a connection string has"  # its text may be a secret
            raise _malformed(setting, parts, f"Name=value parts separated by ';' (part {number} {known or ''} {what})")
        parts[known] = content.strip()
    return parts


def _emulator_parts(parts: Mapping[str, str], setting: str) -> dict[str, str]:
    if parts["UseDevelopmentStorage"].lower() != "true" or parts.keys() - {"UseDevelopmentStorage", _PROXY}:
        raise _malformed(setting, parts, "UseDevelopmentStorage=true alone or with DevelopmentStorageProxyUri")
    host = parts.get(_PROXY, "http://127.0.0.1").rstrip("/")
    return {
        "AccountName": _EMULATOR_ACCOUNT,
        "AccountKey": _EMULATOR_KEY,
        "BlobEndpoint": f"{host}:{_EMULATOR_PORT}/{_EMULATOR_ACCOUNT}",
    }


def _identity_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """What follows `AzureWebJobsStorage__`, in lower case as the host compares it, with values that are not empty."""
    start = f"{PREFIX}__".lower()
    return {
        name[len(start) :].lower(): value.strip()
        for name, value in settings.items()
        if name.lower().startswith(start) and value.strip()
    }


def _identity_connection(identity: Mapping[str, str], container: str) -> IdentityConnection:
    if identity.get("credential", "managedidentity").lower() != "managedidentity":
        raise ConfigurationError(
            f"{PREFIX}__credential has a value of {len(identity['credential'])} characters; expected "
            "'managedidentity'; correct it, or remove it to use the default chain"
        )
    addresses = [identity.get(name.lower()) for name in _ADDRESSES]
    missing = [f"{PREFIX}__{name}" for name, found in zip(_ADDRESSES, addresses, strict=True) if found is None]
    account = identity.get("accountname")
    if missing and account is None:
        raise ConfigurationError(
            f"an identity is configured ({', '.join(sorted(identity))}), but {' and '.join(missing)} missing; "
            f"expected {PREFIX}__accountName, or the addresses of blobs, queues and tables, for Durable uses all "
            "three; add what is missing"
        )
    if account is not None and not _ACCOUNT_NAME.fullmatch(account):
        raise ConfigurationError(f"{PREFIX}__accountName is not 3-24 lower-case letters and digits; correct it")
    address = addresses[0] or f"https://{account}.blob.core.windows.net"
    return IdentityConnection(
        _address(address, f"{PREFIX}__blobServiceUri"),
        _container(container),
        managed="credential" in identity,
        client_id=identity.get("clientid"),
    )


def _address(value: str, setting: str) -> str:
    """The service's address without a query, which may hold a signature."""
    try:
        address = urlsplit(value)
        valid = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        valid = False
    if not valid or address.username or address.query:
        raise ConfigurationError(
            f"{setting} is not an address such as https://account.blob.core.windows.net; correct it"
        )
    return f"{address.scheme}://{address.netloc}{address.path}".rstrip("/")


def _container(name: str) -> str:
    if not _CONTAINER_NAME.fullmatch(name):
        raise ConfigurationError(
            f"container name {name!r}: expected 3-63 lower-case letters, digits and single hyphens inside; correct it"
        )
    return name


def _malformed(setting: str, parts: Mapping[str, str], expected: str) -> ConfigurationError:
    found = ", ".join(parts) or "no part that is known"
    return ConfigurationError(
        f"{setting} is not a storage connection string: found {found}; expected {expected}; "
        "copy it again from the account's 'Access keys' page (values are not shown here: they are secret)"
    )


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except binascii.Error:
        return False
