"""Opens blob containers: the part of `storage.opening` that needs Azure's SDK, which an app on a file does without."""

import importlib
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import ContainerClient

from durablegraph.errors import ConfigurationError
from durablegraph.storage.azure_blob import BlobObjectStore
from durablegraph.storage.azure_lent import LentClient
from durablegraph.storage.azure_pool import BlobPool, OpenClient
from durablegraph.storage.azure_retries import RetryPolicy
from durablegraph.storage.connections import BlobConnection, IdentityConnection

# Emulators lag behind the SDK; every one of the last years knows this version, and it has all that is used here.
_EMULATOR_API_VERSION: Final = "2023-11-03"
_CLIENT_OPTIONS: Final[Mapping[str, Any]] = {
    "retry_total": 0,  # repetitions are this library's own
    "connection_timeout": 5,
    "read_timeout": 30,
    "max_single_put_size": 256 * 1024 * 1024,
    "max_block_size": 64 * 1024 * 1024,
    "max_single_get_size": 256 * 1024 * 1024,
    "max_chunk_get_size": 64 * 1024 * 1024,
}


def open_blobs(
    connection: BlobConnection | IdentityConnection, *, create_container: bool, retries: RetryPolicy | None
) -> BlobObjectStore:
    """The store of a container; nothing is requested before its first use."""
    if isinstance(connection, BlobConnection):
        opener = partial(_open_with_string, connection)
    else:
        _identity_classes()  # a missing package is told now, not at the first request
        opener = partial(_open_with_identity, connection)
    name = f"container {connection.container} at {connection.blob_address}"
    return BlobObjectStore(BlobPool(opener), name=name, create_container=create_container, retries=retries)


def open_lent(client: object, *, create_container: bool) -> BlobObjectStore:
    """The store of a client that somebody else made; raises ConfigurationError for one that is not asynchronous."""
    if not isinstance(client, ContainerClient):
        raise ConfigurationError(
            f"found a client of type {type(client).__module__}.{type(client).__qualname__}, expected "
            "azure.storage.blob.aio.ContainerClient; make the asynchronous client of that container (its constructors "
            "have the same arguments), or pass a connection string"
        )
    name = f"container {client.container_name} at {client.primary_hostname}"
    return BlobObjectStore(LentClient(client), name=name, create_container=create_container)


def _open_with_string(connection: BlobConnection, transport: AioHttpTransport) -> OpenClient:
    options = dict(_CLIENT_OPTIONS, transport=transport, logger=_request_log())
    if connection.is_emulator:
        options["api_version"] = _EMULATOR_API_VERSION
    return OpenClient(
        ContainerClient.from_connection_string(connection.connection_string, connection.container, **options)
    )


def _open_with_identity(connection: IdentityConnection, transport: AioHttpTransport) -> OpenClient:
    managed, default = _identity_classes()
    if connection.managed:
        credential = managed(client_id=connection.client_id) if connection.client_id else managed()
    elif connection.client_id:
        credential = default(managed_identity_client_id=connection.client_id)
    else:
        credential = default()
    options = dict(_CLIENT_OPTIONS, transport=transport, logger=_request_log())
    container = ContainerClient(connection.blob_address, connection.container, credential=credential, **options)
    return OpenClient(container, also_close=(credential.close,))


def _identity_classes() -> tuple[Callable[..., Any], Callable[..., Any]]:
    try:
        identity = importlib.import_module("azure.identity.aio")
    except ImportError as error:
        raise ConfigurationError(
            "AzureWebJobsStorage__* asks for an identity, but the package azure-identity is not installed; "
            "install durablegraph[identity], or give a connection string"
        ) from error
    return identity.ManagedIdentityCredential, identity.DefaultAzureCredential


def _request_log() -> logging.Logger:
    """A logger that keeps the SDK's line for every request out of the app's log, where it would drown the rest."""
    log = logging.getLogger("durablegraph.storage.azure.requests")
    log.setLevel(logging.WARNING)
    return log
