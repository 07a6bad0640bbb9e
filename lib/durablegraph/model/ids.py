"""Identifiers of runs and threads: what is accepted, and how a key is made of one."""

import hashlib
import re

from durablegraph.errors import InvalidRequest

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@=+~-]{0,255}")
_SAFE = re.compile(r"[A-Za-z0-9_-]+")


def thread_id(text: str) -> str:
    """`text` if it may name a thread: 1-256 characters of letters, digits and ``._:@=+~-``, a letter or digit first."""
    return _checked(text, "thread_id")


def _checked(text: str, what: str) -> str:
    if not isinstance(text, str) or not _ID.fullmatch(text):
        shown = text if isinstance(text, str) else type(text).__name__
        raise InvalidRequest(
            f"{what} {str(shown)[:80]!r} cannot be used: give 1-256 characters of letters, digits and . _ : @ = + ~ -, "
            "beginning with a letter or digit"
        )
    return text


def key_part(text: str) -> str:
    """`text` as one part of an object key: kept when it is plainly safe and short, otherwise a digest of it."""
    if len(text) <= 64 and _SAFE.fullmatch(text):  # noqa: PLR2004 -- keys stay short enough for every store
        return text
    return "~" + hashlib.sha256(text.encode()).hexdigest()


def spread_part(text: str) -> str:
    """As `key_part`, behind two hex digits of a digest, so that a store can spread keys over partitions."""
    return f"{hashlib.sha256(text.encode()).hexdigest()[:2]}/{key_part(text)}"
