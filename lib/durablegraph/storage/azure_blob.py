"""The object store in one container of Azure Blob Storage: a key is a blob's name.

A condition is HTTP's own: ``If-Match`` and ``If-None-Match: *``. Each write carries a random token as metadata ``w``.
A note is metadata ``n``, in base64 because metadata is ASCII.
When a conditional write is refused after an attempt of it that went unanswered, the token tells whether the blob that
stands in the way is this very write: then it succeeded, and its etag is returned.

The account must be without hierarchical namespace, which sorts and lists otherwise. `modified` is in whole seconds.
"""

import asyncio
import secrets
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Final, TypeVar

from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import ContainerClient

from durablegraph.errors import ConfigurationError, DurableGraphError
from durablegraph.storage import azure_requests
from durablegraph.storage.azure_lent import LentClient
from durablegraph.storage.azure_pool import BlobPool, Line
from durablegraph.storage.azure_requests import Page, Write, says_missing, was_refused
from durablegraph.storage.azure_retries import RequestFailed, RetryPolicy, explained, with_retries
from durablegraph.storage.objects import (
    ObjectEntry,
    PreconditionFailed,
    StoredObject,
    check_conditions,
    check_key,
    check_note,
)

T = TypeVar("T")

_BATCH: Final = 256  # the most that Blob Batch takes
_PAGE: Final = 5000  # the most that List Blobs answers with


class BlobObjectStore:
    """An ObjectStore in a container; usable from any thread and any event loop at once, unless its client is lent.

    A pool's client, with up to 64 connections, lives on a loop and a thread of its own, so one store a process is
    enough. The container is made by the first write that misses it, unless `create_container` is False. Failures that
    may pass are repeated for a few seconds, then raised as TransientError; a missing right is a ConfigurationError
    that names the role.
    """

    def __init__(
        self,
        client: BlobPool | LentClient,
        *,
        name: str,
        create_container: bool = True,
        retries: RetryPolicy | None = None,
    ) -> None:
        """`name` is what messages call the container; it must hold no secret."""
        self._name = name
        self._pool = client
        self._create_container = create_container
        self._retries = retries or RetryPolicy()
        weakref.finalize(self, self._pool.stop)  # a store that is dropped without aclose leaves no thread

    async def get(self, key: str) -> StoredObject | None:
        """See ObjectStore.get; one request up to 256 MiB."""
        return await self._pool.run(partial(self._get, check_key(key)))

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False, note: str | None = None
    ) -> str:
        """See ObjectStore.put; one request up to 256 MiB, blocks and their commit above."""
        check_conditions(if_match, if_absent=if_absent)
        write = Write(check_key(key), data, secrets.token_hex(8), if_match, if_absent=if_absent, note=check_note(note))
        return await self._pool.run(partial(self._put, write))

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """See ObjectStore.delete."""
        return await self._pool.run(partial(self._delete, check_key(key), if_match))

    async def delete_many(self, keys: Sequence[str]) -> None:
        """See ObjectStore.delete_many; one request for each 256 keys."""
        unique = list(dict.fromkeys(check_key(key) for key in keys))
        if unique:
            await self._pool.run(partial(self._delete_many, unique))

    async def list(
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None, notes: bool = False
    ) -> AsyncIterator[ObjectEntry]:
        """See ObjectStore.list; one request for each 5,000 entries, one in all when `limit` is below that."""
        beginning = start_after or ""
        if beginning > prefix and not beginning.startswith(prefix):
            return  # everything with the prefix sorts before it
        start = beginning if beginning > prefix else None
        size = _PAGE if limit is None else min(_PAGE, limit + 1)  # the service's start is inclusive: one more
        token, remaining = None, limit
        while remaining is None or remaining > 0:
            page, token = await self._pool.run(partial(self._page, Page(prefix, start, token, size, notes=notes)))
            fresh = [entry for entry in page if entry.key > beginning][:remaining]
            for entry in fresh:
                yield entry
            if remaining is not None:
                remaining -= len(fresh)
            if token is None:
                return
            if not fresh:
                size = _PAGE  # this service does not know the start (Azurite does not): leaf through faster

    async def aclose(self) -> None:
        """See ObjectStore.aclose; calls under way have 10 s to end."""
        await self._pool.aclose()

    async def _request(self, line: Line, act: Callable[[ContainerClient], Awaitable[T]]) -> T:
        return await with_retries(partial(act, line.container), self._retries, line.sends)

    async def _get(self, key: str, line: Line) -> StoredObject | None:
        try:
            return await self._request(line, partial(azure_requests.get, key))
        except RequestFailed as failed:
            if says_missing(failed):
                return None
            raise self._explained(failed, f"reading {key}") from failed

    async def _put(self, write: Write, line: Line) -> str:
        try:
            try:
                return await self._request(line, write.send)
            except RequestFailed as failed:
                if failed.code != "ContainerNotFound" or write.if_match is not None:
                    raise
            await self._make_container(line)
            return await self._request(line, write.send)
        except RequestFailed as failed:
            if not write.was_refused(failed):
                raise self._explained(failed, f"writing {write.key}") from failed
            if failed.unanswered:
                found = await self._found(write.key, line)
                if found is not None and (etag := write.etag_if_made(found)) is not None:
                    return etag
            raise PreconditionFailed(
                f"{write.key}: {write.wish}, found another", ambiguous=failed.unanswered
            ) from failed

    async def _make_container(self, line: Line) -> None:
        if not self._create_container:
            raise ConfigurationError(f"{self._name} does not exist, and may not be made; make it or correct its name")
        try:
            await self._request(line, azure_requests.create_container)
        except RequestFailed as failed:
            if failed.code != "ContainerAlreadyExists":
                raise self._explained(failed, "making the container") from failed

    async def _delete(self, key: str, if_match: str | None, line: Line) -> bool:
        try:
            await self._request(line, partial(azure_requests.delete, key, if_match))
        except RequestFailed as failed:
            if says_missing(failed):
                return False
            if was_refused(failed):
                if (
                    await self._found(key, line) is None
                ):  # some services refuse a missing blob with 412, others with 404
                    return False
                raise PreconditionFailed(f"{key}: wanted etag {if_match}, found another") from failed
            raise self._explained(failed, f"deleting {key}") from failed
        return True

    async def _delete_many(self, keys: Sequence[str], line: Line) -> None:
        for start in range(0, len(keys), _BATCH):
            again = await self._delete_batch(keys[start : start + _BATCH], line)
            await asyncio.gather(*(self._delete(key, None, line) for key in again))  # each with its own explanation

    async def _delete_batch(self, keys: Sequence[str], line: Line) -> Sequence[str]:
        """Delete what exists of these; the keys to try again one by one."""
        try:
            return await self._request(line, partial(azure_requests.delete_batch, keys))
        except RequestFailed as failed:
            if says_missing(failed):
                return []  # there is no container
            raise self._explained(failed, f"deleting {len(keys)} blobs") from failed

    async def _found(self, key: str, line: Line) -> BlobProperties | None:
        """What stands in the way of a conditional request, if anything."""
        try:
            return await self._request(line, partial(azure_requests.properties, key))
        except RequestFailed as failed:
            if says_missing(failed):
                return None
            raise self._explained(failed, f"looking at {key}") from failed

    async def _page(self, wanted: Page, line: Line) -> tuple[Sequence[ObjectEntry], str | None]:
        try:
            page, token = await self._request(line, wanted.send)
        except RequestFailed as failed:
            if says_missing(failed):
                return [], None
            raise self._explained(failed, f"listing {wanted.prefix}*") from failed
        if any(one.key >= other.key for one, other in pairwise(page)):
            raise ConfigurationError(
                f"{self._name} does not list its blobs in the order of their names, as accounts with a hierarchical "
                "namespace do; expected a general-purpose v2 account without one; use another account"
            )
        return page, token

    def _explained(self, failed: RequestFailed, doing: str) -> DurableGraphError:
        return explained(failed, f"{self._name}, {doing}")
