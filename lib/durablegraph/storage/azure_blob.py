"""The object store in one container of Azure Blob Storage: a key is a blob's name.

A condition is HTTP's own: ``If-Match`` and ``If-None-Match: *``. Each write carries a random token as metadata ``w``.
When a conditional write is refused after an attempt of it that went unanswered, the token tells whether the blob that
stands in the way is this very write: then it succeeded, and its etag is returned.

The account must be without hierarchical namespace, which sorts and lists otherwise. `modified` is in whole seconds.
"""

import asyncio
import re
import secrets
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import pairwise
from typing import Any, Final, TypeVar

from azure.core import MatchConditions
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import ContainerClient

from durablegraph.errors import ConfigurationError, DurableGraphError
from durablegraph.storage.azure_pool import BlobPool, Line, OpenContainer
from durablegraph.storage.azure_retries import RequestFailed, RetryPolicy, explained, with_retries
from durablegraph.storage.objects import (
    ObjectEntry,
    PreconditionFailed,
    StoredObject,
    check_conditions,
    check_key,
)

T = TypeVar("T")

_TOKEN: Final = "w"  # noqa: S105 -- the name of a metadata item, not a secret
_BATCH: Final = 256  # the most that Blob Batch takes
_PAGE: Final = 5000  # the most that List Blobs answers with
_CONCURRENT_BLOCKS: Final = 4
_NO_BLOB: Final = frozenset({"BlobNotFound", "ContainerNotFound", ""})
_ETAG: Final = re.compile(r"[A-Za-z0-9_-]+")
_REFUSALS: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
_REFUSED: Final = frozenset({"ConditionNotMet", "BlobAlreadyExists", "BlobNotFound", ""})


class BlobObjectStore:
    """An ObjectStore in a container; usable from any thread and any event loop at once.

    Its client, with up to 64 connections, lives on a loop and a thread of its own, so one store a process is
    enough. The container is made by the first write that misses it, unless `create_container` is False. Failures that
    may pass are repeated for a few seconds, then raised as TransientError; a missing right is a ConfigurationError
    that names the role.
    """

    def __init__(
        self,
        open_container: OpenContainer,
        *,
        name: str,
        create_container: bool = True,
        retries: RetryPolicy | None = None,
    ) -> None:
        """`name` is what messages call the container; it must hold no secret."""
        self._name = name
        self._pool = BlobPool(open_container)
        self._create_container = create_container
        self._retries = retries or RetryPolicy()
        weakref.finalize(self, self._pool.stop)  # a store that is dropped without aclose leaves no thread

    async def get(self, key: str) -> StoredObject | None:
        """See ObjectStore.get; one request up to 256 MiB."""
        return await self._pool.run(partial(self._get, check_key(key)))

    async def put(self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """See ObjectStore.put; one request up to 256 MiB, blocks and their commit above."""
        check_conditions(if_match, if_absent=if_absent)
        write = _Write(check_key(key), data, secrets.token_hex(8), if_match, if_absent=if_absent)
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
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectEntry]:
        """See ObjectStore.list; one request for each 5,000 entries, one in all when `limit` is below that."""
        beginning = start_after or ""
        if beginning > prefix and not beginning.startswith(prefix):
            return  # everything with the prefix sorts before it
        start = beginning if beginning > prefix else None
        size = _PAGE if limit is None else min(_PAGE, limit + 1)  # the service's start is inclusive: one more
        token, remaining = None, limit
        while remaining is None or remaining > 0:
            page, token = await self._pool.run(partial(self._page, prefix, start, token, size))
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
            return await self._request(line, partial(_get, key))
        except RequestFailed as failed:
            if _says_missing(failed):
                return None
            raise self._explained(failed, f"reading {key}") from failed

    async def _put(self, write: "_Write", line: Line) -> str:
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
                if found is not None and found.metadata.get(_TOKEN) == write.token:
                    return _etag(found.etag)
            raise PreconditionFailed(
                f"{write.key}: {write.wish}, found another", ambiguous=failed.unanswered
            ) from failed

    async def _make_container(self, line: Line) -> None:
        if not self._create_container:
            raise ConfigurationError(f"{self._name} does not exist, and may not be made; make it or correct its name")
        try:
            await self._request(line, _create_container)
        except RequestFailed as failed:
            if failed.code != "ContainerAlreadyExists":
                raise self._explained(failed, "making the container") from failed

    async def _delete(self, key: str, if_match: str | None, line: Line) -> bool:
        try:
            await self._request(line, partial(_delete, key, if_match))
        except RequestFailed as failed:
            if _says_missing(failed):
                return False
            if failed.status == HTTPStatus.PRECONDITION_FAILED and failed.code in _REFUSED:
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
            return await self._request(line, partial(_delete_batch, keys))
        except RequestFailed as failed:
            if _says_missing(failed):
                return []  # there is no container
            raise self._explained(failed, f"deleting {len(keys)} blobs") from failed

    async def _found(self, key: str, line: Line) -> BlobProperties | None:
        """What stands in the way of a conditional request, if anything."""
        try:
            return await self._request(line, partial(_properties, key))
        except RequestFailed as failed:
            if _says_missing(failed):
                return None
            raise self._explained(failed, f"looking at {key}") from failed

    async def _page(
        self, prefix: str, start: str | None, token: str | None, size: int, line: Line
    ) -> tuple[Sequence[ObjectEntry], str | None]:
        try:
            page, token = await self._request(line, partial(_page, prefix, start, token, size))
        except RequestFailed as failed:
            if _says_missing(failed):
                return [], None
            raise self._explained(failed, f"listing {prefix}*") from failed
        if any(one.key >= other.key for one, other in pairwise(page)):
            raise ConfigurationError(
                f"{self._name} does not list its blobs in the order of their names, as accounts with a hierarchical "
                "namespace do; expected a general-purpose v2 account without one; use another account"
            )
        return page, token

    def _explained(self, failed: RequestFailed, doing: str) -> DurableGraphError:
        return explained(failed, f"{self._name}, {doing}")


@dataclass(frozen=True, slots=True)
class _Write:
    """A put with the token that makes it known again."""

    key: str
    data: bytes
    token: str
    if_match: str | None
    if_absent: bool

    @property
    def wish(self) -> str:
        """What the condition asks for, in words."""
        return "wanted no object" if self.if_absent else f"wanted etag {self.if_match}"

    async def send(self, client: ContainerClient) -> str:
        """Upload, and return the new etag."""
        answer = await client.get_blob_client(self.key).upload_blob(
            self.data,
            overwrite=not self.if_absent,
            metadata={_TOKEN: self.token},
            max_concurrency=_CONCURRENT_BLOCKS,
            **_condition(self.if_match),
        )
        return _etag(answer["etag"])

    def was_refused(self, failed: RequestFailed) -> bool:
        """Whether the failure is that the condition was not met."""
        if failed.status == HTTPStatus.NOT_FOUND:
            return self.if_match is not None and failed.code in _NO_BLOB
        return failed.status in _REFUSALS and failed.code in _REFUSED


# Each of the following is one request (large values apart) and may be repeated.


async def _get(key: str, client: ContainerClient) -> StoredObject:
    stream = await client.get_blob_client(key).download_blob(max_concurrency=_CONCURRENT_BLOCKS)
    data = await stream.readall()
    return StoredObject(key, data, _etag(stream.properties.etag), stream.properties.last_modified)


async def _properties(key: str, client: ContainerClient) -> BlobProperties:
    return await client.get_blob_client(key).get_blob_properties()


async def _delete(key: str, if_match: str | None, client: ContainerClient) -> None:
    await client.get_blob_client(key).delete_blob(delete_snapshots="include", **_condition(if_match))


async def _delete_batch(keys: Sequence[str], client: ContainerClient) -> Sequence[str]:
    answers = await client.delete_blobs(
        *keys, raise_on_any_failure=False, delete_snapshots="include", raw_request_hook=_without_equals_signs
    )
    statuses = {answer.status_code async for answer in answers}
    return [] if statuses <= {HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND} else keys


def _without_equals_signs(request: Any) -> None:
    """Azurite (3.35) cuts the boundary at its first ``=``, of which the SDK's consists mostly; the batch then fails."""
    message = request.http_request
    kind, _, boundary = message.headers["Content-Type"].partition("boundary=")
    plain = boundary.replace("=", "b")
    message.headers["Content-Type"] = f"{kind}boundary={plain}"
    message.set_bytes_body(message.body.replace(boundary.encode(), plain.encode()))


async def _page(
    prefix: str, start: str | None, token: str | None, size: int, client: ContainerClient
) -> tuple[Sequence[ObjectEntry], str | None]:
    options: dict[str, Any] = {} if start is None else {"start_from": start}
    pages: Any = client.list_blobs(name_starts_with=prefix or None, results_per_page=size, **options).by_page(
        token
    )  # typed as a plain iterator
    async for page in pages:
        entries = [ObjectEntry(blob.name, blob.size, _etag(blob.etag), blob.last_modified) async for blob in page]
        return entries, pages.continuation_token or None
    return [], None


async def _create_container(client: ContainerClient) -> None:
    await client.create_container()


def _says_missing(failed: RequestFailed) -> bool:
    return failed.status == HTTPStatus.NOT_FOUND and failed.code in _NO_BLOB


def _condition(if_match: str | None) -> dict[str, Any]:
    if if_match is None:
        return {}
    if not _ETAG.fullmatch(if_match):
        raise PreconditionFailed(f"{if_match!r} is no etag of Blob Storage, so it matches nothing")  # above all not "*"
    return {"etag": f'"{if_match}"', "match_condition": MatchConditions.IfNotModified}


def _etag(sent: str) -> str:
    return sent.strip('"')  # quoted in headers, bare in listings
