"""Compression before encryption, where it pays: ciphertext cannot be compressed any more."""

from typing import Final

import zstandard

_LEVEL: Final = 3
_SAMPLE: Final = 4096
_LEAST: Final = 64  # bytes below which a zstd frame's own header eats what it saves
_WORTH: Final = 0.9


def pack(data: bytes) -> tuple[bool, bytes]:
    """Whether it was compressed, and the bytes to encrypt.

    Checkpoint objects are compressed already: a sample of their beginning shows that nothing is gained.
    """
    sample = data[:_SAMPLE]
    if len(sample) < _LEAST:
        return False, data
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    tried = compressor.compress(sample)
    if len(tried) > _WORTH * len(sample):
        return False, data
    return True, tried if len(data) == len(sample) else compressor.compress(data)


def unpack(packed: bytes) -> bytes:
    """What `pack` compressed; called only with what has been authenticated."""
    return zstandard.ZstdDecompressor().decompress(packed)
