"""Keys of the checkpoint log: safe for any thread id and namespace, and never two for one.

::

    h/{hh}/{thread}/{ns}                   head
    d/{hh}/{thread}/{ns}/s/{seq}-{random}  sealed segment
    d/{hh}/{thread}/{ns}/x/{random}        value of its own
    d/{hh}/{thread}/{ns}/i/{random}        index of sealed segments
    d/{hh}/{thread}/{ns}/p/latest          pack: large values as they were at the last seal
    d/{hh}/{thread}/{ns}/r/{run}           marker: this run put checkpoints here
    r/{run}/{hh}/{thread}/{ns}             the same, to be found by run

A part is ``=`` followed by the text with every byte outside ``[A-Za-z0-9_-]`` as ``~xx``: never empty, no dots, no
percent signs that a client could decode, case kept. A part that would grow beyond 160 characters keeps its beginning
and ends in ``~~`` and the SHA-256 of the text; the text itself is in the head. ``hh`` are two hex digits of the
thread's hash, so that threads with a common prefix spread over the store's partitions.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

LONGEST_PART: Final = 160
RUNS: Final = "r"
SEGMENTS: Final = "s"
PACK: Final = "p/latest"
"""The one name below `LogNames.objects` that is written more than once."""
_HASHED: Final = "~~"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
_ESCAPED: Final = re.compile(r"~([0-9a-f]{2})")


def encode(text: str) -> bytes:
    """UTF-8 that also carries lone surrogates: a thread id is whatever string the caller has."""
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> str:
    """The inverse of `encode`."""
    return data.decode("utf-8", "surrogatepass")


def to_part(text: str) -> str:
    """`text` as one part of a key; different texts never share a part."""
    part = "=" + _UNSAFE.sub(lambda found: "".join(f"~{byte:02x}" for byte in encode(found[0])), text)
    if len(part) <= LONGEST_PART:
        return part
    return part[: LONGEST_PART - 66] + _HASHED + hashlib.sha256(encode(text)).hexdigest()


def from_part(part: str) -> str | None:
    """The text of a part, or None when the part holds a hash and only the head knows the text."""
    if _HASHED in part:
        return None
    pieces = _ESCAPED.split(part[1:])
    plain, escaped = pieces[::2], pieces[1::2]
    data = bytearray(encode(plain[0]))
    for code, rest in zip(escaped, plain[1:], strict=True):
        data.append(int(code, 16))
        data += encode(rest)
    return decode(bytes(data))


def thread_path(thread: str) -> str:
    """The two middle parts that all keys of a thread share, with a slash at the end: ``{hh}/{thread}/``."""
    part = to_part(thread)
    return f"{hashlib.sha256(part.encode()).hexdigest()[:2]}/{part}/"


@dataclass(frozen=True)
class LogNames:
    """Every key of one (thread, namespace) under the saver's `prefix` (empty, or ending in a slash)."""

    prefix: str
    thread: str
    namespace: str

    @cached_property
    def _path(self) -> str:
        return thread_path(self.thread) + to_part(self.namespace)

    @cached_property
    def head(self) -> str:
        """The one key that moves."""
        return f"{self.prefix}h/{self._path}"

    @cached_property
    def objects(self) -> str:
        """What the keys of segments, values and indexes begin with."""
        return f"{self.prefix}d/{self._path}/"

    def run_marker(self, run: str) -> str:
        """The marker that leads `delete_for_runs` here."""
        return f"{run_markers(self.prefix, run)}{self._path}"

    def own_run_marker(self, run: str) -> str:
        """The same marker among the log's own objects, so that deleting the thread finds it."""
        return f"{self.objects}{RUNS}/{to_part(run)}"


@lru_cache(maxsize=1024)
def names_of(prefix: str, thread: str, namespace: str) -> LogNames:
    """The keys of a log, from memory where they were asked for before: a super-step asks several times."""
    return LogNames(prefix, thread, namespace)


def heads(prefix: str, thread: str | None) -> str:
    """What the heads of one thread, or of all, begin with."""
    return f"{prefix}h/{'' if thread is None else thread_path(thread)}"


def thread_objects(prefix: str, thread: str) -> str:
    """What all other objects of a thread begin with."""
    return f"{prefix}d/{thread_path(thread)}"


def run_markers(prefix: str, run: str) -> str:
    """What the markers of one run begin with."""
    return f"{prefix}r/{to_part(run)}/"


def new_segment(sequence: int) -> str:
    """A name for a sealed segment, relative to `LogNames.objects`; unique, so that no upload overwrites another."""
    return f"{SEGMENTS}/{sequence:08x}-{secrets.token_hex(4)}"


def sequence_of(segment: str) -> int:
    """The sequence number in the name of a sealed segment."""
    return int(segment[2:].split("-", 1)[0], 16)


def new_value() -> str:
    """A name for a value of its own; never used again, not even after a prune."""
    return f"x/{secrets.token_hex(12)}"


def new_index() -> str:
    """A name for an index of segments."""
    return f"i/{secrets.token_hex(8)}"
