"""The envelope of every stored object: format version, commit id, checksum, and the cipher when there is one.

::

    offset  size  field
         0     3  magic ``DGC``
         3     1  format version, 1
         4     1  kind: ``L`` log (head and segment), ``X`` value, ``I`` index
         5     1  flags: bit 0 = the payload is encrypted
         6     8  commit id of a log, zeros otherwise
        14     4  CRC-32 of bytes 0-13 and the payload, little endian
        18     …  payload: zstd frames; encrypted: length of the cipher's name (1 byte), the name, the ciphertext

The order is: serialise, splice, compress, encrypt, checksum. A checksum is no authentication; an authenticated
cipher, as `EncryptedSerializer.from_pycryptodome_aes` uses, is.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Protocol

import zstandard

from durablegraph.errors import ConfigurationError
from durablegraph.storage.checkpoints.errors import CorruptCheckpoint

FORMAT: Final = 1
NO_COMMIT: Final = bytes(8)
_MAGIC: Final = b"DGC"
_HEADER: Final = struct.Struct("<3sBcB8sI")
_LEVEL: Final = 3
_GROWING: Final = zstandard.ZstdCompressionParameters.from_level(_LEVEL, window_log=15, hash_log=12, chain_log=11)
"""A log's compressor lives while the log is among those committed last: 173 kB each instead of 1.3 MB, for logs of
64 kB the same ratio within half a percent."""


class _Flags(IntFlag):
    ENCRYPTED = 1


class Cipher(Protocol):
    """What LangGraph's EncryptedSerializer encrypts with; called from any thread."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        """The cipher's name and the ciphertext."""

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        """The plaintext; raises when the key is another or the text was altered."""


@dataclass(frozen=True, slots=True)
class Frame:
    """An opened object: who committed it and its compressed payload."""

    commit: bytes
    body: bytes


def close(kind: bytes, commit: bytes, body: bytes, cipher: Cipher | None) -> bytes:
    """The bytes to store for a compressed `body`."""
    flags = _Flags(0)
    if cipher is not None:
        name, ciphertext = cipher.encrypt(body)
        label = name.encode()
        body = bytes([len(label)]) + label + ciphertext
        flags = _Flags.ENCRYPTED
    start = _HEADER.pack(_MAGIC, FORMAT, kind, flags, commit, 0)[:-4]
    return b"".join((start, struct.pack("<I", zlib.crc32(body, zlib.crc32(start))), body))


def open_(key: str, data: bytes, kind: bytes, cipher: Cipher | None) -> Frame:
    """The inverse of `close`; raises CorruptCheckpoint for anything that `close` did not make."""
    if len(data) < _HEADER.size or data[:3] != _MAGIC:
        raise CorruptCheckpoint(f"{key}: found {data[:3]!r} where a checkpoint object begins with {_MAGIC!r}")
    _, version, found, flags, commit, checksum = _HEADER.unpack_from(data)
    if version != FORMAT:
        raise CorruptCheckpoint(f"{key}: format {version}, this version reads {FORMAT}; upgrade durablegraph")
    body = data[_HEADER.size :]
    if zlib.crc32(body, zlib.crc32(data[: _HEADER.size - 4])) != checksum:
        raise CorruptCheckpoint(f"{key}: checksum does not match, the object was damaged; restore it from a backup")
    if found != kind:
        raise CorruptCheckpoint(f"{key}: an object of kind {found!r} lies where {kind!r} belongs")
    if flags & _Flags.ENCRYPTED:
        body = _decrypted(key, body, cipher)
    return Frame(commit, body)


def compress(data: bytes) -> bytes:
    """One complete zstd frame with its own checksum."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)


def decompress(key: str, body: bytes) -> bytes:
    """The content of one zstd frame, complete or flushed at the end of a block."""
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    except zstandard.ZstdError as error:
        raise CorruptCheckpoint(f"{key}: cannot be decompressed ({error})") from error


class GrowingBody:
    """A zstd frame that grows by flushed blocks, so that a commit compresses only what it adds."""

    def __init__(self, content: bytes) -> None:
        self._compressor = zstandard.ZstdCompressor(compression_params=_GROWING).compressobj()
        self._blocks: list[bytes] = []
        self.size = 0
        self.append(content)

    def append(self, content: bytes) -> None:
        """Add `content` to the end."""
        block = self._compressor.compress(content) + self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        self._blocks.append(block)
        self.size += len(block)

    def whole(self) -> bytes:
        """The frame as it is now."""
        if len(self._blocks) > 1:
            self._blocks = [b"".join(self._blocks)]
        return self._blocks[0]


def _decrypted(key: str, body: bytes, cipher: Cipher | None) -> bytes:
    if cipher is None:
        raise ConfigurationError(
            f"{key} is encrypted and this saver has no cipher: pass the EncryptedSerializer it was written with"
        )
    end = 1 + body[0]
    try:
        return cipher.decrypt(body[1:end].decode(), body[end:])
    except Exception as error:
        raise CorruptCheckpoint(
            f"{key}: cannot be decrypted ({type(error).__name__}); the key is another one or the object was altered"
        ) from error
