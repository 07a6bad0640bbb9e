"""The bytes of an encrypted object.

::

    offset  size  field
         0     3  magic ``DGE``
         3     1  format version, 1
         4     1  content: bit 0 = compressed by zstd, bit 1 = a note (else a value); the others are 0
         5     1  n, length of the key's id
         6     2  m, length of the wrapped data key, little endian
         8     n  id of the key that wraps the data key, ASCII
       8+n     m  the wrapped data key
     8+n+m    12  nonce
    20+n+m     …  AES-256-GCM: ciphertext, then 16 bytes of tag

The tag also covers bytes 0-4 and the object's key (below the app's prefix), so an object under another name, or a note
in a value's place, is refused. It does not cover the id and the wrapped key: another of either yields another data key.
A note, which is text, is the base64 of these bytes.
"""

import base64
import binascii
import struct
from dataclasses import dataclass
from enum import STRICT, IntFlag
from typing import Final

from durablegraph.storage.encryption.errors import CorruptObject

FORMAT: Final = 1
LONGEST_ID: Final = 200
LONGEST_WRAPPED: Final = 4096
_MAGIC: Final = b"DGE"
_MAGIC_IN_NOTES: Final = base64.b64encode(_MAGIC).decode()
_START: Final = struct.Struct("<3sBBBH")


class Content(IntFlag, boundary=STRICT):
    """What was encrypted."""

    VALUE = 0
    COMPRESSED = 1
    NOTE = 2


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope; `text` is nonce, ciphertext and tag."""

    content: Content
    key_id: str
    wrapped: bytes
    text: bytes | memoryview

    def to_bytes(self) -> bytes:
        """What is stored."""
        start = _START.pack(_MAGIC, FORMAT, self.content, len(self.key_id), len(self.wrapped))
        return b"".join((start, self.key_id.encode("ascii"), self.wrapped, self.text))


def is_envelope(data: bytes) -> bool:
    """Whether these bytes claim to be encrypted; nothing that this library stores in the clear begins like it."""
    return data[: len(_MAGIC)] == _MAGIC


def is_sealed_note(note: str) -> bool:
    """Whether a stored note claims to be encrypted."""
    return note.startswith(_MAGIC_IN_NOTES)


def from_note(key: str, note: str) -> bytes:
    """The bytes of a stored note; raises CorruptObject."""
    try:
        return base64.b64decode(note, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CorruptObject(f"{key}: its note is damaged; restore the object from a backup") from error


def to_note(data: bytes) -> str:
    """The text that is stored for a note."""
    return base64.b64encode(data).decode()


def key_id_of_note(key: str, note: str) -> str | None:
    """As `key_id_of`, of a stored note."""
    return parse(key, from_note(key, note)).key_id if is_sealed_note(note) else None


def key_id_of(key: str, data: bytes) -> str | None:
    """The id of the key that an object is encrypted under; None for one that is not encrypted."""
    return parse(key, data).key_id if is_envelope(data) else None


def parse(key: str, data: bytes) -> Envelope:
    """The envelope that `data` is; raises CorruptObject when it is none, or of a format yet unknown."""
    if not is_envelope(data) or len(data) < _START.size:
        raise CorruptObject(f"{key}: found {data[:3]!r} where an encrypted object begins with {_MAGIC!r}")
    _, version, content, id_length, wrapped_length = _START.unpack_from(data)
    if version != FORMAT:
        raise CorruptObject(f"{key}: encrypted in format {version}, this version reads {FORMAT}; upgrade durablegraph")
    id_end = _START.size + id_length
    end = id_end + wrapped_length
    try:
        key_id = data[_START.size : id_end].decode("ascii")
        kind = Content(content)
    except ValueError as error:
        raise CorruptObject(f"{key}: the header is damaged; restore the object from a backup") from error
    if len(data) < end:
        raise CorruptObject(f"{key}: the encrypted object is cut off; restore it from a backup")
    return Envelope(kind, key_id, data[id_end:end], memoryview(data)[end:])


def bound(content: Content, key: str) -> bytes:
    """What the tag covers beside the text."""
    return _MAGIC + bytes((FORMAT, content)) + key.encode()
