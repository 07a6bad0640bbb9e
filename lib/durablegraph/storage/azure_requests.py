"""The requests that the blob store makes, each safe to repeat, and how their refusals are told apart."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from azure.core import MatchConditions
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import ContainerClient

from durablegraph.storage.azure_retries import RequestFailed
from durablegraph.storage.objects import ObjectEntry, PreconditionFailed, StoredObject

_TOKEN: Final = "w"  # noqa: S105 -- the name of a metadata item, not a secret
_NOTE: Final = "n"
_CONCURRENT_BLOCKS: Final = 4
_ETAG: Final = re.compile(r"[A-Za-z0-9_-]+")
_NO_BLOB: Final = frozenset({"BlobNotFound", "ContainerNotFound", ""})
_GONE: Final = frozenset({HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND})
_REFUSALS: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
_REFUSED: Final = frozenset({"ConditionNotMet", "BlobAlreadyExists", "BlobNotFound", ""})


@dataclass(frozen=True, slots=True)
class Write:
    """A put with the token that makes it known again."""

    key: str
    data: bytes
    token: str
    if_match: str | None
    if_absent: bool
    note: str | None = None

    @property
    def wish(self) -> str:
        """What the condition asks for, in words."""
        return "wanted no object" if self.if_absent else f"wanted etag {self.if_match}"

    async def send(self, client: ContainerClient) -> str:
        """Upload, and return the new etag."""
        answer = await client.get_blob_client(self.key).upload_blob(
            self.data,
            overwrite=not self.if_absent,
            metadata=self._metadata(),
            max_concurrency=_CONCURRENT_BLOCKS,
            **_condition(self.if_match),
        )
        return _etag(answer["etag"])

    def _metadata(self) -> dict[str, str]:
        if self.note is None:
            return {_TOKEN: self.token}
        return {_TOKEN: self.token, _NOTE: base64.b64encode(self.note.encode()).decode()}

    def was_refused(self, failed: RequestFailed) -> bool:
        """Whether the failure is that the condition was not met."""
        return was_refused(failed) or (self.if_match is not None and says_missing(failed))

    def etag_if_made(self, found: BlobProperties) -> str | None:
        """The etag of what was found when it is this very write."""
        return _etag(found.etag) if found.metadata.get(_TOKEN) == self.token else None


async def get(key: str, client: ContainerClient) -> StoredObject:
    """The blob; raises when there is none."""
    stream = await client.get_blob_client(key).download_blob(max_concurrency=_CONCURRENT_BLOCKS)
    data = await stream.readall()
    return StoredObject(key, data, _etag(stream.properties.etag), stream.properties.last_modified)


async def properties(key: str, client: ContainerClient) -> BlobProperties:
    """What is known of the blob without its value."""
    return await client.get_blob_client(key).get_blob_properties()


async def delete(key: str, if_match: str | None, client: ContainerClient) -> None:
    """Remove the blob, with snapshots that others made of it."""
    await client.get_blob_client(key).delete_blob(delete_snapshots="include", **_condition(if_match))


async def delete_batch(keys: Sequence[str], client: ContainerClient) -> Sequence[str]:
    """Remove up to 256 blobs; returns the keys to try one by one: none, or all when any of them failed."""
    answers = await client.delete_blobs(
        *keys, raise_on_any_failure=False, delete_snapshots="include", raw_request_hook=_without_equals_signs
    )
    gone = [answer.status_code in _GONE async for answer in answers]
    return [] if len(gone) == len(keys) and all(gone) else keys


def _without_equals_signs(request: Any) -> None:
    """Azurite (3.35) cuts the boundary at its first ``=``, of which the SDK's consists mostly; the batch then fails."""
    message = request.http_request
    kind, _, boundary = message.headers["Content-Type"].partition("boundary=")
    plain = boundary.replace("=", "b")
    message.headers["Content-Type"] = f"{kind}boundary={plain}"
    message.set_bytes_body(message.body.replace(boundary.encode(), plain.encode()))


@dataclass(frozen=True, slots=True)
class Page:
    """One request of a listing: up to `size` entries from `start` on, or from where `token` continues."""

    prefix: str
    start: str | None
    token: str | None
    size: int
    notes: bool

    async def send(self, client: ContainerClient) -> tuple[Sequence[ObjectEntry], str | None]:
        """The entries, and the token of the next page."""
        options: dict[str, Any] = {} if self.start is None else {"start_from": self.start}
        if self.notes:
            options["include"] = ["metadata"]
        listing = client.list_blobs(name_starts_with=self.prefix or None, results_per_page=self.size, **options)
        pages: Any = listing.by_page(self.token)  # typed as a plain iterator
        async for blobs in pages:
            return [_entry(blob) async for blob in blobs], pages.continuation_token or None
        return [], None


def _entry(blob: BlobProperties) -> ObjectEntry:
    note = (blob.metadata or {}).get(_NOTE)
    decoded = None if note is None else base64.b64decode(note).decode()
    return ObjectEntry(blob.name, blob.size, _etag(blob.etag), blob.last_modified, decoded)


async def create_container(client: ContainerClient) -> None:
    """Make the container; raises when there is one."""
    await client.create_container()


def was_refused(failed: RequestFailed) -> bool:
    """Whether the failure is that a condition was not met."""
    return failed.status in _REFUSALS and failed.code in _REFUSED


def says_missing(failed: RequestFailed) -> bool:
    """Whether the failure is that there is no such blob, or no container."""
    return failed.status == HTTPStatus.NOT_FOUND and failed.code in _NO_BLOB


def _condition(if_match: str | None) -> dict[str, Any]:
    if if_match is None:
        return {}
    if not _ETAG.fullmatch(if_match):
        raise PreconditionFailed(f"{if_match!r} is no etag of Blob Storage, so it matches nothing")  # above all not "*"
    return {"etag": f'"{if_match}"', "match_condition": MatchConditions.IfNotModified}


def _etag(sent: str) -> str:
    return sent.strip('"')  # quoted in headers, bare in listings
