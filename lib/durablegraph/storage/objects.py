"""The object store: a flat namespace of small immutable-or-replaced values with conditional writes.

The port is what Azure Blob and one SQLite file have in common. Everything that must last is built on it once:
checkpoints, payloads, runs, threads. A key is 1-900 characters of ``[A-Za-z0-9_=~/-]`` plus ``.`` inside a part;
it neither starts nor ends with ``/`` and has no empty part. A value is bytes of any size. An etag is an opaque string
that changes with every write of a key and is never reused for it, not even after the key was deleted and made again.
A note is a small text that is written with a value and that a listing tells, so that a list can be shown without a
read of each of its objects.

A failure that may pass is a TransientError, whatever the store; a key outside the rule is an InvariantBroken, because
keys are made by this library alone.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from durablegraph.errors import InvariantBroken, TransientError

MAX_KEY_LENGTH = 900
MAX_NOTE_BYTES = 4096
"""Bytes (UTF-8) of a note that a store takes. Who writes notes keeps to half of it, so that a store in between may seal
them: sealing and a text encoding make a note longer."""
_PART = r"[A-Za-z0-9_=~-](?:[A-Za-z0-9_=~.-]*[A-Za-z0-9_=~-])?"
_KEY = re.compile(rf"{_PART}(?:/{_PART})*")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A value as it was read, with the etag that a conditional write of it must name."""

    key: str
    data: bytes
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """A key in a listing; `note` is None when the object has none, or the listing was not asked for notes."""

    key: str
    size: int
    etag: str
    modified: datetime
    note: str | None = None


class PreconditionFailed(Exception):  # noqa: N818 -- the name HTTP gives it (RFC 9110, 412)
    """A conditional write met another etag than it named, or an object where it wanted none.

    `ambiguous` is True when an attempt of this very call went unanswered before, so that its write may have been
    made and then been replaced by somebody else's: read the object before you conclude anything.
    """

    def __init__(self, message: str, *, ambiguous: bool = False) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous


class StoreClosed(TransientError):  # noqa: N818 -- named as its siblings in errors.py are
    """The store was closed, as when a worker shuts down: another worker may carry the call out."""

    code = "store_closed"


class ObjectStore(Protocol):
    """Conditional reads and writes of objects; every method is safe to call again after an unclear failure."""

    async def get(self, key: str) -> StoredObject | None:
        """The object, or None when there is none. A read sees every write acknowledged before it began."""

    async def put(
        self, key: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False, note: str | None = None
    ) -> str:
        """Write the whole object and return its new etag; atomic and durable when it returns.

        `if_match` names the etag it replaces, `if_absent` wants no object there; at most one of them. Neither:
        the last writer wins. `note` (1-4096 bytes of UTF-8) replaces the note there was; None leaves none.
        Raises PreconditionFailed, and then nothing was written, unless it is `ambiguous`.
        A call that raises something else, or is cancelled, may have written: read to find out.
        """

    async def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """Remove the object; True when there was one. Raises PreconditionFailed when `if_match` is another's.

        No object is False, with `if_match` too. After a lost answer that the store repeated by itself, False may
        also mean that the first attempt removed it.
        """

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Remove all of these that exist, in as few requests as the store allows; not atomic."""

    def list(
        self, prefix: str, *, start_after: str | None = None, limit: int | None = None, notes: bool = False
    ) -> AsyncIterator[ObjectEntry]:
        """Entries whose key begins with `prefix`, in ascending code-point order of the key, after `start_after`.

        `start_after` need not exist and need not begin with `prefix`. At most `limit` entries. A key that is written
        or removed while the listing is read may or may not be in it; no key comes twice. With `notes` the entries tell
        their objects' notes, which makes a listing longer but no request more.
        """

    async def aclose(self) -> None:
        """Release connections; afterwards every method raises StoreClosed. A second call does nothing."""


def is_key(key: str) -> bool:
    """Whether this keeps the rule of this port."""
    return len(key) <= MAX_KEY_LENGTH and _KEY.fullmatch(key) is not None


def check_key(key: str) -> str:
    """The key itself when it keeps the rule of this port; raises InvariantBroken when it does not."""
    if not is_key(key):
        raise InvariantBroken(
            f"object key {key[:120]!r} ({len(key)} characters) breaks the rule: expected 1-{MAX_KEY_LENGTH} characters "
            "of A-Z a-z 0-9 _ = ~ - in parts joined by '/', '.' only inside a part; escape the name before use"
        )
    return key


def check_note(note: str | None) -> str | None:
    """The note itself when it keeps the rule of this port; raises InvariantBroken when it does not."""
    if note is None:
        return None
    try:
        size = len(note.encode())
    except UnicodeEncodeError as error:
        raise InvariantBroken(f"a note that is no text: {error}; expected valid Unicode; escape it") from error
    if not 1 <= size <= MAX_NOTE_BYTES:
        raise InvariantBroken(f"a note of {size} bytes: expected 1-{MAX_NOTE_BYTES}; shorten it, or leave it out")
    return note


def check_conditions(if_match: str | None, *, if_absent: bool) -> None:
    """Raise InvariantBroken when a write names both conditions: no object can meet them."""
    if if_match is not None and if_absent:
        raise InvariantBroken("a write named both if_match and if_absent: expected at most one; drop one of them")
