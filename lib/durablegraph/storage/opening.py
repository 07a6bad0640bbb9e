"""Opens the object store that a connection describes. An app on a file need not import Azure's SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durablegraph.storage.connections import Connection, SqliteConnection
from durablegraph.storage.sqlite import SqliteObjectStore

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

    from durablegraph.storage.azure_blob import BlobObjectStore
    from durablegraph.storage.azure_retries import RetryPolicy


def open_store(
    connection: Connection, *, create_container: bool = True, retries: RetryPolicy | None = None
) -> SqliteObjectStore | BlobObjectStore:
    """The store of a connection, to be closed by the caller; nothing is opened or requested before its first use."""
    if isinstance(connection, SqliteConnection):
        return SqliteObjectStore(connection.path)
    from durablegraph.storage.azure_opening import open_blobs  # noqa: PLC0415 -- see above

    return open_blobs(connection, create_container=create_container, retries=retries)


def open_lent_store(client: ContainerClient, *, create_container: bool = True) -> BlobObjectStore:
    """The store of a client that somebody else made and closes; to be used on one event loop.

    Raises ConfigurationError for anything but the asynchronous client.
    """
    from durablegraph.storage.azure_opening import open_lent  # noqa: PLC0415 -- as above

    return open_lent(client, create_container=create_container)
